"""The promise: equivariant to rescaling to the last bit; and a kit that sees when a module is not."""

import math

import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from tests.networks import LAYERS, network, noise
from wavenets import Grid
from wavenets.models import WaveletMNet, WaveletOneDCNN, WaveletSampleCNN
from wavenets.nn import GroupConv1d, LiftingConv1d, PerScale, ScaleMaxPool1d
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
        (WaveletMNet(3), 22051),
        (WaveletMNet(5, out_scales=3), 40009),
        (WaveletMNet(11, out_scales=4), 80001),
        (WaveletMNet(34, out_scales=2, grid=Grid(1, "3/2")), 30011),
        (WaveletOneDCNN(out_scales=3), 140001),
        (WaveletSampleCNN(out_scales=3), 59049),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_published_networks_are_exact(net: nn.Module, length: int) -> None:
    levels = nn.Sequential(net.stem, net.body, net.classifier)
    assert_equivariant(levels, noise(1, 1, length), net.stem[0].grid)


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


class ZeroPaddedScales(nn.Module):
    """What others do at the coarse end: a level outside counts as zero."""

    def __init__(self, ndim: int) -> None:
        super().__init__()
        self.conv = LAYERS[ndim][1](4, 4, 3, scale_extent=2)

    def forward(self, input: list[Tensor]) -> list[Tensor]:
        return self.conv([*input, torch.zeros_like(input[-1])])


class BiasPerLevel(nn.Module):
    def forward(self, input: list[Tensor]) -> list[Tensor]:
        return [level + 1e-3 * i for i, level in enumerate(input)]


class WindowPerLevel(nn.Module):
    """A pooling that looks equally far into the signal on every level: shapes agree, values do not."""

    def __init__(self, ndim: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(LAYERS[ndim][2](size, stride=1, padding=size // 2) for size in (7, 5, 3, 1))

    def forward(self, input: list[Tensor]) -> list[Tensor]:
        return [pool([level])[0] for pool, level in zip(self.pools, input, strict=True)]


class StridePerLevel(nn.Module):
    def forward(self, input: list[Tensor]) -> list[Tensor]:
        return [level[:, :, :: len(input) - i] for i, level in enumerate(input)]


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize(
    "broken", [ZeroPaddedScales, lambda _: BiasPerLevel(), WindowPerLevel, lambda _: StridePerLevel()]
)
def test_the_kit_rejects_modules_that_are_not_equivariant(broken: type[nn.Module], ndim: int) -> None:
    lift = LAYERS[ndim][0](1, 4, 5, num_scales=4)
    x = noise(1, 1, *[99] * ndim)
    assert_equivariant(lift, x)
    errors = equivariance_error(nn.Sequential(lift, broken(ndim)), x)
    assert max(errors) > 1e-4
    with pytest.raises(AssertionError, match=r"not equivariant .* level 0: .* level 2: "):
        assert_equivariant(nn.Sequential(lift, broken(ndim)), x)


def test_the_error_is_the_relative_distance() -> None:
    lift = LiftingConv1d(1, 4, 5, num_scales=3).double()
    x = noise(1, 1, 200, dtype=torch.float64)

    def off_by_a_thousandth(x: Tensor) -> list[Tensor]:
        return [level * 1.001**i for i, level in enumerate(lift(x))]

    assert equivariance_error(off_by_a_thousandth, x) == pytest.approx([1 / 1.001 * 0.001] * 2)
    assert_equivariant(off_by_a_thousandth, x, tolerance=1e-3)
    with pytest.raises(AssertionError):
        assert_equivariant(off_by_a_thousandth, x, tolerance=0.9e-3)


def test_nan_is_no_equivariance() -> None:
    with pytest.raises(AssertionError, match="nan"):
        assert_equivariant(lambda x: [level * float("nan") for level in Grid(1).views(x, 3)], noise(1, 1, 99))


def test_the_kit_leaves_the_module_as_it_was() -> None:
    net = network(Grid(1)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    equivariance_error(net, noise(1, 2, 2000))
    assert net.training and all(module.training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    "module, options, message",
    [
        (nn.Sequential(LiftingConv1d(1, 2, 3, 3), GroupConv1d(2, 2, 3, 3)), {}, "returns 1 levels: none is left"),
        (WaveletMNet(5), {}, "returns one tensor"),
        (LiftingConv1d(1, 2, 3, 3), {"steps": 0}, "steps must be at least 1, got 0"),
        (LiftingConv1d(1, 2, 3, 3), {"grid": Grid(1, decimated=False)}, "measure on a decimated one"),
    ],
)
def test_what_the_kit_cannot_measure(module: nn.Module, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        equivariance_error(module, noise(1, 1, 9000), **options)


def test_pooling_with_other_statistics_than_torch_is_still_alike() -> None:
    """Any module that treats levels alike is equivariant: one that knows nothing of scales, too."""
    net = nn.Sequential(LiftingConv1d(1, 4, 5, 5), PerScale(nn.InstanceNorm1d(4)), ScaleMaxPool1d(3, ceil_mode=True))
    assert_equivariant(net, noise(2, 1, 1009), steps=2)
