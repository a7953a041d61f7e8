"""Kernels: how the numbers that a layer learns become samples, by one matrix for every angle and dilation.

All kernels are interpolations by centred cardinal B-splines B_n: ψ(x) = Σ_c w_c Π_d B_n(x_d / spacing - c_d). Tap x of
the kernel turned by an angle and dilated by s is ψ(R⁻¹x / s). With n = 1 and spacing 1 this is bilinear interpolation
of the numbers themselves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Kernel(Protocol):
    """The interface of a kernel: how many numbers a layer learns, and how samples are computed from them."""

    def count(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return how many numbers are learned along each dimension of a kernel with ``size`` taps."""

    def matrix(self, size: Sequence[int], angle: float = 0.0, dilation: float = 1.0, disk: bool = False) -> Tensor:
        """Return the map from numbers to samples, in float64, of shape (taps, numbers), both flattened.

        Args:
            size: Number of taps along each dimension, before the dilation.
            angle: Angle in degrees by which the kernel is turned counterclockwise (2D).
            dilation: Factor by which the kernel is dilated: it then has 2·⌊dilation·(size // 2)⌋ + 1 taps.
            disk: If True, the kernel is confined to the disk inside the square, so that turning cuts no corners off.
        """


@dataclass(frozen=True)
class Samples:
    """A kernel whose samples are the learned numbers, interpolated bilinearly at angles between quarter turns.

    Bekkers & Lafarge et al., MICCAI 2018 (arXiv 1804.03393). At multiples of 90° the matrix is exactly a permutation.
    The disk confines the numbers, not the taps: taps would be cut off differently at every angle, which doubles the
    error between quarter turns.

    Example:
        >>> torch.equal(Samples().matrix((3, 3)), torch.eye(9, dtype=torch.float64))
        True
    """

    def count(self, size: Sequence[int]) -> tuple[int, ...]:
        return tuple(size)

    def matrix(self, size: Sequence[int], angle: float = 0.0, dilation: float = 1.0, disk: bool = False) -> Tensor:
        matrix = _spline(size, self.count(size), 1, 1.0, angle, dilation)
        return matrix * _disk(size) if disk else matrix


@dataclass(frozen=True)
class ZeroMean:
    """A kernel that is a wavelet by construction: ``Samples`` minus their mean, so that Σψ = 0.

    Raises:
        ValueError: In a layer, if the kernel has one tap only, which would be 0.

    Example:
        >>> samples = ZeroMean().matrix((5,)) @ torch.randn(5, dtype=torch.float64)
        >>> bool(samples.sum().abs() < 1e-12)
        True
    """

    def count(self, size: Sequence[int]) -> tuple[int, ...]:
        if math.prod(size) == 1:
            raise ValueError("a kernel of one tap and zero mean is 0: use a larger kernel_size, or Samples()")
        return tuple(size)

    def matrix(self, size: Sequence[int], angle: float = 0.0, dilation: float = 1.0, disk: bool = False) -> Tensor:
        samples = Samples().matrix(size, angle, dilation, disk)
        inside = _disk(size, dilation) if disk else torch.ones(len(samples), dtype=samples.dtype)
        return samples - inside[:, None] * samples.sum(0) / inside.sum()


@dataclass(frozen=True)
class BSpline:
    """A smooth kernel made of centred cardinal B-splines, which is sampled at any angle and scale.

    Bekkers, ICLR 2020 (arXiv 1909.12057). With a spacing above 1 a long kernel has few numbers, one for every
    ``spacing`` taps, from the centre outwards (the "atrous" form). The outermost splines are cut off at the end of the
    kernel.

    Args:
        degree: Degree of the splines: 0 is a box, 1 a triangle, 2 is continuously differentiable.
        spacing: Distance between the centres of the splines, in taps.

    Raises:
        ValueError: If degree is negative or not a whole number, or spacing not positive.

    Example:
        >>> BSpline(degree=2, spacing=3.5).count((31,))
        (9,)
    """

    degree: int = 2
    spacing: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.degree, int) or self.degree < 0 or self.spacing <= 0:
            raise ValueError(
                f"degree must be a whole number of at least 0 and spacing above 0, got {self.degree} and {self.spacing}"
            )

    def count(self, size: Sequence[int]) -> tuple[int, ...]:
        return tuple(2 * math.floor((n // 2) / self.spacing) + 1 for n in size)

    def matrix(self, size: Sequence[int], angle: float = 0.0, dilation: float = 1.0, disk: bool = False) -> Tensor:
        matrix = _spline(size, self.count(size), self.degree, self.spacing, angle, dilation)
        return matrix * _disk(size, dilation)[:, None] if disk else matrix


def b_spline(x: Tensor, degree: int) -> Tensor:
    """Compute the centred cardinal B-spline B_n(x) = 1/n! Σ_k (-1)^k C(n + 1, k) max(0, x + (n + 1)/2 - k)^n.

    It is evaluated at -|x|, where few terms are not 0 and cancellation is small. So it is even to the last bit.
    """
    t = (degree + 1) / 2 - x.abs()
    if degree == 0:  # a box, half as high at its edges
        return ((t > 0).to(x.dtype) + (t >= 0).to(x.dtype)) / 2
    terms = ((-1) ** k * math.comb(degree + 1, k) * (t - k).clamp(min=0) ** degree for k in range(degree + 2))
    return sum(terms, torch.zeros_like(x)) / math.factorial(degree)


def _taps(size: Sequence[int], dilation: float) -> Tensor:
    """Return the places of the taps of a kernel that is dilated."""
    return _lattice([2 * math.floor(dilation * (n // 2)) + 1 for n in size])


def _spline(
    size: Sequence[int],
    count: Sequence[int],
    degree: int,
    spacing: float,
    angle: float,
    dilation: float,
) -> Tensor:
    """Return the samples of a kernel made of B-splines, as a matrix (taps, numbers)."""
    taps = _taps(size, dilation)
    centres = _lattice(count) * spacing
    if len(size) == 2:
        taps = _turn_back(taps, angle)
    distance = (taps / dilation)[:, None] - centres  # (taps, numbers, dimensions)
    return b_spline(distance / spacing, degree).prod(-1)


def _lattice(size: Sequence[int]) -> Tensor:
    """Return the points of a lattice around its centre, (points, dimensions)."""
    axes = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)


def _turn_back(points: Tensor, angle: float) -> Tensor:
    """Turn points (row, column) clockwise by an angle in degrees: exactly by quarters, then by the rest."""
    quarters, rest = divmod(angle, 90)
    row, column = points.unbind(-1)
    for _ in range(int(quarters) % 4):
        row, column = column, -row
    cos, sin = math.cos(math.radians(rest)), math.sin(math.radians(rest))
    return torch.stack([cos * row + sin * column, cos * column - sin * row], -1)


def _disk(size: Sequence[int], dilation: float = 1.0) -> Tensor:
    """Return which taps of a square, dilated, lie in the disk inside it, as 0.0 and 1.0."""
    return ((_taps(size, dilation) / dilation).square().sum(-1) <= (size[0] / 2) ** 2).double()
