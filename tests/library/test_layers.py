"""Each layer against a slow, obvious version, at every grid, precision and size of batch."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from tests.library.networks import LAYERS, network, noise, pyramid
from wavenets import Grid
from wavenets.kernels import BSpline, ZeroMean
from wavenets.nn import (
    BatchNorm,
    GatedReadout,
    GroupConv2d,
    LiftingConv1d,
    LiftingConv2d,
    MapReadout,
    OrientationPool,
    Readout,
)

CONV = {1: F.conv1d, 2: F.conv2d}
SIZES = {1: (211,), 2: (37, 23)}
GRIDS = [
    Grid(1),
    Grid(1, "3/2"),
    Grid(2),
    Grid(2, math.sqrt(2)),
    Grid(2, rotations=2),
    Grid(2, math.sqrt(2), rotations=4),
    Grid(2, rotations=8),
    Grid(2, rotations=4, mirrored=True),
]


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("ndim", [1, 2])
def test_lifting_convolves_every_level_with_the_same_kernel(
    ndim: int, stride: int, dtype: torch.dtype, tolerance: float
) -> None:
    lift = LAYERS[ndim][0](2, 5, 7, num_scales=3, stride=stride).to(dtype)
    nn.init.normal_(lift.bias)
    x = noise(2, 2, *SIZES[ndim], dtype=dtype)
    levels = lift(x)
    assert len(levels) == 3
    for level, signal in zip(levels, lift.grid.views(x, 3), strict=True):
        expected = CONV[ndim](signal, lift.weight, lift.bias, stride, padding=3)
        torch.testing.assert_close(level, expected, rtol=0, atol=tolerance)
        assert level.shape[2:] == tuple(math.ceil(n / stride) for n in signal.shape[2:])


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("scale_extent, stride, groups", [(1, 1, 1), (2, 2, 1), (3, 1, 3), (4, 3, 1)])
@pytest.mark.parametrize("ndim", [1, 2])
def test_group_convolution_is_the_sum_over_scales(
    ndim: int, scale_extent: int, stride: int, groups: int, dtype: torch.dtype, tolerance: float
) -> None:
    conv = LAYERS[ndim][1](6, 9, 3, scale_extent, stride, groups).to(dtype)
    nn.init.normal_(conv.bias)
    input = pyramid(6, 4, *SIZES[ndim], dtype=dtype)
    output = conv(input)
    assert len(output) == 4 - scale_extent + 1
    mode = "linear" if ndim == 1 else "bilinear"
    for i, level in enumerate(output):
        terms = [
            CONV[ndim](input[i + k], conv.weight[:, :, k], stride=stride, padding=1, groups=groups)
            for k in range(scale_extent)
        ]
        expected = terms.pop()
        while terms:  # each step is by exactly 2
            finer = terms.pop()
            doubled = F.interpolate(expected, scale_factor=2, mode=mode, align_corners=False)
            expected = finer + doubled[(..., *(slice(n) for n in finer.shape[2:]))]
        torch.testing.assert_close(level, expected + conv.bias.view(-1, *[1] * ndim), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize("size", [(101,), (31, 17)])
def test_batch_norm_shares_statistics_over_levels(size: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    levels = [3 * level + 2 for level in pyramid(4, 3, *size, dtype=dtype)]
    norm = BatchNorm(4).to(dtype)
    nn.init.normal_(norm.norm.weight)
    output = norm(levels)
    flat = torch.cat([level.transpose(0, 1).flatten(1) for level in levels], 1)  # (C, all positions)
    mean, var = flat.mean(1), flat.var(1, correction=0)
    for level, normed in zip(levels, output, strict=True):
        expected = F.batch_norm(level, mean, var, norm.norm.weight, norm.norm.bias)
        torch.testing.assert_close(normed, expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(norm.norm.running_mean, 0.1 * mean, rtol=0, atol=tolerance)
    torch.testing.assert_close(norm.norm.running_var, 0.9 + 0.1 * flat.var(1), rtol=0, atol=10 * tolerance)
    for level, normed in zip(levels, norm.eval()(levels), strict=True):
        expected = F.batch_norm(level, norm.norm.running_mean, norm.norm.running_var, norm.norm.weight, norm.norm.bias)
        torch.testing.assert_close(normed, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": 1, "ceil_mode": True}])
def test_pooling_is_torchs_on_each_level(ndim: int, options: dict) -> None:
    levels = pyramid(3, 3, *SIZES[ndim])
    for ours, torchs in zip(
        LAYERS[ndim][2:], (getattr(F, f"{kind}_pool{ndim}d") for kind in ("max", "avg")), strict=True
    ):
        for level, pooled in zip(levels, ours(3, **options)(levels), strict=True):
            assert torch.equal(pooled, torchs(level, 3, **options))


@pytest.mark.parametrize("ndim", [1, 2])
def test_poolings_have_torchs_options(ndim: int) -> None:
    levels = pyramid(3, 3, *SIZES[ndim])
    ours, torchs = LAYERS[ndim][2:], [getattr(F, f"{kind}_pool{ndim}d") for kind in ("max", "avg")]
    window = [3] if ndim == 1 else [2, 3]
    cases: list[dict[str, Any]] = [
        {"dilation": 2, "stride": 1, "padding": 1},
        {"count_include_pad": False, "padding": 1},
    ]
    for pool, oracle, options in zip(ours, torchs, cases, strict=True):
        for level, pooled in zip(levels, pool(window, **options)(levels), strict=True):
            assert torch.equal(pooled, oracle(level, window, **options))
    with pytest.raises(ValueError, match="smaller than the pooling window, which needs 9 samples"):
        ours[0](3, dilation=4)([torch.randn(1, 1, *[8] * ndim)])


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("ndim", [1, 2])
def test_padding_modes_are_torchs(ndim: int, padding_mode: str) -> None:
    lifting_conv, group_conv, *_ = LAYERS[ndim]
    lift = lifting_conv(2, 4, 7, 2, stride=2, padding_mode=padding_mode).double()
    conv = group_conv(4, 6, 5, stride=2, groups=2, padding_mode=padding_mode).double()
    plain = [
        (nn.Conv1d, nn.Conv2d)[ndim - 1](i, o, k, 2, k // 2, groups=groups, padding_mode=padding_mode).double()
        for i, o, k, groups in ((2, 4, 7, 1), (4, 6, 5, 2))
    ]
    lift.load_state_dict(plain[0].state_dict())
    conv.load_state_dict(plain[1].state_dict())
    x = noise(2, 2, *SIZES[ndim], dtype=torch.float64)
    for level, view in zip(conv(lift(x)), lift.grid.views(x, 2), strict=True):
        torch.testing.assert_close(level, plain[1](plain[0](view)), rtol=0, atol=1e-13)


@pytest.mark.parametrize("padding_mode, least", [("reflect", 4), ("circular", 3)])
def test_padding_of_a_small_level_is_refused(padding_mode: str, least: int) -> None:
    lift = LiftingConv1d(1, 1, 7, 3, padding_mode=padding_mode)
    assert len(lift(torch.randn(1, 1, 4 * least))) == 3
    with pytest.raises(ValueError, match=f"padding_mode='{padding_mode}', which needs at least {least} samples"):
        lift(torch.randn(1, 1, 4 * (least - 1)))


def test_kernels_may_be_oblong() -> None:
    lift, conv = LiftingConv2d(2, 4, (3, 7), 2).double(), GroupConv2d(4, 4, (5, 1), 2).double()
    x = noise(1, 2, *SIZES[2], dtype=torch.float64)
    fine, coarse = (F.conv2d(view, lift.weight, lift.bias, padding=(1, 3)) for view in lift.grid.views(x, 2))
    terms = [F.conv2d(level, conv.weight[:, :, k], padding=(2, 0)) for k, level in enumerate((fine, coarse))]
    expected = terms[0] + Grid(2).align(terms[1], fine.shape[2:])
    torch.testing.assert_close(conv(lift(x))[0], expected, rtol=0, atol=1e-13)
    assert LiftingConv1d(1, 1, (5,), 2).kernel_size == (5,)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_batch_of_nothing(grid: Grid) -> None:
    net = network(grid, num_scales=5).eval()
    size = (400,) if grid.ndim == 1 else (140, 150)
    empty, one = net(noise(0, 2, *size)), net(noise(1, 2, *size))
    assert [level.shape[1:] for level in empty] == [level.shape[1:] for level in one]
    assert all(len(level) == 0 for level in empty)
    assert Readout("max")(empty).shape == (0, 6) == GatedReadout(6, 6)(empty).shape
    if grid.orientations > 1:
        assert OrientationPool("mean")(empty)[0].shape == (0, 6, *one[0].shape[2:]) == MapReadout("mean")(empty).shape


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("grid", [Grid(1), Grid(1, "3/2"), *GRIDS[-4:]], ids=str)
def test_half_precision(grid: Grid, dtype: torch.dtype) -> None:
    net = network(grid, num_scales=5).eval()
    x = noise(1, 2, *((600,) if grid.ndim == 1 else (140, 150)))
    expected = net(x)
    for actual, level in zip(net.to(dtype)(x.to(dtype)), expected, strict=True):
        assert actual.dtype == dtype
        assert (actual.float() - level).norm() < 0.03 * level.norm()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_gradients(grid: Grid) -> None:
    lifting_conv, group_conv, *_ = LAYERS[grid.ndim]
    lift = lifting_conv(1, 2, 3, 3, kernel=ZeroMean(), grid=grid)
    net = nn.Sequential(lift, group_conv(2, 2, 3, scale_extent=2, stride=2, grid=grid)).double()
    names, values = zip(*net.named_parameters(), strict=True)

    def forward(x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(functional_call(net, dict(zip(names, parameters, strict=True)), x))

    x = noise(1, 1, *([13] if grid.ndim == 1 else [9, 7]), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(forward, (x, *values), fast_mode=True)


def test_repr_is_like_torchs() -> None:
    assert repr(LiftingConv1d(1, 51, 79, 9, bias=False)) == (
        "LiftingConv1d(1, 51, kernel_size=79, num_scales=9, stride=1, bias=False, grid=Grid(ndim=1, base=2))"
    )
    assert repr(LiftingConv2d(1, 4, 3, 2, kernel=ZeroMean(), max_pool=2)) == (
        "LiftingConv2d(1, 4, kernel_size=3, num_scales=2, stride=1, max_pool=2, kernel=ZeroMean(), "
        "grid=Grid(ndim=2, base=2))"
    )
    assert repr(GroupConv2d(8, 16, 3, 2, groups=4)) == (
        "GroupConv2d(8, 16, kernel_size=3, scale_extent=2, stride=1, groups=4, grid=Grid(ndim=2, base=2))"
    )
    assert repr(Readout("max")) == "Readout('max')"
    assert repr(LiftingConv2d(1, 4, (3, 5), 2, padding_mode="reflect", kernel=BSpline(2, 1.5))) == (
        "LiftingConv2d(1, 4, kernel_size=(3, 5), num_scales=2, stride=1, padding_mode='reflect', "
        "kernel=BSpline(degree=2, spacing=1.5), grid=Grid(ndim=2, base=2))"
    )
