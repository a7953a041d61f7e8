"""The undecimated form, with dilated kernels at full rate: the definition that the decimated one is held against."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.networks import LAYERS, noise
from wavenets import Grid
from wavenets.kernels import ZeroMean

NUM_SCALES = 4
SIZE = {1: (1600,), 2: (240, 160)}


def twins(ndim: int, *layers: type[nn.Module], **options: dict) -> tuple[nn.Sequential, nn.Sequential]:
    """The same layers with the same weights on both kinds of grid."""
    decimated, undecimated = (
        nn.Sequential(*(layer(grid=Grid(ndim, decimated=kind)) for layer in layers)).double() for kind in (True, False)
    )
    undecimated.load_state_dict(decimated.state_dict())
    return decimated, undecimated


def assert_agree_at_shared_points(decimated: list[Tensor], undecimated: list[Tensor], border: int) -> None:
    for i, (level, full) in enumerate(zip(decimated, undecimated, strict=True)):
        shared = full[(..., *[slice(None, None, 2**i)] * (full.ndim - 2))]
        assert shared.shape == level.shape
        inner = (..., *[slice(border, -border)] * (level.ndim - 2))
        assert level[inner].numel() > 0
        torch.testing.assert_close(shared[inner], level[inner], rtol=0, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("ndim", [1, 2])
def test_lifting_equals_the_decimated_one(ndim: int, stride: int) -> None:
    decimated, undecimated = twins(ndim, lambda grid: LAYERS[ndim][0](2, 5, 5, NUM_SCALES, stride, grid=grid))
    x = noise(2, 2, *SIZE[ndim], dtype=torch.float64)
    assert_agree_at_shared_points(decimated(x), undecimated(x), border=-(-4 // stride))


@pytest.mark.parametrize("scale_extent", [1, 2, 3])
@pytest.mark.parametrize("ndim", [1, 2])
def test_group_convolution_equals_the_decimated_one(ndim: int, scale_extent: int) -> None:
    decimated, undecimated = twins(
        ndim,
        lambda grid: LAYERS[ndim][0](1, 6, 3, NUM_SCALES, kernel=ZeroMean(), grid=grid),
        lambda grid: LAYERS[ndim][1](6, 4, 5, scale_extent, groups=2, grid=grid),
        lambda grid: LAYERS[ndim][1](4, 3, 3, grid=grid),
    )
    x = noise(1, 1, *SIZE[ndim], dtype=torch.float64)
    assert_agree_at_shared_points(decimated(x), undecimated(x), border=7 * 2 ** (scale_extent - 1) + 2)


def test_lifting_is_a_dilated_convolution_of_the_smoothed_signal() -> None:
    lift = LAYERS[1][0](2, 5, 7, NUM_SCALES, grid=Grid(1, decimated=False)).double()
    x = noise(2, 2, 997, dtype=torch.float64)
    smoothed = lift.grid.views(x, NUM_SCALES)
    for i, level in enumerate(lift(x)):
        expected = F.conv1d(smoothed[i], lift.weight, lift.bias, padding=3 * 2**i, dilation=2**i)
        assert torch.equal(level, expected)


@pytest.mark.parametrize("ndim", [1, 2])
def test_smoothing_is_what_the_decimated_views_samples(ndim: int) -> None:
    x = noise(1, 2, *SIZE[ndim], dtype=torch.float64)
    decimated, undecimated = (Grid(ndim, decimated=kind).views(x, NUM_SCALES) for kind in (True, False))
    assert all(level.shape == x.shape for level in undecimated)
    assert_agree_at_shared_points(decimated, undecimated, border=2)
