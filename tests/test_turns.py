"""The promise for quarter turns, alone and with scales; and turns between them, against slow, obvious versions."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from tests.networks import noise
from wavenets import Grid, Levels
from wavenets.kernels import BSpline, Kernel, Samples, ZeroMean
from wavenets.nn import (
    GroupConv2d,
    LiftingConv2d,
    PerScale,
    ScaleAvgPool2d,
    ScaleBatchNorm,
    ScaleMaxPool2d,
)
from wavenets.testing import assert_equivariant, equivariance_error

SIZES = [(27, 27), (33, 40), (37, 52), (64, 64), (28, 28)]
BASES = [2, math.sqrt(2), "3/2"]


def network(grid: Grid, num_scales: int) -> nn.Sequential:
    """Every kind of layer, and small enough for images of 27 × 27 at base 2."""
    norm = ScaleBatchNorm(4)
    nn.init.normal_(norm.norm.running_mean)
    nn.init.uniform_(norm.norm.running_var, 0.5, 2)
    nn.init.normal_(norm.norm.bias)
    return nn.Sequential(
        LiftingConv2d(3, 4, 5, num_scales, grid=grid),
        ScaleMaxPool2d(2),
        norm,
        PerScale(nn.ReLU()),
        GroupConv2d(4, 6, 3, stride=2, groups=2, grid=grid),
        PerScale(nn.ReLU()),
        ScaleAvgPool2d(3, stride=1, padding=1),
        GroupConv2d(6, 2, 3, scale_extent=min(2, num_scales), grid=grid),
    ).eval()


def photograph(height: int, width: int) -> Tensor:
    image = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1).float() / 255
    return image[None, :, 100 : 100 + 2 * height : 2, 200 : 200 + 2 * width : 2].contiguous()


def actions(grid: Grid, scales: bool) -> list[dict[str, int]]:
    turns = range(0, 4, 4 // grid.turns)
    return [{"steps": s, "turns": t} for s, t in itertools.product((0, 1) if scales else (0,), turns) if s or t]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("rotations", [2, 4, 8])
@pytest.mark.parametrize("base", BASES)
def test_networks_with_scales_and_turns_are_exact(
    base: float | str, rotations: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    grid = Grid(2, base, rotations=rotations)
    net = network(grid, 3).to(dtype)
    x = torch.cat([noise(1, 3, *size), photograph(*size)]).to(dtype)
    for action in actions(grid, scales=True):
        assert equivariance_error(net, x, grid, **action) == [0.0] * (rotations * (2 - action["steps"]))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kernel", [ZeroMean(), BSpline(2, 1.5)], ids=str)
@pytest.mark.parametrize("rotations", [2, 4, 8, 12, 16])
def test_networks_of_one_scale_are_exact(rotations: int, kernel: Kernel, size: tuple[int, int]) -> None:
    """Networks on SE(2), with kernels of every kind."""
    grid = Grid(2, rotations=rotations)
    lift = LiftingConv2d(3, 4, 5, 1, stride=2, grid=grid, kernel=kernel, padding_mode="reflect")
    net = nn.Sequential(lift, *network(grid, 1)[2:])
    for action in actions(grid, scales=False):
        assert equivariance_error(net, photograph(*size), grid, **action) == [0.0] * rotations


@pytest.mark.parametrize("rotations", [4, 8])
def test_turns_are_exact_under_autocast(rotations: int) -> None:
    grid = Grid(2, rotations=rotations)
    net = network(grid, 2)

    def half(x: Tensor) -> list[Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels = net(x)
        assert levels[0].dtype == torch.bfloat16
        return [level.float() for level in levels]

    for action in {"steps": 0, "turns": 1}, {"steps": 0, "turns": 2}:
        assert_equivariant(half, noise(1, 3, 33, 40), grid, **action)


class TurnedKernels(nn.Module):
    """The usual p4 form: the image as it is, every kernel turned; its maps are given as their turns see them."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Parameter(noise(4, 3, 3, 3))
        self.conv = nn.Parameter(noise(4, 16, 3, 3) / 12)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [F.conv2d(x, self.lift.rot90(-r, (2, 3)), padding=1, stride=2).relu() for r in range(4)]
        outputs = []
        for r in range(4):
            around = torch.cat([maps[(r + t) % 4] for t in range(4)], 1)
            outputs.append(F.conv2d(around, self.conv.rot90(-r, (2, 3)), padding=1))
        return [output.rot90(r, (2, 3)) for r, output in enumerate(outputs)]


def test_the_kit_rejects_turned_kernels_off_the_grid() -> None:
    grid, net = Grid(2, rotations=4), TurnedKernels()
    for turns in 1, 2, 3:
        assert_equivariant(net, noise(1, 3, 33, 41), grid, 0, turns, tolerance=1e-6)
        assert min(equivariance_error(net, noise(1, 3, 40, 40), grid, 0, turns)) > 0.1
    errors = equivariance_error(net, noise(1, 3, 33, 40), grid, 0, 2)
    assert min(errors) > 0.1
    with pytest.raises(AssertionError, match="not equivariant under steps=0, turns=1"):
        assert_equivariant(net, noise(1, 3, 33, 40), grid, 0, 1)


def slow_samples(kernel: Kernel, weight: Tensor, angle: float, disk: bool, size: tuple[int, int]) -> Tensor:
    return (weight.flatten(-2) @ kernel.matrix(size, angle, disk=disk).T).unflatten(-1, size)


@pytest.mark.parametrize("kernel", [Samples(), BSpline(2, 1.5)], ids=str)
@pytest.mark.parametrize("rotations", [2, 4, 8])
def test_lifting_convolves_every_view(rotations: int, kernel: Kernel) -> None:
    grid = Grid(2, rotations=rotations)
    lift = LiftingConv2d(3, 4, 5, 2, stride=2, grid=grid, kernel=kernel).double()
    nn.init.normal_(lift.bias)
    x = noise(1, 3, 33, 40, dtype=torch.float64)
    levels = lift(x)
    assert len(levels) == 2 * rotations
    for i, view in enumerate((x, grid.downscale(x))):
        for r in range(rotations):
            angle = 360 * r / rotations
            rest = angle % 90
            weight = slow_samples(kernel, lift.weight, -rest, rotations > 4, (5, 5))
            expected = F.conv2d(view.rot90(int(angle // 90), (2, 3)), weight, lift.bias, 2, padding=2)
            torch.testing.assert_close(levels[i * rotations + r], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("groups, stride", [(1, 1), (3, 2)])
@pytest.mark.parametrize("kernel", [Samples(), BSpline(2, 1.5)], ids=str)
@pytest.mark.parametrize("rotations", [2, 4, 8])
def test_group_convolution_is_the_sum_over_scales_and_turns(
    rotations: int, kernel: Kernel, groups: int, stride: int
) -> None:
    grid = Grid(2, rotations=rotations)
    conv = GroupConv2d(3, 6, 5, 2, stride, groups, grid=grid, kernel=kernel).double()
    nn.init.normal_(conv.bias)
    input = LiftingConv2d(3, 3, 3, 3, grid=grid).double()(noise(2, 3, 33, 40, dtype=torch.float64))
    output = conv(input)
    assert isinstance(output, Levels) and len(output) == 2 * rotations
    for i, r in itertools.product(range(2), range(rotations)):
        angle = 360 * r / rotations
        frame, rest = int(angle // 90), angle % 90
        total: Tensor | float = 0.0
        for k, t in itertools.product(range(2), range(rotations)):
            neighbour = (r + t) % rotations  # t further round than r, and stored in a frame of its own
            other = int(360 * neighbour / rotations // 90)
            seen = input[(i + k) * rotations + neighbour].rot90(frame - other, (2, 3))
            weight = slow_samples(kernel, conv.weight[:, :, k, t], -rest, rotations > 4, (5, 5))
            term = F.conv2d(seen, weight, stride=stride, padding=2, groups=groups)
            total = total + (term if k == 0 else grid.upscale(term, total.shape[2:]))
        expected = total + conv.bias[:, None, None]
        torch.testing.assert_close(output[i * rotations + r], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rotations", [8, 12, 16])
def test_orientations_between_quarter_turns_are_in_order(rotations: int) -> None:
    """Turned by one orientation, a smooth image moves every map one place on, nearly; not back, and not nowhere."""
    y, x = np.mgrid[:77, :77] - 38
    image = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((77, 77)), 5)
    image *= np.exp(-(x**2 + y**2) / 300)
    grid, kernel = Grid(2, rotations=rotations), BSpline(2, 3.0)
    lift = LiftingConv2d(1, 2, 13, 1, grid=grid, kernel=kernel, bias=False)
    net = nn.Sequential(lift, PerScale(nn.ReLU()), GroupConv2d(2, 1, 13, grid=grid, kernel=kernel, bias=False))

    def turned(signal: np.ndarray) -> np.ndarray:
        return ndimage.rotate(signal, 360 / rotations, axes=(-2, -1), reshape=False)

    def upright(signal: np.ndarray) -> np.ndarray:
        levels = net(torch.from_numpy(signal[None, None]).float())
        maps = [level.rot90(-(r * 4 // rotations), (2, 3)) for r, level in enumerate(levels)]
        return torch.cat(maps).detach().numpy()  # (orientations, channels, height, width)

    before, after = upright(image), upright(turned(image))
    for r in range(rotations // 4 + 1):
        errors = [np.linalg.norm(after[r] - turned(before[(r + s) % rotations])) for s in (1, 0, -1)]
        assert errors[0] < 0.05 * np.linalg.norm(after[r]) and 4 * errors[0] < min(errors[1:])
