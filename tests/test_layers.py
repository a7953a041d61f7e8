"""Each layer against a slow, obvious version, and as a citizen of torch."""

import math
import pickle
import shutil
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.networks import LAYERS, network, noise
from wavenets import Grid, functional
from wavenets.kernels import ZeroMean
from wavenets.losses import admissibility
from wavenets.nn import (
    GroupConv1d,
    GroupConv2d,
    LiftingConv1d,
    LiftingConv2d,
    PerScale,
    ScaleAvgPool1d,
    ScaleBatchNorm,
    ScaleMaxPool1d,
    ScaleReadout,
)

DTYPES = [torch.float32, torch.float64]
CONV = {1: F.conv1d, 2: F.conv2d}
SIZES = {1: (211,), 2: (37, 23)}


def pyramid(channels: int, num_scales: int, *size: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Random features on the group, of the sizes that T gives."""
    levels = Grid(len(size)).views(torch.zeros(2, channels, *size, dtype=dtype), num_scales)
    return [torch.randn_like(level) for level in levels]


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
        size = [math.ceil(n / stride) for n in input[i].shape[2:]]
        expected = conv.bias.view(-1, *[1] * ndim).expand(2, 9, *size)
        for k in range(scale_extent):
            term = CONV[ndim](input[i + k], conv.weight[:, :, k], stride=stride, padding=1, groups=groups)
            expected = expected + F.interpolate(term, size=size, mode=mode, align_corners=False)
        torch.testing.assert_close(level, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("layer", [LiftingConv1d(8, 64, 9, num_scales=1), GroupConv1d(8, 64, 9, scale_extent=3)])
def test_initialisation_preserves_the_variance(layer: LiftingConv1d | GroupConv1d) -> None:
    fan_in = layer.weight[0].numel()
    assert layer.weight.var().item() * fan_in == pytest.approx(1, abs=0.1)
    assert not layer.bias.any()
    # On white noise at equal rates (no interpolation), with the scale axis in the sum:
    columns = noise(fan_in, 4000)
    assert (layer.weight.flatten(1) @ columns).var().item() == pytest.approx(1, abs=0.1)


def test_admissibility_is_the_squared_mean_of_the_kernels() -> None:
    net = nn.Sequential(LiftingConv1d(2, 3, 5, 2), PerScale(nn.ReLU()), GroupConv1d(3, 4, 3))
    expected = sum(net[0].weight[o, c].mean() ** 2 for o in range(3) for c in range(2))
    torch.testing.assert_close(admissibility(net), expected)
    optimizer = torch.optim.SGD(net.parameters(), lr=2.0)
    for _ in range(50):
        optimizer.zero_grad()
        admissibility(net).backward()
        optimizer.step()
    assert admissibility(net) < 1e-10
    assert admissibility(LiftingConv2d(1, 2, 3, 2, kernel=ZeroMean())) < 1e-12
    with pytest.raises(ValueError, match="Linear has no lifting convolution"):
        admissibility(nn.Linear(2, 2))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize("size", [(101,), (31, 17)])
def test_batch_norm_shares_statistics_over_levels(size: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    levels = [3 * level + 2 for level in pyramid(4, 3, *size, dtype=dtype)]
    norm = ScaleBatchNorm(4).to(dtype)
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


def test_synchronised_batch_norm_finds_the_shared_one() -> None:
    net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(ScaleBatchNorm(3)))
    assert isinstance(net[0].norm, nn.SyncBatchNorm)


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": 1, "ceil_mode": True}])
def test_pooling_is_torchs_on_each_level(ndim: int, options: dict) -> None:
    levels = pyramid(3, 3, *SIZES[ndim])
    for ours, torchs in zip(
        LAYERS[ndim][2:], (getattr(F, f"{kind}_pool{ndim}d") for kind in ("max", "avg")), strict=True
    ):
        for level, pooled in zip(levels, ours(3, **options)(levels), strict=True):
            assert torch.equal(pooled, torchs(level, 3, **options))


@given(
    readout=st.sampled_from(["finest", "max", "mean", "logsumexp"]),
    num_scales=st.integers(1, 4),
    ndim=st.integers(0, 2),
)
def test_readout_reduces_the_averages_of_the_levels(readout: str, num_scales: int, ndim: int) -> None:
    levels = [noise(2, 3, *[11 - i] * ndim, dtype=torch.float64) for i in range(num_scales)]
    averages = torch.stack([level.reshape(2, 3, -1).sum(-1) / (11 - i) ** ndim for i, level in enumerate(levels)])
    expected = {
        "finest": averages[0],
        "max": averages.max(0).values,
        "mean": averages.sum(0) / num_scales,
        "logsumexp": averages.exp().sum(0).log(),
    }[readout]
    torch.testing.assert_close(ScaleReadout(readout)(levels), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "grid",
    [Grid(1, "3/2"), Grid(1, decimated=False), Grid(2, 1.5), Grid(2, decimated=False)],
    ids=str,
)
def test_gradients(grid: Grid) -> None:
    lifting_conv, group_conv, *_ = LAYERS[grid.ndim]
    lift = lifting_conv(1, 2, 3, 3, kernel=ZeroMean(), grid=grid).double()
    conv = group_conv(2, 2, 3, scale_extent=2, stride=2, grid=grid).double()

    def net(x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        lifted = functional.lift(x, *parameters[:2], num_scales=3, grid=grid)
        return tuple(functional.group_conv(lifted, *parameters[2:], stride=2, grid=grid))

    x = noise(1, 1, *([13] if grid.ndim == 1 else [9, 7]), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(net, (x, lift.weight, lift.bias, conv.weight, conv.bias))


@pytest.mark.parametrize(
    "grid, size",
    [(Grid(1), (997,)), (Grid(1, "5/4"), (997,)), (Grid(2, math.sqrt(2)), (61, 47))],
    ids=str,
)
class TestAsACitizenOfTorch:
    @pytest.fixture
    def net(self, grid: Grid) -> nn.Module:
        return network(grid, num_scales=6 if grid.base == 2 else 5).eval()

    @pytest.fixture
    def x(self, size: tuple[int, ...]) -> Tensor:
        return noise(2, 2, *size)

    def test_compiles_as_one_graph(self, net: nn.Module, x: Tensor) -> None:
        for actual, expected in zip(torch.compile(net, fullgraph=True, backend="aot_eager")(x), net(x), strict=True):
            torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)

    def test_exports_with_a_dynamic_batch(self, net: nn.Module, x: Tensor) -> None:
        exported = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
        batch = torch.cat([x, noise(*x.shape), x[:1]])
        for actual, expected in zip(exported.module()(batch), net(batch), strict=True):
            torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)

    def test_keeps_its_channels_last_in_memory(self, net: nn.Module, x: Tensor) -> None:
        """Several times faster than channels first, in pooling above all."""
        for module in net.train():
            x = module(x)
            assert all(level.movedim(1, -1).stride()[-1] == 1 for level in x), module

    def test_takes_a_memory_format(self, net: nn.Module, x: Tensor) -> None:
        expected = net(x)
        (expected[0].sum() + net.to(memory_format=torch.channels_last)(x)[0].sum()).backward()
        for actual, level in zip(net.to(memory_format=torch.channels_last)(x), expected, strict=True):
            torch.testing.assert_close(actual, level, rtol=0, atol=1e-5)

    def test_pickles(self, net: nn.Module, x: Tensor) -> None:
        for actual, expected in zip(pickle.loads(pickle.dumps(net))(x), net(x), strict=True):
            assert torch.equal(actual, expected)

    def test_loads_its_state(self, net: nn.Module, grid: Grid, x: Tensor) -> None:
        other = network(grid, num_scales=net[0].num_scales).eval()
        other.load_state_dict(net.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(other(x), net(x), strict=True))

    def test_runs_under_autocast(self, net: nn.Module, x: Tensor) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = net.train()(x)
        sum(level.float().square().mean() for level in half).backward()
        assert all(level.dtype == torch.bfloat16 and level.isfinite().all() for level in half)
        assert all(parameter.grad.isfinite().all() for parameter in net.parameters())

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_runs_on_a_gpu(self, net: nn.Module, x: Tensor) -> None:
        net, x = net.double(), x.double()
        expected = net(x)
        for actual, level in zip(net.cuda()(x.cuda()), expected, strict=True):
            torch.testing.assert_close(actual.cpu(), level, rtol=0, atol=1e-10)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_compiles_to_machine_code() -> None:
    net = nn.Sequential(LiftingConv1d(1, 3, 5, 3), ScaleBatchNorm(3), GroupConv1d(3, 2, 3, scale_extent=2)).eval()
    x = noise(2, 1, 101)
    for actual, expected in zip(torch.compile(net, fullgraph=True)(x), net(x), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


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
    assert repr(ScaleReadout("max")) == "ScaleReadout('max')"


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: LiftingConv1d(1, 2, 4, 3), "kernel_size must be odd .* got 4"),
        (lambda: GroupConv2d(1, 2, 6), "kernel_size must be odd .* got 6"),
        (lambda: LiftingConv1d(1, 2, 3, 0), "num_scales must be at least 1, got 0"),
        (lambda: GroupConv1d(1, 2, 3, scale_extent=0), "scale_extent must be at least 1, got 0"),
        (lambda: GroupConv1d(4, 6, 3, groups=4), "groups=4 must divide in_channels=4 and out_channels=6"),
        (lambda: GroupConv1d(4, 6, 3, stride=0), "stride must be at least 1, got 0"),
        (lambda: LiftingConv1d(1, 2, 3, 3, grid=Grid(2)), r"ndim=1, got Grid\(ndim=2, base=2\)"),
        (lambda: LiftingConv1d(1, 2, 3, 3, max_pool=0), "max_pool must be at least 1, got 0"),
        (lambda: ScaleReadout("sum"), "one of finest, max, mean, logsumexp, got 'sum'"),
    ],
)
def test_arguments_out_of_range(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "module, input, message",
    [
        (LiftingConv1d(2, 3, 3, 2), noise(2, 50), r"shape \(B, C, L\), got \(2, 50\)"),
        (LiftingConv2d(2, 3, 3, 2), noise(2, 2, 50), r"shape \(B, C, H, W\), got \(2, 2, 50\)"),
        (LiftingConv1d(2, 3, 3, 2), noise(1, 3, 50), r"2 input channels, got 3 in an input of shape \(1, 3, 50\)"),
        (LiftingConv1d(1, 3, 3, 2), torch.ones(1, 1, 50, dtype=torch.int64), "floating-point input, got torch.int64"),
        (LiftingConv1d(1, 3, 3, 9), noise(1, 1, 100), "too short for 9 scales of base 2: .* at least 129 samples"),
        (LiftingConv2d(1, 3, 3, 5), noise(1, 1, 64, 9), "too short for 5 scales of base 2: .* at least 11 samples"),
        (LiftingConv1d(1, 3, 3, 3, max_pool=4), noise(1, 1, 12), r"level 2 of size \(3,\) is smaller than max_pool=4"),
        (LiftingConv2d(1, 3, 3, 2, 3, max_pool=3), noise(1, 1, 99, 12), r"level 1 of size \(17, 2\) is smaller than"),
        (GroupConv1d(4, 4, 3, scale_extent=3), pyramid(4, 2, 50), "scale extent of 3 needs at least 3 levels, got 2"),
        (GroupConv1d(4, 4, 3), pyramid(3, 2, 50), "4 input channels, got 3"),
        (GroupConv1d(4, 4, 3), pyramid(4, 2, 50, 50), r"shape \(B, C, L\), got \(2, 4, 50, 50\)"),
        (ScaleMaxPool1d(5), pyramid(4, 5, 50), r"level 4 of size \(4,\) is smaller .* needs 5 samples"),
        (ScaleAvgPool1d(9), pyramid(4, 4, 50), r"level 3 of size \(7,\) is smaller .* needs 9 samples"),
    ],
)
def test_inputs_that_do_not_fit(module: nn.Module, input: Tensor | list[Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(input)


def test_functional_refuses_even_kernels() -> None:
    with pytest.raises(ValueError, match=r"odd sizes .* got \(3, 4\)"):
        functional.lift(noise(1, 1, 9, 9), noise(1, 1, 3, 4), num_scales=1)
