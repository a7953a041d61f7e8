"""Images and masks moved alike, against numpy, Pillow and functions that are rotated by a formula."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from experiments.data.image.geometry import IGNORED, affine, crop, fit, flip, resize, resize_to, rotate


def waves(height: int, width: int, degrees: float = 0.0) -> Tensor:
    """An image of smooth waves, rotated by its formula."""
    y, x = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2]).reshape(2, 1, 1)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = cos * x - sin * y, sin * x + cos * y  # where the pixel comes from; y points down
    return torch.from_numpy(0.5 + 0.25 * np.sin(x / 5) + 0.25 * np.cos(y / 7 + x / 9))[None]


def mask_of(image: Tensor) -> Tensor:
    return (image[0] > 0.5).long() + 256 * 70_000


@pytest.mark.parametrize("turns", range(-1, 5))
def test_quarter_turns_are_exact(turns: int) -> None:
    image, mask = torch.rand(3, 6, 9), torch.randint(0, 5, (6, 9))
    assert np.array_equal(rotate(image, 90 * turns), np.rot90(image, turns, (1, 2)))
    assert np.array_equal(rotate(mask, 90 * turns), np.rot90(mask, turns))


@pytest.mark.parametrize("degrees", [10, 45, -30, 137])
@pytest.mark.parametrize("size", [(61, 61), (50, 71)])
def test_rotation(degrees: float, size: tuple[int, int]) -> None:
    rotated, expected = rotate(waves(*size), degrees), waves(*size, degrees)
    inside = fit(torch.ones(30, 30, dtype=torch.bool), size)
    assert (rotated - expected)[0][inside].abs().max() < 6e-3  # of the cubic interpolation


@pytest.mark.parametrize("degrees", [10, 45, -30, 137])
def test_mask_and_image_stay_aligned(degrees: float) -> None:
    image = waves(61, 70)
    direct, moved = rotate(mask_of(image), degrees), mask_of(rotate(image, degrees))
    known = direct != IGNORED
    assert known.float().mean() > 0.6
    assert (direct != moved)[known].float().mean() < 0.03
    edge = (rotate(image, degrees)[0] - 0.5).abs() > 0.1  # away from the threshold they are equal
    assert torch.equal(direct[known & edge], moved[known & edge])


@pytest.mark.parametrize("degrees", [30, 45])
def test_beyond_the_edges(degrees: float) -> None:
    ones, corner = torch.ones(1, 20, 20), (0, 0)
    assert torch.equal(rotate(ones, degrees), ones)  # mirrored
    assert rotate(ones, degrees, fill=0)[0][corner] == 0
    assert rotate(ones[0].long(), degrees)[corner] == IGNORED
    assert not rotate(ones[0].bool(), degrees)[corner]
    assert rotate(ones[0].long(), degrees)[10, 10] == 1


@pytest.mark.parametrize("size", [(20, 30), (33, 17), (90, 100)])
def test_resized_as_by_pillow(size: tuple[int, int]) -> None:
    image = waves(45, 50).float()
    pillow = Image.fromarray(image[0].numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
    expected = np.asarray(pillow).clip(0, 1)
    np.testing.assert_allclose(resize_to(image, size)[0], expected, rtol=0, atol=1e-5)
    mask = torch.randint(0, 9, (45, 50))
    nearest = Image.fromarray(mask.numpy().astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)
    assert np.array_equal(resize_to(mask, size), np.asarray(nearest))


def test_resize() -> None:
    assert resize(torch.rand(3, 45, 50), 0.5).shape == (3, 22, 25)
    assert resize(torch.rand(3, 2, 2), 0.1).shape == (3, 1, 1)
    mask = torch.arange(6).reshape(2, 3)
    assert torch.equal(resize(mask, 2), mask.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert resize(mask + 256 * 10**9, 2).max() == 256 * 10**9 + 5


@pytest.mark.parametrize("window", [(2, 3, 4, 5), (-3, -2, 12, 14), (-20, 5, 50, 3), (4, 6, 9, 9)])
def test_crop(window: tuple[int, int, int, int]) -> None:
    image, mask = torch.rand(2, 7, 9), torch.randint(0, 9, (7, 9))
    top, left, height, width = window
    wide = np.pad(image, ((0, 0), (60, 60), (60, 60)), mode="symmetric")
    cut = (slice(60 + top, 60 + top + height), slice(60 + left, 60 + left + width))
    assert np.array_equal(crop(image, *window), wide[:, *cut])
    zeros = np.pad(image, ((0, 0), (60, 60), (60, 60)))
    assert np.array_equal(crop(image, *window, fill=0), zeros[:, *cut])
    assert np.array_equal(crop(mask, *window), np.pad(mask, 60, constant_values=IGNORED)[cut])


def test_fit_and_flip() -> None:
    image, mask = torch.rand(2, 7, 9), torch.randint(0, 9, (7, 9))
    assert torch.equal(fit(fit(image, (11, 15)), (7, 9)), image)
    assert np.array_equal(flip(mask), np.fliplr(mask))


def test_affine_shifts_by_whole_pixels() -> None:
    image, mask = torch.rand(2, 7, 9, dtype=torch.float64), torch.randint(0, 9, (7, 9))
    shift = ((1.0, 0.0), (0.0, 1.0)), (2.0, -3.0)
    torch.testing.assert_close(affine(image, *shift), crop(image, 2, -3, 7, 9), rtol=0, atol=1e-12)
    assert torch.equal(affine(mask, *shift), crop(mask, 2, -3, 7, 9))
