"""Rescaling by 1/base with anti-aliasing, the operator T, and back: functions on tensors."""

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wavenets._ops.export import exporting, new_symbol

# The low-pass filter of T in 1D, as torchaudio's default has it: a sinc that ends at the sixth zero crossing, under a
# Hann window, cut at 99 % of the new Nyquist frequency.
ZERO_CROSSINGS = 6
ROLLOFF = 0.99

Rescale = Callable[..., Tensor]


def _precisely(rescale: Rescale) -> Rescale:
    """Computes outside of autocast and never in half precision, so that T(x) is the same wherever it is called."""

    @functools.wraps(rescale)
    def precise(x: Tensor, *arguments: Any) -> Tensor:
        with _without_autocast(x.device.type):
            half = x.dtype in (torch.float16, torch.bfloat16)
            return rescale(x.float() if half else x, *arguments).to(x.dtype)

    return precise


def _without_autocast(device_type: str) -> AbstractContextManager[Any]:
    available = torch.amp.is_autocast_available(device_type)  # not on the meta device
    return torch.autocast(device_type, enabled=False) if available else nullcontext()


def downscaled_size(n: int, base: Fraction, ndim: int) -> int:
    """The size of T(x) along a dimension where x has n samples: n / base, in 1D rounded up, in 2D half to even.

    In whole numbers throughout, since compilers cannot follow a ``Fraction`` or ``round``.
    """
    p, q = base.numerator, base.denominator
    if ndim == 1:
        return (n * q + p - 1) // p
    if p % 2 or p > 2**16:  # no ties: there are some only of multiples of p / 2
        return (2 * n * q + p) // (2 * p)
    # With a = ⌊nq/p⌋, adding p - 1 before the division by 2p sends a tie down to a; if a is odd, one more sends it up.
    return (2 * n * q + p - 1 + n * q // p % 2) // (2 * p)


@_precisely
def downscale1d(x: Tensor, base: Fraction) -> Tensor:
    """Resamples (B, C, L) to ceil(L / base) samples: y[n] = Σ_m x[m] h(m - n·base).

    Equal to ``torchaudio.functional.resample(x, p, q)``, base = p/q. The filter's offset repeats every q outputs, which
    lie p inputs apart: q filters with stride p.
    """
    filters, reach = _lowpass(base, x), _reach(base)
    padded = F.pad(x.reshape(-1, 1, x.shape[2]), (reach, filters.shape[-1] - reach - 1))
    phases = F.conv1d(padded, filters, stride=base.numerator)  # (B·C, q, L/p)
    y, length = phases.transpose(1, 2).flatten(1), downscaled_size(x.shape[2], base, 1)
    if torch.compiler.is_compiling():  # whether there is something to cut off is not asked: one graph for all lengths
        y = y.index_select(1, torch.arange(new_symbol(length), device=x.device))
        return y.unflatten(0, x.shape[:2])
    return y[:, :length].unflatten(0, x.shape[:2])


@_precisely
def downscale2d(x: Tensor, base: Fraction) -> Tensor:
    """Resizes (B, C, H, W) to 1/base of its size, bilinearly with anti-aliasing, as torchvision and Pillow do."""
    size = [new_symbol(downscaled_size(n, base, 2)) for n in x.shape[2:]]
    return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)


@_precisely
def downscale2d_all_turns(x: Tensor, base: Fraction) -> Tensor:
    """``downscale2d`` as all four turns see it, on average: (A₀ + A₂ + A₁ + A₃) / 4, A_r = turn⁻ʳ ∘ T ∘ turnʳ.

    Resizing rows and then columns is not resizing columns and then rows, to the last bit. The mean is, and so commutes
    with turns: a turn renumbers the A_r, and since a + b = b + a, the sum of the sums of opposite ones stays.
    """
    a, b, c, d = (row_by_row(turn(downscale2d(row_by_row(turn(x, r)), base), -r)) for r in range(4))
    return ((a + c) + (b + d)) / 4


def turn(x: Tensor, quarters: int) -> Tensor:
    """Turns (B, C, H, W) by quarters of a circle, counterclockwise."""
    return torch.rot90(x, quarters, (2, 3)) if quarters % 4 else x


def row_by_row(x: Tensor) -> Tensor:
    """Copies x to the default layout, without the question of ``contiguous`` which an exporter answers for one size."""
    return x.clone(memory_format=torch.contiguous_format)


def upscale(y: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolates linearly to a size, with half-pixel centres.

    Half-pixel centres are what pooling needs: the maximum of a window stands for the middle of the window.
    """
    if y.is_meta:  # as when ``Network.min_size`` asks for shapes alone: torch would go through a slow decomposition
        return y.new_empty(*y.shape[:2], *size)
    if exporting() and y.ndim == 3:  # one operator, where of ``interpolate`` the exporter makes twenty
        return torch.ops.aten.upsample_linear1d(y, list(size), False)
    if y.ndim == 3:  # as an image of one row, which torch can keep channels-last
        return F.interpolate(y[:, :, None], size=[1, *size], mode="bilinear", align_corners=False).squeeze(2)
    return F.interpolate(y, size=list(size), mode="bilinear", align_corners=False)


@_precisely
def smooth1d(x: Tensor, base: Fraction, level: int) -> Tensor:
    """The low-pass of T at full rate, for level ``level + 1`` of an undecimated grid; x is level ``level``.

    At base 2 the filter is dilated by whole samples, and every 2^(level + 1)th sample is one of the decimated level to
    the last digits. At another base it is the continuous filter h(t / base^level) / base^level, sampled.
    """
    flat, reach = x.flatten(0, 1)[:, None], _reach(base)
    if base == 2:
        dilation = 2**level
        return F.conv1d(flat, _lowpass(base, x), padding=dilation * reach, dilation=dilation).reshape(x.shape)
    stretch = float(base) ** level
    reach = math.floor(reach * stretch)
    t = torch.arange(-reach, reach + 1, dtype=torch.float64, device=x.device) / stretch
    return F.conv1d(flat, (_windowed_sinc(t, base) / stretch)[None, None].to(x.dtype), padding=reach).reshape(x.shape)


@_precisely
def smooth2d(x: Tensor, level: int) -> Tensor:
    """The low-pass of a dyadic T at full rate: bilinear resizing by 1/2 is the filter (1, 3, 3, 1)/8 on -1 … 2."""
    dilation = 2**level
    h = torch.tensor([1, 3, 3, 1], dtype=x.dtype, device=x.device) / 8
    flat = F.pad(x.flatten(0, 1)[:, None], [dilation, 2 * dilation] * 2, mode="replicate")
    return F.conv2d(flat, torch.outer(h, h)[None, None], dilation=dilation).reshape(x.shape)


def _reach(base: Fraction) -> int:
    """How many samples the low-pass filter of T reaches to either side."""
    return math.floor(ZERO_CROSSINGS * float(base) / ROLLOFF)


def _lowpass(base: Fraction, like: Tensor) -> Tensor:
    """The q filters h of T, one a row, of shape (q, 1, taps): tap k of row r is h(k - reach - r·base)."""
    p, q, reach = base.numerator, base.denominator, _reach(base)
    last = reach + p - p // q  # the last row's offset, p(q - 1)/q, rounded up
    taps = torch.arange(-reach, last + 1, dtype=torch.float64, device=like.device)
    offsets = torch.arange(q, dtype=torch.float64, device=like.device)[:, None] * (p / q)
    return _windowed_sinc(taps - offsets, base)[:, None].to(like.dtype)


def _windowed_sinc(t: Tensor, base: Fraction) -> Tensor:
    """h(t), t in samples of the input: a sinc under a Hann window, of sum 1."""
    cutoff = ROLLOFF / float(base)  # in units of the input's Nyquist frequency
    t = cutoff * t
    window = torch.cos(t * (math.pi / 2 / ZERO_CROSSINGS)) ** 2 * (t.abs() < ZERO_CROSSINGS)
    return cutoff * torch.sinc(t) * window
