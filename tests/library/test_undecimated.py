"""The undecimated form, with dilated kernels at full rate: the definition that the decimated one is held against."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.library.networks import LAYERS, noise
from wavenets import Grid, undecimated
from wavenets.kernels import ZeroMean

NUM_SCALES = 4
SIZE = {1: (1600,), 2: (240, 160)}


def slow(net: nn.Sequential, x: Tensor) -> list[Tensor]:
    """The same layers at full rate."""
    levels = undecimated.lift(net[0], x)
    for layer in net[1:]:
        levels = undecimated.group_conv(layer, levels)
    return levels


def assert_agree_at_shared_points(decimated: Sequence[Tensor], full_rate: Sequence[Tensor], border: int) -> None:
    for i, (level, full) in enumerate(zip(decimated, full_rate, strict=True)):
        shared = full[(..., *[slice(None, None, 2**i)] * (full.ndim - 2))]
        assert shared.shape == level.shape
        inner = (..., *[slice(border, -border)] * (level.ndim - 2))
        assert level[inner].numel() > 0
        torch.testing.assert_close(shared[inner], level[inner], rtol=0, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("ndim", [1, 2])
def test_lifting_equals_the_decimated_one(ndim: int, stride: int) -> None:
    net = nn.Sequential(LAYERS[ndim][0](2, 5, 5, NUM_SCALES, stride)).double()
    x = noise(2, 2, *SIZE[ndim], dtype=torch.float64)
    assert_agree_at_shared_points(net(x), slow(net, x), border=-(-4 // stride))


@pytest.mark.parametrize("scale_extent", [1, 2, 3])
@pytest.mark.parametrize("ndim", [1, 2])
def test_group_convolution_equals_the_decimated_one(ndim: int, scale_extent: int) -> None:
    net = nn.Sequential(
        LAYERS[ndim][0](1, 6, 3, NUM_SCALES, kernel=ZeroMean()),
        LAYERS[ndim][1](6, 4, 5, scale_extent, groups=2),
        LAYERS[ndim][1](4, 3, 3),
    ).double()
    x = noise(1, 1, *SIZE[ndim], dtype=torch.float64)
    assert_agree_at_shared_points(net(x), slow(net, x), border=7 * 2 ** (scale_extent - 1) + 2)


def test_lifting_is_a_dilated_convolution_of_the_smoothed_signal() -> None:
    lift = LAYERS[1][0](2, 5, 7, NUM_SCALES).double()
    x = noise(2, 2, 997, dtype=torch.float64)
    smoothed = undecimated.views(x, NUM_SCALES, lift.grid)
    for i, level in enumerate(undecimated.lift(lift, x)):
        expected = F.conv1d(smoothed[i], lift.weight, lift.bias, padding=3 * 2**i, dilation=2**i)
        assert torch.equal(level, expected)


@pytest.mark.parametrize("ndim", [1, 2])
def test_smoothing_is_what_the_decimated_views_samples(ndim: int) -> None:
    x = noise(1, 2, *SIZE[ndim], dtype=torch.float64)
    smoothed = undecimated.views(x, NUM_SCALES, Grid(ndim))
    assert all(level.shape == x.shape for level in smoothed)
    assert_agree_at_shared_points(Grid(ndim).views(x, NUM_SCALES), smoothed, border=2)


def test_there_is_no_such_form_of_turns_and_of_images_at_another_base() -> None:
    for grid in Grid(2, rotations=4), Grid(2, mirrored=True), Grid(2, "3/2"):
        with pytest.raises(ValueError, match="has no orientations, and in 2D base 2, got Grid"):
            undecimated.views(noise(1, 1, 8, 8), 2, grid)
