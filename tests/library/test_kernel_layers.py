"""Kernels in layers: their variance, wavelets by construction, long kernels from few numbers, undecimated grids."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from tests.library.networks import LAYERS, noise
from wavenets import Grid, undecimated
from wavenets.kernels import BSpline, Kernel, Samples, ZeroMean
from wavenets.losses import admissibility
from wavenets.nn import GroupConv1d, LiftingConv1d, LiftingConv2d, PerLevel, Readout
from wavenets.testing import assert_equivariant

KERNELS = [Samples(), ZeroMean(), BSpline(1), BSpline(2), BSpline(3, 1.5)]


@pytest.mark.parametrize("kernel", [*KERNELS, BSpline(2, 3.5)], ids=str)
@pytest.mark.parametrize("rotations", [1, 8])
def test_initialisation_preserves_the_variance(kernel: Kernel, rotations: int) -> None:
    torch.manual_seed(0)
    lift = LiftingConv2d(4, 512, 7, num_scales=1, kernel=kernel, grid=Grid(2, rotations=rotations))
    # On white noise the variance of an output is the sum of the squares of its kernel.
    assert lift.samples().square().sum((-3, -2, -1)).mean().item() == pytest.approx(1, abs=0.1)
    assert not lift.bias.any()


def test_the_fan_in_counts_scales() -> None:
    conv = GroupConv1d(8, 64, 9, scale_extent=3)
    assert conv.weight.var().item() * 8 * 9 * 3 == pytest.approx(1, abs=0.1)
    columns = noise(8 * 9 * 3, 4000)  # on white noise at equal rates, without interpolation
    assert (conv.weight.flatten(1) @ columns).var().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("layer", [LiftingConv1d, LiftingConv2d])
def test_zero_mean_kernels_are_wavelets_also_after_training(layer: type[LiftingConv1d] | type[LiftingConv2d]) -> None:
    lift = layer(1, 4, 5, num_scales=2, bias=False, kernel=ZeroMean()).double()
    constant = torch.ones(1, 1, *[64] * lift.ndim, dtype=torch.float64)
    inner = (..., *[slice(12, 20)] * lift.ndim)
    sum(level.square().sum() for level in lift(torch.rand_like(constant))).backward()
    with torch.no_grad():
        lift.weight += lift.weight.grad + 1  # the step of an optimizer, and a drift that training could bring
    assert max(level[inner].abs().max() for level in lift(constant)) < 1e-14 * lift.weight.abs().max() * 5**lift.ndim
    expected = lift.weight - lift.weight.mean(dim=tuple(range(2, 2 + lift.ndim)), keepdim=True)
    torch.testing.assert_close(lift.wavelets, expected, rtol=1e-13, atol=1e-13)


def test_admissibility_is_the_squared_mean_of_the_kernels() -> None:
    net = nn.Sequential(LiftingConv1d(2, 3, 5, 2), PerLevel(nn.ReLU()), GroupConv1d(3, 4, 3))
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


def test_one_tap_of_zero_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="a kernel of one tap and zero mean is 0"):
        LiftingConv1d(1, 1, 1, 1, kernel=ZeroMean())


def test_zero_mean_holds_at_all_angles() -> None:
    lift = LiftingConv2d(2, 3, 5, num_scales=1, kernel=ZeroMean(), grid=Grid(2, rotations=12), dtype=torch.float64)
    assert lift.samples().shape == (3, 3, 2, 5, 5)
    assert lift.samples().sum((-1, -2)).abs().max() < 1e-14


def test_a_long_kernel_from_few_numbers_trains() -> None:
    layer = LiftingConv1d(1, 2, 31, num_scales=2, kernel=BSpline(degree=2, spacing=3.5)).double()
    assert layer.weight.shape == (2, 1, 9) and layer.wavelets.shape == (2, 1, 31)
    target = torch.exp(-(torch.arange(-15, 16) ** 2) / 50.0).double() * torch.cos(torch.arange(-15, 16) / 3.0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(300):
        loss = (layer.wavelets[0, 0] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3

    conv = GroupConv1d(2, 2, 7, scale_extent=2, kernel=BSpline(2, 1.5)).double()
    x = noise(1, 1, 21, dtype=torch.float64)

    def net(lifting: Tensor, weight: Tensor) -> Tensor:
        levels = torch.func.functional_call(layer, {"weight": lifting}, x)
        return torch.func.functional_call(conv, {"weight": weight}, (levels,))[0]

    assert torch.autograd.gradcheck(net, (layer.weight, conv.weight))


def test_the_kernels_of_a_pruned_layer_have_its_dtype() -> None:
    layer = prune.l1_unstructured(LiftingConv1d(1, 2, 9, num_scales=2, kernel=BSpline(2, 2.0)), "weight", 0.5)
    layer.double()
    assert all(level.dtype == torch.float64 for level in layer(noise(1, 1, 64, dtype=torch.float64)))


@pytest.mark.parametrize("rotations", [4, 8])
@pytest.mark.parametrize("kernel", [ZeroMean(), BSpline(2), BSpline(2, 1.5)], ids=str)
def test_networks_of_any_kernel_are_exact(kernel: Kernel, rotations: int) -> None:
    grid = Grid(2, base="3/2", rotations=rotations)
    lifting_conv, group_conv, *_ = LAYERS[2]
    net = nn.Sequential(
        lifting_conv(1, 4, 7, 3, grid=grid, kernel=kernel),
        PerLevel(nn.ReLU()),
        group_conv(4, 4, 5, 2, stride=2, grid=grid, kernel=kernel),
    )
    assert_equivariant(net, noise(1, 1, 45, 38), grid, steps=1, turns=3)


def test_undecimated_grids_of_any_base_agree_with_decimated_ones_on_smooth_signals() -> None:
    """Both sum a smooth kernel times a band-limited signal, one over each sample, one over every (3/2)^i-th."""
    options = {"kernel_size": 31, "num_scales": 4, "bias": False, "kernel": BSpline(2, spacing=3.0)}
    lift = LiftingConv1d(1, 6, grid=Grid(1, "3/2"), dtype=torch.float64, **options)
    with torch.no_grad():  # the outer splines would be cut, and their sums not smooth
        lift.weight[..., [0, 1, -2, -1]] = 0
    time = torch.arange(4320, dtype=torch.float64)
    x = sum(torch.sin(time * 2 * math.pi / period + period) for period in (24, 31, 57, 110))[None, None]
    for i, (level, full) in enumerate(zip(lift(x), undecimated.lift(lift, x), strict=True)):
        step, stride = 2**i, 3**i  # sample 2^i·n of the level lies at sample 3^i·n of the signal
        shared, expected = level[..., ::step], full[..., ::stride]
        inner = slice(20, min(shared.shape[2], expected.shape[2]) - 20)
        error = (shared - expected)[..., inner].norm() / expected[..., inner].norm()
        assert error < (1e-12 if i == 0 else 1e-3), i


def test_the_undecimated_form_of_another_base_needs_splines() -> None:
    grid, x = Grid(1, "3/2"), noise(1, 1, 100)
    with pytest.raises(ValueError, match="needs a BSpline kernel and stride=1"):
        undecimated.lift(LiftingConv1d(1, 2, 5, 3, grid=grid), x)
    levels = undecimated.lift(LiftingConv1d(1, 2, 5, 3, grid=grid, kernel=BSpline()), x)
    with pytest.raises(ValueError, match="needs a BSpline kernel and stride=1"):
        undecimated.group_conv(GroupConv1d(2, 2, 3, grid=grid), levels)
    with pytest.raises(ValueError, match="cannot be brought together: use scale_extent=1"):
        undecimated.group_conv(GroupConv1d(2, 2, 3, 2, grid=grid, kernel=BSpline()), levels)


def test_in_float64_the_samples_are_exact_also_after_a_change_of_precision() -> None:
    lift = LiftingConv1d(1, 2, 15, 2, kernel=BSpline(3, 2.5))
    expected = lift.weight.double() @ BSpline(3, 2.5).matrix((15,)).T
    for other in lift.double(), lift.float().double():
        torch.testing.assert_close(other.wavelets, expected, rtol=0, atol=1e-15)


def test_readout_of_turned_kernels_hears_a_turned_image() -> None:
    """At 45° eight orientations stay near, four do not: a blurred image, invariant features."""
    axis = torch.linspace(-1, 1, 65)
    y, x = axis[:, None], axis[None]
    window = torch.exp(-(x**2 + y**2) * 6)

    def image(angle: float) -> Tensor:
        u = math.cos(math.radians(angle)) * x + math.sin(math.radians(angle)) * y
        return (window * torch.sin(9 * u))[None, None]

    def error(rotations: int) -> float:
        torch.manual_seed(1)
        lift = LiftingConv2d(1, 64, 11, 1, bias=False, kernel=BSpline(2, 2.5), grid=Grid(2, rotations=rotations))
        net = nn.Sequential(lift, PerLevel(nn.ReLU()), Readout("max"))
        with torch.no_grad():
            upright, turned = net(image(0)), net(image(45))
        return ((turned - upright).norm() / upright.norm()).item()

    assert error(8) < 0.03 < 0.1 < error(4)
