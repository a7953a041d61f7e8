"""The scale grid: the operator T that rescales a signal, and the scale space that it spans."""

import itertools
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# The low-pass filter of T in 1D, as torchaudio's default has it: a sinc that ends at the sixth zero crossing, under a
# Hann window, cut at 99 % of the new Nyquist frequency.
ZERO_CROSSINGS = 6
ROLLOFF = 0.99

MAX_DENOMINATOR = 64


@dataclass(frozen=True)
class ScaleGrid:
    """The grid of scales base^0, base^1, … on which a wavelet network lives.

    It holds the one operator from which the equivariance follows: ``T``, which rescales a signal by 1/base with
    anti-aliasing. Level i+1 of a signal is level i of ``T(signal)``, by construction and to the last bit.

    The measure 1/s of the wavelet transform is here as well: T keeps amplitudes and a coarser level has base^i times
    fewer samples, so a plain sum over its samples is the integral over time divided by the scale, in every dimension.

    Args:
        ndim: Number of spatial dimensions, 1 (waveforms) or 2 (images).
        base: Ratio of neighbouring scales, above 1: a number, a ``Fraction`` or a string such as ``"5/4"``.
            In 1D it must be a ratio of small integers.
        decimated: If True, each level has its own rate. If False, all levels stay at full rate and kernels are dilated
            by 2^i: the slow definition, for base 2 only.

    Raises:
        ValueError: If ndim or base is out of range, or if an undecimated grid is not dyadic.

    Example:
        >>> grid = ScaleGrid(ndim=1, base="3/2")
        >>> [level.shape[-1] for level in grid.scale_space(torch.randn(1, 1, 90), num_scales=3)]
        [90, 60, 40]
    """

    ndim: int
    base: Fraction | float = Fraction(2)
    decimated: bool = True

    def __init__(self, ndim: int, base: Fraction | float | str = 2, decimated: bool = True) -> None:
        if ndim not in (1, 2):
            raise ValueError(f"ndim must be 1 or 2, got {ndim}")
        object.__setattr__(self, "ndim", ndim)
        object.__setattr__(self, "base", _parse_base(base, rational=ndim == 1))
        object.__setattr__(self, "decimated", decimated)
        if not decimated and self.base != 2:
            raise ValueError(f"an undecimated grid dilates kernels by whole samples and needs base=2, got base={base}")

    def __repr__(self) -> str:
        return f"ScaleGrid(ndim={self.ndim}, base={self.base}{'' if self.decimated else ', decimated=False'})"

    def downscale(self, x: Tensor) -> Tensor:
        """Rescales a signal by 1/base with anti-aliasing: the operator T.

        In 1D this is windowed-sinc resampling, equal to ``torchaudio.functional.resample(x, p, q)`` for base = p/q:
        output sample n sits at input time n·base, and the output has ceil(T·q/p) samples. In 2D it is
        ``torch.nn.functional.interpolate`` (bilinear, anti-aliased) to round(size/base).

        Args:
            x: Signal of shape (B, C, T) or (B, C, H, W).

        Returns:
            The signal at 1/base of its size, of shape (B, C, T') or (B, C, H', W').

        Raises:
            ValueError: If x has another rank or is not floating-point.
        """
        self.check(x)
        with _without_autocast(x.device.type):  # T(x) is the same inside and outside of autocast
            if self.ndim == 1:
                return self._resample(x)
            size = [self._rescaled(n) for n in x.shape[2:]]
            return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)

    def scale_space(self, x: Tensor, num_scales: int) -> list[Tensor]:
        """Spans the scale space x, T(x), T(T(x)), …, finest first.

        Args:
            x: Signal of shape (B, C, T) or (B, C, H, W).
            num_scales: Number of levels, x itself included.

        Returns:
            num_scales levels; undecimated: all at the size of x, level i smoothed as T^i does it.

        Raises:
            ValueError: If x has another rank, is not floating-point, or is too short to be rescaled num_scales - 1
                times; the message says the least length that would do.
        """
        self.check(x)
        if num_scales < 1:
            raise ValueError(f"num_scales must be at least 1, got {num_scales}")
        if not self._spans(x.shape[2:], num_scales):
            raise ValueError(
                f"a signal of size {tuple(x.shape[2:])} is too short for {num_scales} scales of base {self.base}: "
                f"every dimension needs at least {self.least_size(num_scales)} samples"
            )
        levels = [x]
        for i in range(num_scales - 1):
            levels.append(self.downscale(levels[-1]) if self.decimated else self._smooth(levels[-1], dilation=2**i))
        return levels

    def upscale(self, y: Tensor, size: int | Sequence[int]) -> Tensor:
        """Brings a coarse level onto the grid of a finer one, linearly, with half-pixel centres.

        Half-pixel centres are what pooling needs: the maximum of a window stands for the middle of the window.

        Args:
            y: Coarse level of shape (B, C, T) or (B, C, H, W).
            size: Spatial size of the finer level, T or (H, W).

        Returns:
            Tensor of shape (B, C, *size).
        """
        sizes = [size] * self.ndim if isinstance(size, int) else list(size)
        if self.ndim == 1:  # as an image of one row, which torch can keep channels-last
            return F.interpolate(y[:, :, None], size=[1, *sizes], mode="bilinear", align_corners=False).squeeze(2)
        return F.interpolate(y, size=sizes, mode="bilinear", align_corners=False)

    def align(self, y: Tensor, size: Sequence[int], level: int, offset: int) -> Tensor:
        """Brings level ``level + offset`` onto the grid of level ``level``, of the given size, on either kind of grid.

        An undecimated level is read where its decimated twin has samples, every 2^(level + offset), from each start in
        turn, so that both kinds of grid agree at the shared points.
        """
        if self.decimated:
            return self.upscale(y, size)
        fine, coarse = 2**level, 2 ** (level + offset)
        for dim in range(2, y.ndim):
            full = torch.arange(y.shape[dim], device=y.device)
            position = ((full // fine + 0.5) / 2**offset - 0.5).clamp(min=0)
            left = position.long() * coarse + full % fine
            right = torch.where(left + coarse < y.shape[dim], left + coarse, left)
            fraction = (position % 1).to(y.dtype).view(-1, *[1] * (y.ndim - 1 - dim))
            y = torch.lerp(y.index_select(dim, left), y.index_select(dim, right), fraction)
        return y

    def check(self, x: Tensor) -> None:
        """Raises a ValueError unless x is a floating-point tensor of shape (B, C, T) or (B, C, H, W)."""
        if x.ndim != self.ndim + 2:
            shape = "(B, C, T)" if self.ndim == 1 else "(B, C, H, W)"
            raise ValueError(f"expected an input of shape {shape}, got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"expected a floating-point input, got {x.dtype}: convert it with .float()")

    def dilation(self, level: int) -> int:
        """The dilation of the kernels on a level: 1 on a decimated grid, 2^level on an undecimated one."""
        return 1 if self.decimated else 2**level

    def least_size(self, num_scales: int) -> int:
        """The least number of samples a dimension needs for num_scales levels, each shorter than the one before."""
        return next(n for n in itertools.count(1) if self._spans([n], num_scales))

    @property
    def _ratio(self) -> tuple[int, int]:
        """p and q of a base p/q."""
        assert isinstance(self.base, Fraction)  # always so in 1D
        return self.base.numerator, self.base.denominator

    @property
    def _reach(self) -> int:
        """How many samples the low-pass filter of T reaches to either side."""
        return math.floor(ZERO_CROSSINGS * float(self.base) / ROLLOFF)

    def _spans(self, size: Sequence[int], num_scales: int) -> bool:
        """Whether T can shorten every dimension num_scales - 1 times."""
        for n in size:
            for _ in range(num_scales - 1):
                n, before = self._rescaled(n), n
                if not 0 < n < before:
                    return False
        return True

    def _rescaled(self, n: int) -> int:
        """The length of T(x) along a dimension where x has n samples."""
        if self.ndim == 1:
            p, q = self._ratio
            return (n * q + p - 1) // p  # rounded up
        return round(n / self.base)

    def _resample(self, x: Tensor) -> Tensor:
        """T in 1D: y[n] = Σ_m x[m] h(m - n·base).

        For base = p/q the filter's offset repeats every q outputs, which lie p inputs apart: q filters with stride p.
        """
        p, _ = self._ratio
        filters = self._lowpass(x)
        reach = self._reach
        padded = F.pad(x.reshape(-1, 1, x.shape[-1]), (reach, filters.shape[-1] - reach - 1))
        phases = F.conv1d(padded, filters, stride=p)  # (B·C, q, T/p)
        y = phases.transpose(1, 2).reshape(*x.shape[:2], -1)
        return y[..., : self._rescaled(x.shape[-1])]

    def _lowpass(self, like: Tensor) -> Tensor:
        """The q filters h of T, one a row, of shape (q, 1, taps): tap k of row r is h(k - reach - r·base)."""
        (p, q), reach = self._ratio, self._reach
        last = reach + p - p // q  # the last row's offset, p(q - 1)/q, rounded up
        taps = torch.arange(-reach, last + 1, dtype=torch.float64, device=like.device)
        offsets = torch.arange(q, dtype=torch.float64, device=like.device)[:, None] * (p / q)
        cutoff = ROLLOFF * q / p  # in units of the input's Nyquist frequency
        t = cutoff * (taps - offsets)
        window = torch.cos(t * (math.pi / 2 / ZERO_CROSSINGS)) ** 2 * (t.abs() < ZERO_CROSSINGS)
        return (cutoff * torch.sinc(t) * window)[:, None].to(like.dtype)

    def _smooth(self, x: Tensor, dilation: int) -> Tensor:
        """The low-pass of a dyadic T at full rate, its filter dilated: every (2·dilation)th sample is one of T."""
        with _without_autocast(x.device.type):
            if self.ndim == 1:
                flat, h = x.reshape(-1, 1, x.shape[-1]), self._lowpass(x)
                return F.conv1d(flat, h, padding=dilation * self._reach, dilation=dilation).reshape(x.shape)
            # Anti-aliased bilinear resizing by 1/2 is the separable filter (1, 3, 3, 1)/8 on pixels -1 … 2.
            h = torch.tensor([1, 3, 3, 1], dtype=x.dtype, device=x.device) / 8
            flat = F.pad(x.flatten(0, 1)[:, None], [dilation, 2 * dilation] * 2, mode="replicate")
            return F.conv2d(flat, torch.outer(h, h)[None, None], dilation=dilation).reshape(x.shape)


def _without_autocast(device_type: str) -> AbstractContextManager[Any]:
    available = torch.amp.is_autocast_available(device_type)  # not on the meta device
    return torch.autocast(device_type, enabled=False) if available else nullcontext()


def _parse_base(base: Fraction | float | str, rational: bool) -> Fraction | float:
    try:
        exact = Fraction(base)
    except (OverflowError, ValueError):
        raise ValueError(f"base must be a finite number or a ratio such as '3/2', got {base!r}") from None
    if exact <= 1:
        raise ValueError(f"base must be above 1, got {base}")
    ratio = exact.limit_denominator(MAX_DENOMINATOR)
    if math.isclose(ratio, exact, rel_tol=1e-9):  # a float such as 1.1 means 11/10
        return ratio
    if rational:
        raise ValueError(f"in 1D base must be a ratio with a denominator of at most {MAX_DENOMINATOR}, got {base}")
    return float(exact)
