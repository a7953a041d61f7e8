"""Files of maps: palettes, overlays, names; and what is counted in them."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import skimage.measure
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Picture

from experiments.data.image.slide import LargeImage
from experiments.evaluation import map_files, maps
from experiments.evaluation.map_files import (
    Folder,
    array,
    count_components,
    count_pixels,
    mean_thickness,
    palette,
    write_overlay,
    write_png,
)
from experiments.evaluation.maps import Put, predict_map
from wavenets import nn


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_components_across_bands(numbers: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_files, "BAND", 3 * numbers.shape[1])
        for number in range(4):
            assert count_components(numbers, number) == skimage.measure.label(numbers == number, connectivity=2).max()
        thickness = float(nn.mean_thickness(torch.from_numpy(numbers > 0)[None]))
        assert mean_thickness(numbers) == pytest.approx(thickness if 0 < (numbers > 0).mean() < 1 else None)
        assert count_pixels(numbers, 4).tolist() == [(numbers == number).sum() for number in range(4)]


def test_a_palette_keeps_the_numbers(tmp_path: Path) -> None:
    numbers = np.arange(254, dtype=np.uint8).reshape(2, 127)
    write_png(tmp_path / "a.png", numbers)
    with Picture.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P" and picture.getpalette() == palette().ravel().tolist()
        np.testing.assert_array_equal(np.array(picture), numbers)
    assert len(np.unique(palette()[:11], axis=0)) == 11 and not palette()[0].any()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_overlay_has_the_colours_of_the_classes(channels: int, tmp_path: Path) -> None:
    image = np.full((channels, 2, 3), 0.5, np.float32)
    numbers = np.kron(np.array([[0, 1, 2], [0, 0, 1]], np.uint8), np.ones((10, 10), np.uint8))
    write_overlay(tmp_path / "a.png", image, numbers)
    seen = np.array(Picture.open(tmp_path / "a.png")).astype(float)
    expected = np.full((2, 3, 3), 127.5)
    for number, places in {1: ([0, 1], [1, 2]), 2: ([0], [2])}.items():
        expected[places] = (127.5 + palette()[number]) / 2
    assert np.abs(seen - expected).max() <= 0.76


def test_names_that_are_taken_get_a_number(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    folder = Folder(tmp_path / "maps")
    assert [folder.name(file, [".png", "_overlay.png"])[0].name for file in ("x/a.png", "y/a.tif", "b.png")] == [
        *("a.png", "a_2.png", "b.png")
    ]
    assert folder.name("z/a.png", ["_overlay.png"])[0].name == "a_3_overlay.png"
    here = Folder(tmp_path, [str(tmp_path / "a.png")])
    assert here.name(str(tmp_path / "a.png"), [".png"])[0].name == "a_2.png"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map of 12 million pixels and its probabilities, which are never in memory as a whole."""
    monkeypatch.setattr(map_files, "IN_MEMORY", 2**20)
    monkeypatch.setattr(maps, "LARGEST_PNG", 1000)
    monkeypatch.setattr(maps, "OVERLAY", 200)
    size = 3000, 4000
    image = LargeImage(
        lambda rows, columns: torch.zeros(3, rows.stop - rows.start, columns.stop - columns.start), 3, size
    )

    def fill(put: Put) -> None:
        for top in range(0, 3000, 500):
            for left in range(0, 4000, 500):
                p = torch.full((3, 500, 500), 0.25)
                p[(top + left) // 500 % 3] = 0.5
                put(slice(top, top + 500), slice(left, left + 500), p.argmax(0), p)

    tracemalloc.start()
    prediction, numbers = predict_map("a.tif", image, ["a", "b", "c"], fill, Folder(tmp_path, [], True, True))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # against 48e6 bytes of maps, 144e6 of float32 pixels and as many of float32 probabilities
    tops, lefts = np.mgrid[:3000, :4000] // 500
    np.testing.assert_array_equal(numbers, (tops + lefts) % 3)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), numbers)
    assert prediction.share == pytest.approx([1 / 3] * 3)
    assert tifffile.imread(tmp_path / "a_probabilities.tif")[1].max() == 128
    assert isinstance(array((2000, 2000), np.uint8), np.memmap) and not isinstance(array((9, 9), np.uint8), np.memmap)
