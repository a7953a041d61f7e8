"""Quarter turns, alone and with scales: exact at any size, against slow versions, and what turned kernels cannot do."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from tests.networks import network, noise
from wavenets import Grid, functional
from wavenets.kernels import BSpline, Kernel, Samples, ZeroMean
from wavenets.models import CNN, ResNet
from wavenets.nn import BatchNorm, GroupConv2d, LiftingConv2d, MaxPool2d, OrientationPool, PerLevel
from wavenets.testing import assert_equivariant, equivariance_error

SIZES = [(27, 27), (33, 40), (37, 52), (64, 64), (28, 28)]
ACTIONS = [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]  # steps, turns


def actions(grid: Grid) -> list[tuple[int, int]]:
    return [(steps, turns) for steps, turns in ACTIONS if turns * grid.turns % 4 == 0]


def photograph(height: int, width: int) -> Tensor:
    """From one that comes with scikit-learn."""
    image = torch.from_numpy(load_sample_images().images[0] / 255).float().movedim(-1, 0)[None]
    return image[:, :, 100 : 100 + height, 200 : 200 + width].contiguous()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("base", [2, 2**0.5, "3/2"])
@pytest.mark.parametrize("rotations", [2, 4, 8])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_both_symmetries_are_exact(size: tuple[int, int], rotations: int, base: float, dtype: torch.dtype) -> None:
    grid = Grid(2, base, rotations=rotations)
    net = network(grid, num_scales=3, channels=3, extents=(2, 1)).to(dtype)
    for steps, turns in actions(grid):
        assert_equivariant(net, noise(1, 3, *size, dtype=dtype), grid, steps, turns)
    assert_equivariant(net, photograph(*size).to(dtype), grid, steps=1, turns=4 // grid.turns)


@pytest.mark.parametrize("kernel", [Samples(), ZeroMean(), BSpline(2, 1.5)], ids=str)
@pytest.mark.parametrize("rotations", [2, 4, 8, 12, 16])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_turns_without_scales_are_exact(size: tuple[int, int], rotations: int, kernel: Kernel) -> None:
    grid = Grid(2, rotations=rotations)
    lift = LiftingConv2d(2, 8, 5, 1, stride=2, grid=grid, kernel=kernel, padding_mode="reflect")
    net = nn.Sequential(lift, *network(grid, num_scales=1, extents=(1, 1))[2:])
    for steps, turns in actions(grid):
        if steps == 0:
            assert_equivariant(net, noise(1, 2, *size), grid, steps, turns)


def test_turns_are_exact_under_autocast() -> None:
    grid = Grid(2, base="3/2", rotations=4)
    net = network(grid, num_scales=4, extents=(2, 1)).eval()

    def half(x: Tensor) -> list[Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels = net(x)
        assert levels[0].dtype == torch.bfloat16
        return [level.float() for level in levels]

    for steps, turns in actions(grid):
        assert_equivariant(half, noise(1, 2, 41, 58), grid, steps, turns)


@pytest.mark.parametrize(
    "net",
    [
        CNN(4, 3, rotations=4, form="shared", num_scales=1, width=8),
        CNN(4, 3, rotations=8, num_scales=4, width=4),
        ResNet(4, 3, rotations=4, base=2, form="shared", num_scales=2, width=8),
        ResNet(4, 3, rotations=4, base="3/2", num_scales=6, width=4),
    ],
    ids=lambda net: f"{type(net).__name__}-{net.grid.rotations}-{net.encoder.stem[0].num_scales}",
)
def test_whole_networks_are_exact(net: nn.Module) -> None:
    grid, x = net.grid, noise(2, 3, 97, 70)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    levels = nn.Sequential(net.encoder, net.head)
    for steps, turns in [(0, 1), (0, 3)] + ([(1, 2)] if net.encoder.stem[0].num_scales > 1 else []):
        assert_equivariant(levels, x, grid, steps, turns)
    net.readout.mode = "max"
    with torch.no_grad():
        assert torch.equal(net.eval()(grid.act(x, turns=1)), net(x))


class TurnedKernels(nn.Module):
    """The usual p4 network: kernels turned in place of the image. Its features, upright, are turned into our frames."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.lifting, self.group = (nn.Parameter(torch.randn(*shape)) for shape in ((4, 2, 3, 3), (4, 4, 4, 3, 3)))

    def forward(self, x: Tensor) -> list[Tensor]:
        def conv(x: Tensor, weight: Tensor, r: int) -> Tensor:
            return F.conv2d(x, torch.rot90(weight, -r, (-2, -1)), stride=self.stride, padding=1)

        lifted = [conv(x, self.lifting, r).relu() for r in range(4)]
        upright = [sum(conv(lifted[(r + s) % 4], self.group[:, :, s], r) for s in range(4)) for r in range(4)]
        return [torch.rot90(feature, r, (2, 3)) for r, feature in enumerate(upright)]


@pytest.mark.parametrize("rotations", [2, 4, 8])
@pytest.mark.parametrize("channels", [10, 17, 23])
@pytest.mark.parametrize("size", [(7, 7), (23, 29), (15, 15)], ids=str)
def test_kernels_of_one_tap_are_exact(size: tuple[int, int], channels: int, rotations: int) -> None:
    """Products of matrices, which round by where in memory an image begins; and what comes behind a batch of frames."""
    grid = Grid(2, rotations=rotations)
    lift = LiftingConv2d(channels, channels, 1, 1, grid=grid)
    nets = [
        nn.Sequential(lift, GroupConv2d(channels, 8, 1, grid=grid)),
        nn.Sequential(LiftingConv2d(channels, channels, 3, 1, grid=grid), PerLevel(nn.Conv2d(channels, 5, 1))),
        nn.Sequential(lift, GroupConv2d(channels, channels, 3, grid=grid), PerLevel(nn.GroupNorm(1, channels))),
    ]
    for net in nets:
        assert_equivariant(net, noise(1, channels, *size), grid, steps=0, turns=2)


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.device("meta"), FakeTensorMode])
def test_a_pass_in_another_mode_leaves_nothing_behind(mode: Callable[[], AbstractContextManager[object]]) -> None:
    grid = Grid(2, rotations=4)
    with mode():
        net = nn.Sequential(LiftingConv2d(1, 2, 3, 1, grid=grid), GroupConv2d(2, 2, 3, grid=grid))
        net(torch.randn(3, 1, 11, 13))
    net = nn.Sequential(LiftingConv2d(1, 2, 3, 1, grid=grid), GroupConv2d(2, 2, 3, grid=grid))
    output = net(noise(3, 1, 11, 13))
    sum(level.sum() for level in output).backward()
    assert type(output[0]) is Tensor and output[0].device.type == "cpu"
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_turned_kernels_are_equivariant_only_where_stride_falls_on_the_grid() -> None:
    grid, net = Grid(2, rotations=4), TurnedKernels(stride=2).double()
    x = noise(1, 2, 33, 41, dtype=torch.float64)
    assert_equivariant(net, x, grid, steps=0, turns=1, tolerance=1e-12)  # 33, 17, 9 and 41, 21, 11: all odd
    with pytest.raises(AssertionError, match="not equivariant under steps=0, turns=1"):
        assert_equivariant(net, noise(1, 2, 33, 40, dtype=torch.float64), grid, steps=0, turns=1)
    assert min(equivariance_error(net, noise(1, 2, 33, 40, dtype=torch.float64), grid, steps=0, turns=1)) > 0.1
    assert_equivariant(TurnedKernels(stride=1).double(), x, grid, steps=0, turns=3, tolerance=1e-12)


def slow_group_conv(levels: list[Tensor], weight: Tensor, grid: Grid, stride: int, groups: int) -> list[Tensor]:
    """The definition, orientation by orientation and term by term; weight (M, O, C, E, R, k, k)."""
    rotations, finer, extent = grid.rotations, grid.rotations // 4, weight.shape[3]
    output = []
    for scale, r in itertools.product(range(len(levels) // rotations - extent + 1), range(rotations)):
        total = 0
        for k, s in itertools.product(range(extent), range(rotations)):
            neighbour = (r + s) % rotations
            quarters = neighbour // finer - r // finer
            seen = torch.rot90(levels[(scale + k) * rotations + neighbour], -quarters, (2, 3))
            term = F.conv2d(seen, weight[r % finer, :, :, k, s], None, stride, weight.shape[-1] // 2, groups=groups)
            total = term if k == s == 0 else total + grid.upscale(term, total.shape[2:])
        output.append(total)
    return output


@pytest.mark.parametrize("rotations", [4, 8, 12])
@pytest.mark.parametrize("scale_extent, stride, groups", [(1, 1, 1), (2, 1, 1), (1, 2, 3), (2, 3, 1)])
@pytest.mark.parametrize("size", [(24, 24), (25, 18)])
def test_group_convolution_is_the_sum_over_scales_and_turns(
    size: tuple[int, int], scale_extent: int, stride: int, groups: int, rotations: int
) -> None:
    grid = Grid(2, rotations=rotations)
    conv = GroupConv2d(3, 6, 3, scale_extent, stride, groups, bias=False, grid=grid, dtype=torch.float64)
    sizes = [view.shape[2:] for view in grid.views(noise(2, 3, *size), 3)]
    levels = [noise(2, 3, *s, dtype=torch.float64) for s in sizes for _ in range(rotations // 4)]
    weight = conv.samples() if rotations > 4 else conv.samples()[None]
    for actual, expected in zip(conv(levels), slow_group_conv(levels, weight, grid, stride, groups), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rotations", [4, 8])
def test_gradients_are_those_of_the_slow_version(rotations: int) -> None:
    """The gathering has a gradient of its own making."""
    grid = Grid(2, rotations=rotations)
    levels = [
        noise(1, 1, *((3, 2) if (r * 4 // rotations) % 2 == 0 else (2, 3)), dtype=torch.float64)
        for r in range(rotations)
    ]
    shape = (1, 1, 1, rotations, 3, 3) if rotations == 4 else (2, 1, 1, 1, rotations, 3, 3)
    weight = noise(*shape, dtype=torch.float64).requires_grad_()
    for level in levels:
        level.requires_grad_()

    def fast(weight: Tensor, *levels: Tensor) -> tuple[Tensor, ...]:
        return tuple(functional.group_conv(levels, weight, grid=grid))

    assert torch.autograd.gradcheck(fast, (weight, *levels), check_forward_ad=True)
    if rotations == 4:
        assert torch.autograd.gradgradcheck(fast, (weight, *levels))
    slow = slow_group_conv(levels, weight if rotations > 4 else weight[None], grid, 1, 1)
    heads = [torch.randn_like(level) for level in slow]
    for actual, expected in zip(
        torch.autograd.grad(fast(weight, *levels), (weight, *levels), heads),
        torch.autograd.grad(slow, (weight, *levels), heads),
        strict=True,
    ):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def test_ensembles_by_vmap() -> None:
    grid = Grid(2, rotations=4)
    levels = [noise(2, 3, 6, 6) for _ in range(4)]
    for conv, weights in (
        (lambda weight: functional.group_conv(levels, weight, grid=grid), noise(5, 4, 3, 1, 4, 3, 3)),
        (lambda weight: functional.lift(levels[0], weight, num_scales=2, max_pool=2, grid=grid), noise(5, 4, 3, 3, 3)),
    ):
        together = torch.func.vmap(conv)(weights)
        for i, weight in enumerate(weights):
            for actual, expected in zip(together, conv(weight), strict=True):
                torch.testing.assert_close(actual[i], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rotations", [4, 8])
def test_lifting_convolves_every_view_with_the_kernel_at_every_angle(rotations: int) -> None:
    grid = Grid(2, base="3/2", rotations=rotations)
    lift = LiftingConv2d(2, 3, 5, num_scales=2, stride=2, grid=grid, dtype=torch.float64)
    x, finer = noise(1, 2, 31, 22, dtype=torch.float64), rotations // 4
    kernels = lift.samples() if finer > 1 else lift.samples()[None]
    expected = [F.conv2d(view, kernels[j], lift.bias, 2, 2) for view in grid.views(x, 2) for j in range(finer)]
    for actual, level in zip(lift(x), expected, strict=True):
        torch.testing.assert_close(actual, level, rtol=0, atol=1e-13)


@pytest.mark.parametrize("rotations", [8, 12, 16])
def test_orientations_between_quarter_turns_are_in_order(rotations: int) -> None:
    """Turned by one orientation, a smooth image moves every map one place on, nearly; not back, and not nowhere."""
    y, x = np.mgrid[:77, :77] - 38
    image = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((77, 77)), 5)
    image *= np.exp(-(x**2 + y**2) / 300)
    grid, kernel = Grid(2, rotations=rotations), BSpline(2, 3.0)
    lift = LiftingConv2d(1, 2, 13, 1, grid=grid, kernel=kernel, bias=False)
    net = nn.Sequential(lift, PerLevel(nn.ReLU()), GroupConv2d(2, 1, 13, grid=grid, kernel=kernel, bias=False))

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


def test_the_operator_that_commutes_with_turns_is_close_to_the_one_that_does_not() -> None:
    x = noise(1, 2, 45, 32)
    plain, turning = Grid(2, 2**0.5), Grid(2, 2**0.5, rotations=4)
    torch.testing.assert_close(turning.downscale(x), plain.downscale(x), rtol=0, atol=2e-6)
    assert not torch.equal(plain.downscale(torch.rot90(x, 1, (2, 3))), torch.rot90(plain.downscale(x), 1, (2, 3)))
    for turns in (1, 2, 3):
        assert torch.equal(turning.act(x, 1, turns), turning.downscale(torch.rot90(x, turns, (2, 3))))


def test_parts_of_a_batch_of_frames_may_be_modified_in_place() -> None:
    grid = Grid(2, rotations=4)
    layers = LiftingConv2d(1, 4, 3, 1, grid=grid), GroupConv2d(4, 4, 3, grid=grid)
    gradients = []
    for inplace in (True, False):
        relu = PerLevel(nn.ReLU(inplace=inplace))
        net = nn.Sequential(layers[0], relu, MaxPool2d(2), BatchNorm(4), layers[1], relu)
        net.zero_grad()
        torch.manual_seed(0)
        sum(level.square().sum() for level in net(torch.randn(2, 1, 16, 16))).backward()
        gradients.append([parameter.grad.clone() for layer in layers for parameter in layer.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Grid(1, rotations=4), "only images on a decimated grid can be turned"),
        (lambda: Grid(2, decimated=False, rotations=4), "only images on a decimated grid can be turned"),
        (lambda: Grid(2, rotations=3), "rotations must be one of 1, 2, 4, 8, 12, 16, got 3"),
        (lambda: Grid(1).act(noise(1, 1, 9), turns=1), "only images can be turned"),
        (lambda: LiftingConv2d(1, 2, (3, 5), 1, grid=Grid(2, rotations=4)), "must be square"),
        (lambda: GroupConv2d(2, 2, 3, grid=Grid(2, rotations=4))([noise(1, 2, 5, 5)] * 3), "got 3"),
        (
            lambda: GroupConv2d(2, 2, 3, grid=Grid(2, rotations=4))([noise(1, 2, 5, 7)] * 4),
            r"sizes of a turned image, \(5, 7\), \(7, 5\), \(5, 7\), \(7, 5\), got \(5, 7\), \(5, 7\)",
        ),
        (lambda: OrientationPool("max", Grid(2, rotations=8))([noise(1, 2, 5, 7)] * 8), "sizes of a turned image"),
        (
            lambda: functional.group_conv([noise(1, 3, 8, 8)] * 4, noise(4, 3, 1, 2, 3, 3), grid=Grid(2, rotations=4)),
            r"needs a weight \(…, 4, k, k\) over its rotations, got \(4, 3, 1, 2, 3, 3\)",
        ),
        (
            lambda: functional.lift(noise(1, 1, 9, 9), noise(1, 1, 3, 3), num_scales=1, grid=Grid(2, rotations=8)),
            "angles",
        ),
        (lambda: equivariance_error(nn.Identity(), noise(1, 1, 9, 9), turns=1), "does not turn by 1 quarters"),
        (lambda: equivariance_error(nn.Identity(), noise(1, 1, 9, 9), Grid(2, rotations=2), turns=1), "1 quarters"),
    ],
)
def test_turns_that_do_not_fit(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
