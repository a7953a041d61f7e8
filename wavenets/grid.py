"""The discrete group: scales and quarter turns, and a signal as each of its elements sees it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from wavenets import resample
from wavenets.levels import Levels, check_floating

ROTATIONS = 1, 2, 4, 8, 12, 16
MAX_DENOMINATOR = 64  # of a base that is a ratio
ROOT_DENOMINATOR = 2**20  # of the ratio that stands for any other base in the arithmetic of sizes


@dataclass(frozen=True)
class Grid:
    """The discrete group on which a network lives: scales base^0, base^1, …, and turns by equal parts of a circle.

    It holds the operators from which the equivariance follows: T, which rescales a signal by 1/base with anti-aliasing,
    and the quarter turn. A *view* is the signal as one element of the group sees it; transform the signal by an element
    and the views are the old ones, renumbered, to the last bit.

    The measure 1/s of the wavelet transform is here as well: T keeps amplitudes and a coarser level has base^i times
    fewer samples, so a plain sum over its samples is the integral over time divided by the scale, in every dimension.

    Args:
        ndim: Number of spatial dimensions, 1 (waveforms) or 2 (images).
        base: Ratio of neighbouring scales, above 1: a number, a ``Fraction`` or a string such as ``"5/4"`` or
            ``"2**0.5"``. In 1D it must be a ratio of small integers.
        decimated: If True, each level has its own rate. If False, all levels stay at full rate and kernels are dilated
            by base^i: the slow definition, for whole-sample dilations (base 2) or, in 1D, B-spline kernels.
        rotations: Number of orientations: 1, 2, 4, 8, 12 or 16, above 1 in 2D only. Up to 4 all are views; the others
            are kernels sampled at the angles between quarter turns.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> grid = Grid(ndim=1, base="3/2")
        >>> [view.shape[-1] for view in grid.views(torch.randn(1, 1, 90), num_scales=3)]
        [90, 60, 40]
        >>> [tuple(view.shape[2:]) for view in Grid(2, rotations=4).views(torch.randn(1, 1, 20, 10), num_scales=1)]
        [(20, 10), (10, 20), (20, 10), (10, 20)]
    """

    ndim: int
    base: Fraction | float = Fraction(2)
    decimated: bool = True
    rotations: int = 1

    def __init__(self, ndim: int, base: Fraction | float | str = 2, decimated: bool = True, rotations: int = 1) -> None:
        if ndim not in (1, 2):
            raise ValueError(f"ndim must be 1 or 2, got {ndim}")
        if rotations not in ROTATIONS:
            raise ValueError(f"rotations must be one of {', '.join(map(str, ROTATIONS))}, got {rotations}")
        if rotations > 1 and (ndim == 1 or not decimated):
            raise ValueError(f"only images on a decimated grid can be turned: rotations={rotations} needs ndim=2")
        object.__setattr__(self, "ndim", ndim)
        object.__setattr__(self, "base", _parse_base(base, rational=ndim == 1))
        object.__setattr__(self, "decimated", decimated)
        object.__setattr__(self, "rotations", rotations)
        if not decimated and self.base != 2 and ndim == 2:
            raise ValueError(f"an undecimated grid of images needs base=2, got base={base}")

    def __repr__(self) -> str:
        options = "" if self.decimated else ", decimated=False"
        turns = f", rotations={self.rotations}" if self.rotations > 1 else ""
        return f"Grid(ndim={self.ndim}, base={self.base}{options}{turns})"

    @property
    def turns(self) -> int:
        """How many of the orientations are views: all up to four."""
        return min(self.rotations, 4)

    @property
    def ratio(self) -> Fraction:
        """The base as a ratio, which it is unless it is a root; then to a millionth."""
        return Fraction(self.base).limit_denominator(ROOT_DENOMINATOR)

    def views(self, x: Tensor, num_scales: int) -> Levels:
        """Shows a signal as the elements of the group see it: x, T(x), T(T(x)), …, and each of them turned.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).
            num_scales: Number of scales, that of x itself included.

        Returns:
            The views, finest first, turns innermost: view i·R + r is T^i(x) turned r times, R = ``turns``. Undecimated:
            all at the size of x, level i smoothed as T^i does it.

        Raises:
            ValueError: If x has another rank, is not floating-point, or is too short to be rescaled num_scales - 1
                times; the message says the least length that would do.
        """
        self.check(x)
        if num_scales < 1:
            raise ValueError(f"num_scales must be at least 1, got {num_scales}")
        least = self.least_size(num_scales)
        if min(x.shape[2:]) < least:
            raise ValueError(
                f"a signal of size {tuple(x.shape[2:])} is too short for {num_scales} scales of base {self.base}: "
                f"every dimension needs at least {least} samples"
            )
        scales = [x]
        for i in range(num_scales - 1):
            scales.append(self.downscale(scales[-1]) if self.decimated else self._smooth(scales[-1], i))
        if self.rotations == 1:
            return Levels(*scales)
        return Levels(*(resample.row_by_row(self.turned(level, r)) for level in scales for r in range(self.turns)))

    def downscale(self, x: Tensor) -> Tensor:
        """Rescales a signal by 1/base with anti-aliasing: the operator T.

        In 1D this is windowed-sinc resampling, equal to ``torchaudio.functional.resample(x, p, q)`` for base = p/q:
        output sample n sits at input time n·base, and the output has ceil(L·q/p) samples. In 2D it is
        ``torch.nn.functional.interpolate`` (bilinear, anti-aliased) to round(size/base); on a grid with rotations the
        mean of it over all four turns, which differs in the last digits and commutes with turns.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).

        Returns:
            The signal at 1/base of its size, of shape (B, C, L') or (B, C, H', W').

        Raises:
            ValueError: If x has another rank or is not floating-point.
        """
        self.check(x)
        if self.ndim == 1:
            return resample.downscale1d(x, self.ratio)
        down = resample.downscale2d if self.rotations == 1 else resample.downscale2d_all_turns
        return down(x, self.ratio)

    def upscale(self, y: Tensor, size: int | Sequence[int]) -> Tensor:
        """Brings a coarse level onto the grid of a finer one, linearly, with half-pixel centres.

        Args:
            y: Coarse level of shape (B, C, L) or (B, C, H, W).
            size: Spatial size of the finer level, L or (H, W).

        Returns:
            Tensor of shape (B, C, *size).
        """
        return resample.upscale(y, [size] * self.ndim if isinstance(size, int) else size)

    def act(self, x: Tensor, steps: int = 0, turns: int = 0) -> Tensor:
        """Transforms a signal by an element of the group: T^steps, then quarter turns.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).
            steps: How many times it is rescaled by 1/base.
            turns: How many quarter turns it makes, counterclockwise.

        Returns:
            The signal, rescaled and turned.

        Raises:
            ValueError: If steps is negative, or the signal is too short, or is no image and cannot be turned.

        Example:
            >>> Grid(2, rotations=4).act(torch.randn(1, 1, 20, 30), steps=1, turns=1).shape
            torch.Size([1, 1, 15, 10])
        """
        if turns and self.ndim == 1:
            raise ValueError(f"only images can be turned, got turns={turns} on {self}")
        if steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps}")
        decimated = Grid(self.ndim, self.base, rotations=self.rotations)  # views of the other kind are not rescaled
        return resample.turn(decimated.views(x, steps + 1)[self.turns * steps], turns).contiguous()

    def turned(self, x: Tensor, view: int) -> Tensor:
        """Turns (B, C, H, W) as view number ``view`` sees it; ``-view`` turns it back."""
        return resample.turn(x, view * (4 // self.turns))

    def upright(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Turns levels, R for each scale, back into the signal's frame; without rotations they stay as they are."""
        finer = self.rotations // self.turns
        return [self.turned(level, -(i % self.rotations // finer)) for i, level in enumerate(levels)]

    def align(self, y: Tensor, size: Sequence[int], level: int, offset: int) -> Tensor:
        """Brings level ``level + offset`` onto the grid of level ``level``, of the given size, on either kind of grid.

        An undecimated level is read where its decimated twin has samples, every 2^(level + offset), from each start in
        turn, so that both kinds of grid agree at the shared points.
        """
        if self.decimated:
            return self.upscale(y, size)
        if self.base != 2:
            raise ValueError(f"undecimated levels of base {self.base} cannot be brought together: use scale_extent=1")
        fine, coarse = 2**level, 2 ** (level + offset)
        for dim in range(2, y.ndim):
            full = torch.arange(y.shape[dim], device=y.device)
            position = ((full // fine + 0.5) / 2**offset - 0.5).clamp(min=0)
            left = position.long() * coarse + full % fine
            right = torch.where(left + coarse < y.shape[dim], left + coarse, left)
            fraction = (position % 1).to(y.dtype).view(-1, *[1] * (y.ndim - 1 - dim))
            y = torch.lerp(y.index_select(dim, left), y.index_select(dim, right), fraction)
        return y

    def check(self, x: Any) -> None:
        """Raises a ValueError unless x is a floating-point tensor of shape (B, C, L) or (B, C, H, W)."""
        shape = ("(B, C, L)", "(B, C, H, W)")[self.ndim - 1]
        if not isinstance(x, Tensor):
            raise ValueError(f"expected a tensor of shape {shape}, got {type(x).__name__}")
        if x.ndim != self.ndim + 2:
            raise ValueError(f"expected an input of shape {shape}, got {tuple(x.shape)}")
        check_floating(x)

    def least_size(self, num_scales: int) -> int:
        """The least number of samples a dimension needs for num_scales levels, each shorter than the one before."""
        too_short, enough = 0, 1
        while not self._spans(enough, num_scales):
            too_short, enough = enough, 2 * enough
        while enough - too_short > 1:
            middle = (too_short + enough) // 2
            too_short, enough = (too_short, middle) if self._spans(middle, num_scales) else (middle, enough)
        return enough

    def _spans(self, size: int, num_scales: int) -> bool:
        """Whether T can shorten a dimension num_scales - 1 times."""
        for _ in range(num_scales - 1):
            size, before = resample.downscaled_size(size, self.ratio, self.ndim), size
            if not 0 < size < before:
                return False
        return True

    def _smooth(self, x: Tensor, level: int) -> Tensor:
        return resample.smooth1d(x, self.ratio, level) if self.ndim == 1 else resample.smooth2d(x, level)


def _parse_base(base: Fraction | float | str, rational: bool) -> Fraction | float:
    try:
        root, power, exponent = str(base).partition("**")
        exact = Fraction(float(root) ** float(Fraction(exponent))) if power else Fraction(base)
    except (OverflowError, ValueError, ZeroDivisionError, TypeError):
        raise ValueError(f"base must be a finite number or a ratio such as '3/2', got {base!r}") from None
    ratio = exact.limit_denominator(MAX_DENOMINATOR)
    is_ratio = math.isclose(ratio, exact, rel_tol=1e-9)  # a float such as 1.1 means 11/10
    if (ratio if is_ratio else exact.limit_denominator(ROOT_DENOMINATOR)) <= 1:
        raise ValueError(f"base must be above 1, got {base}")
    if rational and not is_ratio:
        raise ValueError(f"in 1D base must be a ratio with a denominator of at most {MAX_DENOMINATOR}, got {base}")
    return ratio if is_ratio else float(exact)
