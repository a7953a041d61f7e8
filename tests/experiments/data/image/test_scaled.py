"""Images at another size, resampled piece by piece, against torch on the whole image."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F

from experiments.data.image import scaled
from experiments.data.image.geometry import resize_to
from experiments.data.image.scaled import Scaled, bilinear, means, pieces, resample, thumbnail
from experiments.data.image.slide import LargeImage, open_large

X = torch.from_numpy(np.random.default_rng(0).random((3, 101, 77), np.float32))


def large() -> LargeImage:
    return LargeImage(lambda rows, columns: X[:, rows, columns], 3, (101, 77))


@pytest.mark.parametrize("size", [(50, 33), (101, 77), (173, 200), (13, 9), (101, 40)])
def test_pieces_equal_the_whole(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaled, "PIECE", 20)
    expected = resize_to(X, size).numpy()
    image = Scaled(large(), size)
    assert image.shape == expected.shape
    np.testing.assert_allclose(image[:, :, :], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(image[:, 3:12, 4:9], expected[:, 3:12, 4:9], rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(50, 33), (173, 200)])
def test_edges_overshoot_as_in_the_whole(size: tuple[int, int]) -> None:
    edges = 0.3 + 0.4 * (X > 0.5)  # bicubic interpolation leaves the range of the values, not of an image
    image = Scaled(LargeImage(lambda rows, columns: edges[:, rows, columns], 3, (101, 77)), size)
    np.testing.assert_allclose(image[:, :, :], resize_to(edges, size).numpy(), rtol=0, atol=1e-4)


def test_maps_are_interpolated_as_by_torch() -> None:
    expected = F.interpolate(X[None], (200, 180), mode="bilinear", align_corners=False)[0]
    down, across = bilinear(101, 200), bilinear(77, 180)
    for rows, columns in pieces(slice(0, 200), slice(0, 180), (64, 70)):
        piece = resample(lambda y, x: X[:, y, x], down, across, rows, columns)
        torch.testing.assert_close(piece, expected[:, rows, columns], rtol=0, atol=1e-4)


def test_a_position_is_the_mean_of_its_windows() -> None:
    starts, width, values = [0, 3, 6, 8], 5, torch.tensor([1.0, 2.0, 4.0, 8.0])
    rows, matrix = means(starts, width)(slice(2, 13))
    got = matrix @ values[rows]
    expected = [np.mean([v for s, v in zip(starts, values, strict=True) if s <= p < s + width]) for p in range(2, 13)]
    np.testing.assert_allclose(got, expected)
    rows, matrix = means(starts, width, scale=0.5)(slice(0, 26))  # windows of an image of half the size
    _, fine = means(starts, width)(slice(0, 13))
    torch.testing.assert_close(matrix, fine.repeat_interleave(2, 0))


def test_the_level_of_a_pyramid_that_is_large_enough_is_read(tmp_path: Path) -> None:
    pixels = (np.moveaxis(X.numpy(), 0, -1) * 255).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(pixels, subifds=2, tile=(16, 16))
        tiff.write(pixels[::2, ::2], subfiletype=1, tile=(16, 16))
        tiff.write(pixels[::4, ::4], subfiletype=1, tile=(16, 16))
    with open_large(tmp_path / "a.tif") as image:
        assert [Scaled(image, size).image.shape[1:] for size in ((60, 50), (50, 39), (26, 20), (5, 5))] == [
            (101, 77),
            (51, 39),
            (26, 20),
            (26, 20),
        ]
        assert thumbnail(image, 51).shape == (3, 51, 39)
        np.testing.assert_array_equal(thumbnail(image, 51), np.moveaxis(pixels[::2, ::2] / np.float32(255), -1, 0))
