"""Turns and reflections, alone and with scales: exact at any size, and against slow versions."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from tests.library.networks import actions, features, network, noise, photograph
from wavenets import Grid, Levels, functional
from wavenets._ops import frames
from wavenets.kernels import BSpline, Kernel, Samples, ZeroMean
from wavenets.models import CNN, ResNet
from wavenets.nn import BatchNorm, GroupConv2d, LiftingConv2d, MaxPool2d, OrientationPool, PerLevel
from wavenets.point_group import PointGroup
from wavenets.testing import assert_equivariant, equivariance_error

C4 = Grid(2, rotations=4)
SIZES = [(27, 27), (33, 40), (37, 52), (64, 64), (28, 28)]
GROUPS = [(2, False), (4, False), (1, True), (2, True), (4, True)]  # rotations, mirrored


@pytest.mark.parametrize("rotations, mirrored", [*GROUPS, (8, False), (8, True), (12, True)])
def test_the_tables_are_those_of_matrices(rotations: int, mirrored: bool) -> None:
    """Counterclockwise, and left to right, in coordinates (x, y) with y up."""
    group, angle = PointGroup(rotations, mirrored), 2 * np.pi / rotations
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrices = [
        np.linalg.matrix_power(turn, r) @ np.diag([-1.0, 1.0] if m else [1.0, 1.0])
        for m in range(1 + mirrored)
        for r in range(rotations)
    ]
    assert group.order == len(matrices)
    for g, h in itertools.product(range(group.order), repeat=2):
        np.testing.assert_allclose(matrices[group.product[g][h]], matrices[g] @ matrices[h], atol=1e-12)
    for g, inverse in enumerate(group.inverse):
        np.testing.assert_allclose(matrices[inverse], np.linalg.inv(matrices[g]), atol=1e-12)


@pytest.mark.parametrize("rotations, mirrored", GROUPS)
def test_elements_act_on_images_as_they_compose(rotations: int, mirrored: bool) -> None:
    group, x = PointGroup(rotations, mirrored), noise(1, 2, 5, 8)
    for g, h in itertools.product(range(group.order), repeat=2):
        assert torch.equal(group.act(g, group.act(h, x)), group.act(group.product[g][h], x))
        assert torch.equal(group.undo(g, group.act(g, x)), x)
    if rotations == 4:
        assert torch.equal(group.act(1, x), x.rot90(1, (2, 3)))
        assert not mirrored or torch.equal(group.act(4, x), x.flip(3))


@pytest.mark.parametrize("rotations, mirrored", [*GROUPS, (8, True), (12, True), (16, False)])
def test_a_sum_has_the_same_bits_in_the_order_of_every_transformation(rotations: int, mirrored: bool) -> None:
    group = PointGroup(rotations, mirrored)
    parts = [noise(1000) for _ in range(group.order)]
    total = group.sum(parts)
    torch.testing.assert_close(total, torch.stack(parts).double().sum(0).float(), rtol=0, atol=1e-5)
    exact = [group.element(frame) for frame in range(group.exact.order)]
    for g in exact:
        assert torch.equal(group.sum([parts[group.product[h][g]] for h in range(group.order)]), total)
    with pytest.raises(ValueError, match=f"has {group.order} elements, got 1 parts"):
        group.sum(parts[:1])


@pytest.mark.parametrize("dtype, base", [(torch.float32, 2), (torch.float32, 2**0.5), (torch.float64, "3/2")])
@pytest.mark.parametrize("rotations, mirrored", [*GROUPS, (8, False)])
@pytest.mark.parametrize("size", SIZES[:2], ids=str)
def test_all_symmetries_are_exact(
    size: tuple[int, int], rotations: int, mirrored: bool, dtype: torch.dtype, base: float
) -> None:
    """Whole networks, with everything that a layer can do."""
    grid = Grid(2, base, rotations, mirrored)
    net = network(grid, num_scales=3, channels=3, extents=(2, 1)).to(dtype)
    for action in actions(grid):
        assert_equivariant(net, noise(1, 3, *size, dtype=dtype), grid, *action)
    assert_equivariant(net, photograph(*size).to(dtype), grid, 1, *actions(grid)[-1][1:])


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("base", [2, 2**0.5, "3/2"])
@pytest.mark.parametrize("rotations, mirrored", [*GROUPS, (8, False), (8, True), (12, False), (12, True)])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_all_symmetries_together_are_exact(
    size: tuple[int, int], rotations: int, mirrored: bool, base: float, dtype: torch.dtype
) -> None:
    grid = Grid(2, base, rotations, mirrored)
    net = network(grid, num_scales=3, channels=3, extents=(2, 1)).to(dtype)
    for action in actions(grid, steps=1):
        assert_equivariant(net, noise(1, 3, *size, dtype=dtype), grid, *action)
        assert_equivariant(net, photograph(*size).to(dtype), grid, *action)


@pytest.mark.parametrize("kernel", [Samples(), ZeroMean(), BSpline(2, 1.5)], ids=str)
@pytest.mark.parametrize("rotations, mirrored", [*GROUPS, (8, False), (12, True)])
@pytest.mark.parametrize("size", SIZES[1:3], ids=str)
def test_orientations_without_scales_are_exact(
    size: tuple[int, int], rotations: int, mirrored: bool, kernel: Kernel
) -> None:
    grid = Grid(2, rotations=rotations, mirrored=mirrored)
    lift = LiftingConv2d(2, 8, 5, 1, stride=2, grid=grid, kernel=kernel, padding_mode="reflect")
    net = nn.Sequential(lift, *network(grid, num_scales=1, extents=(1, 1))[2:])
    for action in actions(grid):
        assert_equivariant(net, noise(1, 2, *size), grid, *action)


def test_orientations_are_exact_under_autocast() -> None:
    grid = Grid(2, base="3/2", rotations=4, mirrored=True)
    net = network(grid, num_scales=4, extents=(2, 1)).eval()

    def half(x: Tensor) -> list[Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels = net(x)
        assert levels[0].dtype == torch.bfloat16
        return [level.float() for level in levels]

    for action in actions(grid, steps=1):
        assert_equivariant(half, noise(1, 2, 41, 58), grid, *action)


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
    for action in actions(grid, steps=1 if net.encoder.stem[0].num_scales > 1 else 0)[::2]:
        assert_equivariant(levels, x, grid, *action)
    with torch.no_grad():
        for action in actions(grid):
            assert torch.equal(net.eval()(grid.act(x, *action)), net(x))


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


@pytest.mark.parametrize("rotations, mirrored", [(4, False), (8, False), (4, True)])
@pytest.mark.parametrize("channels", [10, 17, 23])
@pytest.mark.parametrize("size", [(7, 7), (23, 29), (15, 15)], ids=str)
def test_kernels_of_one_tap_are_exact(size: tuple[int, int], channels: int, rotations: int, mirrored: bool) -> None:
    """Products of matrices, which round by where in memory an image begins; and what comes behind a batch of frames."""
    grid = Grid(2, rotations=rotations, mirrored=mirrored)
    lift = LiftingConv2d(channels, channels, 1, 1, grid=grid)
    nets = [
        nn.Sequential(lift, GroupConv2d(channels, 8, 1, grid=grid)),
        nn.Sequential(LiftingConv2d(channels, channels, 3, 1, grid=grid), PerLevel(nn.Conv2d(channels, 5, 1))),
        nn.Sequential(lift, GroupConv2d(channels, channels, 3, grid=grid), PerLevel(nn.GroupNorm(1, channels))),
    ]
    for net in nets:
        assert_equivariant(net, noise(1, channels, *size), grid, 0, *actions(grid)[-1][1:])


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.device("meta"), FakeTensorMode])
def test_a_pass_in_another_mode_leaves_nothing_behind(mode: Callable[[], AbstractContextManager[object]]) -> None:
    grid = Grid(2, rotations=4, mirrored=True)
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


def mirrored_and_turned(x: Tensor, mirrors: int, quarters: int) -> Tensor:
    return (x.flip(3) if mirrors % 2 else x).rot90(quarters, (2, 3))


def slow_group_conv(levels: Levels, weight: Tensor, stride: int, groups: int) -> list[Tensor]:
    """The definition, Σ_k align_k(in_(k·h)) ⋆ w_k, orientation by orientation; weight (M, O, C, E, N, k, k).

    An orientation is a turn by r parts of a circle of the image mirrored m times; k is a turn by s, mirrored a times.
    """
    grid, extent = levels.grid, weight.shape[3]
    n, finer = grid.rotations, max(grid.rotations // 4, 1)
    parts, step = list(itertools.product(range(1 + grid.mirrored), range(n))), 4 * finer // n
    output = []
    for scale in range(len(levels) // len(parts) - extent + 1):
        for m, r in parts:
            total = 0
            for k in reversed(range(extent)):
                seen = 0
                for i, (a, s) in enumerate(parts):  # turn_s mirror^a turn_r mirror^m
                    mirrors, turns = (m + a) % 2, (s + (-1) ** a * r) % n
                    level = levels[((scale + k) * (1 + grid.mirrored) + mirrors) * n + turns]
                    upright = mirrored_and_turned(level.rot90(-(turns // finer) * step, (2, 3)), mirrors, 0)
                    there = mirrored_and_turned(upright, m, r // finer * step)
                    kernel = weight[r % finer, :, :, k, i]
                    seen = seen + F.conv2d(there, kernel, None, stride, weight.shape[-1] // 2, groups=groups)
                total = seen + (grid.align(total, seen.shape[2:]) if k < extent - 1 else 0)
            output.append(total)
    return output


@pytest.mark.parametrize("rotations, mirrored", [*GROUPS, (8, False), (8, True), (12, False)])
@pytest.mark.parametrize("scale_extent, stride, groups", [(1, 1, 1), (2, 1, 1), (1, 2, 3), (2, 3, 1)])
@pytest.mark.parametrize("size", [(24, 24), (25, 18)])
def test_group_convolution_is_the_sum_over_scales_and_orientations(
    size: tuple[int, int], scale_extent: int, stride: int, groups: int, rotations: int, mirrored: bool
) -> None:
    grid = Grid(2, rotations=rotations, mirrored=mirrored)
    conv = GroupConv2d(3, 6, 3, scale_extent, stride, groups, bias=False, grid=grid, dtype=torch.float64)
    levels = features(grid, 3, 3, *size, dtype=torch.float64)
    weight = conv.samples() if rotations > 4 else conv.samples()[None]
    for actual, expected in zip(conv(levels), slow_group_conv(levels, weight, stride, groups), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rotations, mirrored", [(4, False), (8, False), (2, True), (4, True)])
def test_gradients_are_those_of_the_slow_version(rotations: int, mirrored: bool) -> None:
    """The gathering has a gradient of its own making, and what it gathers is not kept for it."""
    grid = Grid(2, rotations=rotations, mirrored=mirrored)
    levels = features(grid, 1, 1, 3, 2, batch=1, dtype=torch.float64)
    shape = (1, 1, 1, grid.orientations, 3, 3)
    weight = noise(*(shape if rotations <= 4 else (2, *shape)), dtype=torch.float64).requires_grad_()
    for level in levels:
        level.requires_grad_()

    def fast(weight: Tensor, *levels: Tensor) -> tuple[Tensor, ...]:
        return tuple(functional.group_conv(levels, weight, grid=grid))

    assert torch.autograd.gradcheck(fast, (weight, *levels), check_forward_ad=True)
    if grid.orientations == 4:
        assert torch.autograd.gradgradcheck(fast, (weight, *levels))
    slow = slow_group_conv(levels, weight if rotations > 4 else weight[None], 1, 1)
    heads = [torch.randn_like(level) for level in slow]
    for actual, expected in zip(
        torch.autograd.grad(fast(weight, *levels), (weight, *levels), heads),
        torch.autograd.grad(slow, (weight, *levels), heads),
        strict=True,
    ):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def test_tables_are_kept_up_to_a_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "TABLES_BYTES", 50_000)
    frames._kept.clear()
    grid = Grid(2, rotations=4, mirrored=True)
    conv = GroupConv2d(1, 1, 3, grid=grid)
    for n in range(3, 12):  # of 8 · (n² · 8 · 2) numbers of 4 bytes
        conv(Levels(*(noise(1, 1, n, n) for _ in range(8)), grid=grid))
        assert sum(table.nbytes for tables in frames._kept.values() for table in tables) <= 50_000


def test_ensembles_by_vmap() -> None:
    grid = Grid(2, rotations=4, mirrored=True)
    levels = Levels(*(noise(2, 3, 6, 6) for _ in range(8)), grid=grid)
    for conv, weights in (
        (lambda weight: functional.group_conv(levels, weight, grid=grid), noise(5, 4, 3, 1, 8, 3, 3)),
        (lambda weight: functional.lift(levels[0], weight, num_scales=2, max_pool=2, grid=grid), noise(5, 4, 3, 3, 3)),
    ):
        together = torch.func.vmap(conv)(weights)
        for i, weight in enumerate(weights):
            for actual, expected in zip(together, conv(weight), strict=True):
                torch.testing.assert_close(actual[i], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rotations, mirrored", [(4, False), (8, True), (1, True)])
def test_vmap_over_images_and_forward_derivatives(rotations: int, mirrored: bool) -> None:
    grid = Grid(2, rotations=rotations, mirrored=mirrored)
    layers = LiftingConv2d(3, 4, 3, 2, grid=grid), GroupConv2d(4, 2, 3, grid=grid), OrientationPool("mean")
    net = nn.Sequential(*layers).double()
    images, direction = (noise(2, 1, 3, 12, 13, dtype=torch.float64) for _ in range(2))
    for together, image in zip(torch.func.vmap(net)(images)[0], images, strict=True):
        torch.testing.assert_close(together, net(image)[0], rtol=0, atol=1e-13)

    def f(x: Tensor) -> Tensor:
        return net(x)[0].square()  # a product, so that the derivative depends on x

    step, (x, along) = 1e-6, (images[0], direction[0])
    expected = (f(x + step * along) - f(x - step * along)) / (2 * step)
    torch.testing.assert_close(torch.func.jvp(f, (x,), (along,))[1], expected, rtol=0, atol=1e-8)


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


def test_what_frames_see_may_be_modified_in_place_afterwards() -> None:
    grid = Grid(2, rotations=4, mirrored=True)
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
        (lambda: Grid(1, rotations=4), "only images can be turned or mirrored"),
        (lambda: Grid(2, rotations=3), "rotations must be one of 1, 2, 4, 8, 12, 16, got 3"),
        (lambda: Grid(1).act(noise(1, 1, 9), turns=1), "only images can be turned or mirrored"),
        (lambda: LiftingConv2d(1, 2, (3, 5), 1, grid=Grid(2, rotations=4)), "must be square"),
        (lambda: functional.group_conv([noise(1, 2, 5, 5)] * 3, noise(2, 2, 1, 4, 3, 3), grid=C4), "got 3"),
        (
            lambda: GroupConv2d(2, 2, 3, grid=C4)(Levels([noise(1, 2, 5, 7)] * 4, grid=C4)),
            r"sizes of a turned image, \(5, 7\), \(7, 5\), \(5, 7\), \(7, 5\), got \(5, 7\), \(5, 7\)",
        ),
        (
            lambda: OrientationPool("max")(Levels([noise(1, 2, 5, 7)] * 8, grid=Grid(2, rotations=8))),
            "sizes of a turned image",
        ),
        (
            lambda: functional.group_conv([noise(1, 3, 8, 8)] * 4, noise(4, 3, 1, 2, 3, 3), grid=C4),
            r"needs a weight \(…, 4, k, k\) over orientations, got \(4, 3, 1, 2, 3, 3\)",
        ),
        (
            lambda: functional.lift(noise(1, 1, 9, 9), noise(1, 1, 3, 3), num_scales=1, grid=Grid(2, rotations=8)),
            "angles",
        ),
        (lambda: equivariance_error(nn.Identity(), noise(1, 1, 9, 9), turns=1), "contains no turn by 1 quarters"),
        (lambda: equivariance_error(nn.Identity(), noise(1, 1, 9, 9), Grid(2, rotations=2), turns=1), "1 quarters"),
    ],
)
def test_orientations_that_do_not_fit(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
