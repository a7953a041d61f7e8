"""Kernels as matrices, against scipy's splines and obvious interpolation; and what they are in a layer."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline as ScipySpline
from torch import Tensor, nn

from tests.networks import LAYERS, noise
from wavenets import Grid
from wavenets.kernels import BSpline, Kernel, Samples, ZeroMean, b_spline
from wavenets.losses import admissibility
from wavenets.nn import GroupConv1d, GroupConv2d, LiftingConv1d, LiftingConv2d, PerScale

KERNELS = [Samples(), ZeroMean(), BSpline(), BSpline(3, 1.5), BSpline(1, 2.0)]


@pytest.mark.parametrize("degree", range(6))
def test_splines_are_scipys(degree: int) -> None:
    knots = np.arange(degree + 2) - (degree + 1) / 2
    x = np.random.default_rng(0).uniform(-4, 4, 1000)
    expected = np.nan_to_num(ScipySpline.basis_element(knots, extrapolate=False)(x))
    np.testing.assert_allclose(b_spline(torch.from_numpy(x), degree).numpy(), expected, atol=1e-14)


@settings(deadline=None)
@given(
    taps=st.integers(1, 15),
    degree=st.integers(1, 4),
    spacing=st.floats(0.7, 4),
    dilation=st.floats(1, 3),
)
def test_matrices_hold_splines_around_the_centre(taps: int, degree: int, spacing: float, dilation: float) -> None:
    taps = 2 * taps + 1
    kernel = BSpline(degree, spacing)
    (numbers,) = kernel.count((taps,))
    reach, half = math.floor(dilation * (taps // 2)), numbers // 2
    knots = np.arange(degree + 2) - (degree + 1) / 2
    basis = ScipySpline.basis_element(knots, extrapolate=False)
    x, c = np.arange(-reach, reach + 1)[:, None], np.arange(-half, half + 1)
    expected = np.nan_to_num(basis(x / dilation / spacing - c))
    matrix = kernel.matrix((taps,), dilation=dilation)
    np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("angle", [0.0, 22.5, 30.0, 45.0, 100.0])
def test_turned_matrices_sample_the_turned_kernel(degree: int, angle: float) -> None:
    """ψ(R⁻¹x), with x, y upwards as in a textbook and scipy's splines."""
    kernel, size = BSpline(degree, 1.4), (7, 7)
    weight = noise(*kernel.count(size), dtype=torch.float64)
    half = weight.shape[0] // 2
    basis = ScipySpline.basis_element(np.arange(degree + 2) - (degree + 1) / 2, extrapolate=False)
    actual = (kernel.matrix(size, angle) @ weight.flatten()).unflatten(0, size)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    for row in range(7):
        for column in range(7):
            x, y = column - 3, 3 - row
            x, y = cos * x + sin * y, cos * y - sin * x  # turned back
            along_x, along_y = (np.nan_to_num(basis(p / 1.4 - np.arange(-half, half + 1))) for p in (x, -y))
            expected = along_y @ weight.numpy() @ along_x
            assert actual[row, column].item() == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("disk", [False, True])
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("taps", [1, 3, 5, 7])
def test_quarter_turns_are_exact(kernel: Kernel, taps: int, disk: bool) -> None:
    size = taps, taps
    weight = noise(*kernel.count(size), dtype=torch.float64)
    upright = kernel.matrix(size, 0.0, disk=disk)
    for quarters in range(4):
        matrix = kernel.matrix(size, 90.0 * quarters, disk=disk)
        turned = upright.unflatten(0, size).rot90(quarters, (0, 1)).flatten(0, 1)
        assert torch.equal(matrix, turned)
        if isinstance(kernel, Samples) and not disk:  # a permutation
            assert torch.equal((matrix @ weight.flatten()).unflatten(0, size), weight.rot90(quarters))
            assert torch.equal(matrix.sum(0), torch.ones(taps**2).double()) and set(matrix.unique().tolist()) <= {0, 1}


@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0])
def test_splines_of_degree_one_are_samples(angle: float) -> None:
    assert torch.equal(BSpline(1, 1.0).matrix((5, 5), angle), Samples().matrix((5, 5), angle))
    assert torch.equal(BSpline(1, 1.0).matrix((9,)), torch.eye(9).double())


@pytest.mark.parametrize("angle", [22.5, 30.0, 45.0])
def test_samples_between_quarter_turns_are_bilinear(angle: float) -> None:
    weight = noise(7, 7, dtype=torch.float64)
    radians = math.radians(angle)
    cos, sin = math.cos(radians), math.sin(radians)
    theta = torch.tensor([[cos, -sin, 0], [sin, cos, 0]], dtype=torch.float64)
    field = F.affine_grid(theta[None], [1, 1, 7, 7], align_corners=True)
    expected = F.grid_sample(weight[None, None], field, "bilinear", "zeros", align_corners=True)[0, 0]
    actual = (Samples().matrix((7, 7), angle) @ weight.flatten()).unflatten(0, (7, 7))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-13)
    inside = Samples().matrix((7, 7), angle, disk=True).any(0).unflatten(0, (7, 7))
    assert inside[3].all() and not inside[0, :2].any() and torch.equal(inside, inside.rot90())


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda kernel: LiftingConv1d(8, 64, 9, num_scales=1, kernel=kernel),
        lambda kernel: GroupConv1d(8, 64, 9, scale_extent=3, kernel=kernel),
        lambda kernel: LiftingConv2d(8, 64, (5, 7), num_scales=1, kernel=kernel),
        lambda kernel: GroupConv2d(4, 64, 5, kernel=kernel, grid=Grid(2, rotations=4)),
        lambda kernel: GroupConv2d(2, 64, 5, kernel=kernel, grid=Grid(2, rotations=8)),
    ],
)
def test_initialisation_preserves_the_variance(make: Callable[[Kernel], nn.Module], kernel: Kernel) -> None:
    layer = make(kernel)
    assert not layer.bias.any()
    # On white noise at equal rates (no interpolation), with scales and turns in the sum, on average over the angles:
    samples = layer.samples().detach().unflatten(0, (-1, 64)) if layer.grid.rotations <= 4 else layer.samples().detach()
    variances = [kernels.flatten(1) @ noise(kernels[0].numel(), 2000) for kernels in samples]
    assert torch.stack(variances).var().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("rotations", [1, 8])
@pytest.mark.parametrize("ndim", [1, 2])
def test_zero_mean_kernels_are_wavelets_also_after_training(ndim: int, rotations: int) -> None:
    grid = Grid(ndim, rotations=rotations if ndim == 2 else 1)
    lift = LAYERS[ndim][0](1, 4, 5, num_scales=2, bias=False, kernel=ZeroMean(), grid=grid).double()
    constant = torch.ones(1, 1, *[64] * ndim, dtype=torch.float64)
    inner = (..., *[slice(12, 20)] * ndim)
    optimizer = torch.optim.SGD(lift.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        sum(level.square().sum() for level in lift(torch.rand_like(constant))).backward()
        optimizer.step()
    with torch.no_grad():
        lift.weight += 1  # a drift that training could bring
    assert max(level[inner].abs().max() for level in lift(constant)) < 1e-12
    assert lift.samples().flatten(-ndim).sum(-1).abs().max() < 1e-13
    if grid.rotations == 1:
        expected = lift.weight - lift.weight.mean(dim=tuple(range(2, 2 + ndim)), keepdim=True)
        torch.testing.assert_close(lift.wavelets, expected, rtol=0, atol=1e-13)


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


class TestAtrous:
    """A kernel of 31 taps from 9 numbers."""

    kernel = BSpline(2, 3.5)

    def test_learns_a_smooth_kernel(self) -> None:
        lift = LiftingConv1d(1, 1, 31, 2, bias=False, kernel=self.kernel)
        assert lift.weight.shape == (1, 1, 9) and lift.wavelets.shape == (1, 1, 31)
        t = torch.arange(-15.0, 16)
        target = torch.cos(t / 4) * torch.exp(-(t**2) / 60)
        x = noise(8, 1, 200)
        goal = F.conv1d(x, target[None, None], padding=15)
        optimizer = torch.optim.LBFGS(lift.parameters(), max_iter=50)

        def loss() -> Tensor:
            optimizer.zero_grad()
            error = (lift(x)[0] - goal).square().mean() / goal.square().mean()
            error.backward()
            return error

        optimizer.step(loss)
        assert loss() < 1e-3

    def test_gradients(self) -> None:
        layers = LiftingConv1d(1, 2, 31, 2, kernel=self.kernel), GroupConv1d(2, 2, 31, 2, kernel=self.kernel)
        net = nn.Sequential(*layers).double()
        names, values = zip(*net.named_parameters(), strict=True)
        x = noise(1, 1, 60, dtype=torch.float64).requires_grad_()

        def forward(x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
            return tuple(torch.func.functional_call(net, dict(zip(names, parameters, strict=True)), x))

        assert torch.autograd.gradcheck(forward, (x, *values))


@pytest.mark.parametrize(
    "kernel, whole, error",
    [
        (BSpline(2, 2.0), True, 1e-3),
        (BSpline(3, 2.0), True, 1e-4),
        (BSpline(3, 3.0), True, 1e-4),
        (BSpline(3, 3.0), False, 0.05),  # a spline that the kernel's end cuts off is no longer smooth
    ],
)
def test_undecimated_levels_of_any_base_agree_at_shared_points(kernel: BSpline, whole: bool, error: float) -> None:
    """Of a band-limited signal: the sum over a level's samples stands for the same integral as that at full rate."""
    time = torch.arange(1200, dtype=torch.float64)
    x = sum(torch.cos(2 * math.pi * f * time + f * 99) for f in (0.004, 0.011, 0.019, 0.027))[None, None]
    grids = (Grid(1, "3/2", decimated=kind) for kind in (True, False))
    decimated, undecimated = (LiftingConv1d(1, 4, 25, 3, grid=grid, kernel=kernel).double() for grid in grids)
    if whole:
        with torch.no_grad():
            decimated.weight[..., [0, 1, -2, -1]] = 0
    undecimated.weight, undecimated.bias = decimated.weight, decimated.bias
    for i, (level, full) in enumerate(zip(decimated(x), undecimated(x), strict=True)):
        shared = level[..., :: 2**i]  # sample n of level i is at n (3/2)^i: every 2^i-th is at a whole place
        full = full[..., :: 3**i][..., : shared.shape[-1]]
        inner = (..., slice(40, -40))
        assert (shared - full)[inner].norm() < error * full[inner].norm()
        if i == 0:
            torch.testing.assert_close(level, full)
