"""The promise: equivariant to rescaling to the last bit. (Turns are in a file of their own.)"""

import math

import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from tests.library.networks import network, noise
from wavenets import Grid
from wavenets.models import MNet, OneDCNN, SampleCNN
from wavenets.nn import LiftingConv1d, MaxPool1d, PerLevel
from wavenets.testing import assert_equivariant, equivariance_error

BASES_1D = [2, "3/2", "5/4"]
BASES_2D = [2, math.sqrt(2), "3/2"]
DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("length", [3000, 3989, 4001])  # even, prime
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("base", BASES_1D)
def test_networks_on_noise_are_exact(base: int | str, dtype: torch.dtype, length: int, steps: int) -> None:
    grid = Grid(1, base)
    errors = equivariance_error(network(grid).to(dtype), noise(2, 2, length, dtype=dtype), grid, steps)
    assert errors == [0.0] * (5 - steps)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("size", [(97, 130), (101, 103), (128, 96)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("base", BASES_2D)
def test_networks_on_noise_images_are_exact(base: float, dtype: torch.dtype, size: tuple[int, int], steps: int) -> None:
    grid = Grid(2, base)
    net = network(grid, num_scales=7 if base != 2 else 5).to(dtype)
    errors = equivariance_error(net, noise(1, 2, *size, dtype=dtype), grid, min(steps, 1 if base == 2 else 3))
    assert errors and set(errors) == {0.0}


@pytest.mark.parametrize("base", BASES_2D)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_networks_on_photographs_are_exact(base: float, memory_format: torch.memory_format) -> None:
    photo = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1)[None, :, ::3, ::3].float() / 255
    grid = Grid(2, base)
    net = network(grid, num_scales=6, channels=3)
    assert equivariance_error(net, photo.contiguous(memory_format=memory_format), grid) == [0.0, 0.0]


@pytest.mark.parametrize(
    "net, length",
    [
        (MNet(3, base=2), 22051),
        (MNet(5, out_scales=3, base=2), 40009),
        (MNet(11, out_scales=4, base=2), 80001),
        (MNet(34, out_scales=2, grid=Grid(1, "3/2")), 30011),
        (OneDCNN(out_scales=3, base=2), 140001),
        (SampleCNN(out_scales=3, base=2), 59049),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_published_networks_are_exact(net: nn.Module, length: int) -> None:
    levels = nn.Sequential(net.encoder, net.head)
    assert_equivariant(levels, noise(1, 1, length), net.grid)


def test_equivariance_survives_autocast() -> None:
    def half(x: Tensor) -> list[Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net(x)

    net = network(Grid(1)).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(noise(1, 2, 2000))[0].dtype == torch.bfloat16
    assert_equivariant(lambda x: [level.float() for level in half(x)], noise(1, 2, 2000))
    for x in noise(1, 2, 2000), noise(1, 2, 41, 37):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = Grid(x.ndim - 2).downscale(x)
        assert torch.equal(inside, Grid(x.ndim - 2).downscale(x))


def test_pooling_with_other_statistics_than_torch_is_still_alike() -> None:
    """Any module that treats levels alike is equivariant: one that knows nothing of scales, too."""
    net = nn.Sequential(LiftingConv1d(1, 4, 5, 5), PerLevel(nn.InstanceNorm1d(4)), MaxPool1d(3, ceil_mode=True))
    assert_equivariant(net, noise(2, 1, 1009), steps=2)
