"""From learned numbers to samples: splines against scipy, exact turns, kernels in layers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline as ScipyBSpline

from tests.library.networks import noise
from wavenets.kernels import BSpline, Kernel, Samples, ZeroMean, b_spline
from wavenets.nn import LiftingConv1d

KERNELS = [Samples(), ZeroMean(), BSpline(1), BSpline(2), BSpline(3, 1.5)]


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 5])
def test_splines_are_scipys(degree: int) -> None:
    oracle = ScipyBSpline.basis_element(np.arange(degree + 2) - (degree + 1) / 2, extrapolate=False)
    x = np.linspace(-4, 4, 799)  # without the ends of a box
    expected = np.nan_to_num(oracle(x))
    np.testing.assert_allclose(b_spline(torch.from_numpy(x), degree).numpy(), expected, atol=1e-14)


@given(degree=st.integers(0, 5), shift=st.floats(-3, 3))
def test_splines_sum_to_one_and_are_even_to_the_last_bit(degree: int, shift: float) -> None:
    x = torch.arange(-10, 11, dtype=torch.float64) + shift
    assert b_spline(x, degree).sum().item() == pytest.approx(1, abs=1e-12)
    assert torch.equal(b_spline(x, degree), b_spline(-x, degree))


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
    basis = ScipyBSpline.basis_element(knots, extrapolate=False)
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
    basis = ScipyBSpline.basis_element(np.arange(degree + 2) - (degree + 1) / 2, extrapolate=False)
    actual = (kernel.matrix(size, angle) @ weight.flatten()).unflatten(0, size)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    for row in range(7):
        for column in range(7):
            x, y = column - 3, 3 - row
            x, y = cos * x + sin * y, cos * y - sin * x  # turned back
            along_x, along_y = (np.nan_to_num(basis(p / 1.4 - np.arange(-half, half + 1))) for p in (x, -y))
            expected = along_y @ weight.numpy() @ along_x
            assert actual[row, column].item() == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("size", [(5,), (5, 5), (3, 7)])
def test_numbers_are_the_samples_at_degree_one_and_spacing_one(size: tuple[int, ...]) -> None:
    numbers = math.prod(size)
    assert torch.equal(BSpline(degree=1, spacing=1).matrix(size), torch.eye(numbers, dtype=torch.float64))
    assert torch.equal(Samples().matrix(size), torch.eye(numbers, dtype=torch.float64))


@pytest.mark.parametrize("disk", [False, True])
@pytest.mark.parametrize("angle", [0.0, 22.5, 30.0, 45.0])
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_a_quarter_turn_is_a_permutation(kernel: Kernel, angle: float, disk: bool) -> None:
    upright = kernel.matrix((7, 7), angle, disk=disk).unflatten(0, (7, 7))
    for quarters in (1, 2, 3):
        turned = kernel.matrix((7, 7), angle + 90 * quarters, disk=disk).unflatten(0, (7, 7))
        expected = torch.rot90(upright, quarters, (0, 1))
        if isinstance(kernel, ZeroMean):  # a mean is a sum, in another order
            torch.testing.assert_close(turned, expected, rtol=0, atol=1e-15)
        else:
            assert torch.equal(turned, expected)


def test_between_quarter_turns_samples_are_interpolated_bilinearly() -> None:
    numbers = noise(9, 9, dtype=torch.float64)
    turned = (Samples().matrix((9, 9), angle=30) @ numbers.flatten()).view(9, 9)
    cos, sin = math.cos(math.radians(30)), math.sin(math.radians(30))
    for row in range(-2, 3):
        for column in range(-2, 3):
            y, x = cos * row + sin * column + 4, cos * column - sin * row + 4  # turned clockwise, from the corner
            top, left = math.floor(y), math.floor(x)
            a, b = y - top, x - left
            (p, q), (r, s) = numbers[top : top + 2, left : left + 2].tolist()
            expected = (1 - a) * ((1 - b) * p + b * q) + a * ((1 - b) * r + b * s)
            assert turned[row + 4, column + 4].item() == pytest.approx(expected, abs=1e-12)


def test_a_smooth_kernel_turns_as_its_function_does() -> None:
    """A radial function is the same at all angles; splines of degree 2 come near it, the nearer the smoother it is."""
    grid = torch.arange(-7, 8, dtype=torch.float64)
    radial = torch.exp(-(grid[:, None] ** 2 + grid**2) / 12).flatten()
    numbers = torch.linalg.solve(BSpline(2).matrix((15, 15)), radial)
    for angle in (22.5, 30.0, 45.0):
        turned = (BSpline(2).matrix((15, 15), angle) @ numbers).view(15, 15)
        assert (turned - radial.view(15, 15))[3:-3, 3:-3].abs().max() < 2e-3


@pytest.mark.parametrize("angle", [0.0, 22.5, 45.0])
def test_kernels_confined_to_a_disk(angle: float) -> None:
    """Of samples the numbers outside count nothing, of splines the taps."""
    inside = torch.tensor([row**2 + column**2 <= 3.5**2 for row in range(-3, 4) for column in range(-3, 4)])
    for kernel, mask in (Samples(), inside), (BSpline(2), inside[:, None]):
        assert torch.equal(kernel.matrix((7, 7), angle, disk=True), kernel.matrix((7, 7), angle) * mask)
    assert ZeroMean().matrix((7, 7), angle, disk=True).sum(0).abs().max() < 1e-14


def test_a_disk_is_dilated_with_its_kernel() -> None:
    for kernel in Samples(), BSpline(2), ZeroMean():
        dilated = kernel.matrix((5, 5), dilation=2, disk=True)
        assert dilated.shape == (81, 25)
        once = kernel.matrix((5, 5), disk=True)
        if not isinstance(kernel, ZeroMean):  # whose mean is over more taps
            assert torch.equal(dilated.view(9, 9, 25)[::2, ::2].flatten(0, 1), once)
    assert ZeroMean().matrix((5, 5), dilation=2, disk=True).sum(0).abs().max() < 1e-14


def test_values_of_kernels() -> None:
    assert BSpline(2, 3.5).count((31,)) == (9,) and BSpline(2, 2.0).count((7, 5)) == (3, 3)
    assert repr(LiftingConv1d(1, 2, 31, 3, kernel=BSpline(2, 3.5))).count("kernel=BSpline(degree=2, spacing=3.5)") == 1
    for degree, spacing in ((-1, 1.0), (2, 0.0), (1.5, 1.0)):
        with pytest.raises(ValueError, match=f"got {degree} and {spacing}"):
            BSpline(degree, spacing)  # type: ignore[arg-type]
