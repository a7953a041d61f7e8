"""The operator T, which rescales by 1/base with anti-aliasing, and its inverse: functions on tensors."""

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wavenets._ops.export import compiling, new_symbol
from wavenets.sizes import downscaled_size, refined_size

# The low-pass filter of T in 1D, with the defaults of torchaudio: a sinc under a Hann window that ends at the sixth
# zero crossing, with its cutoff at 99 % of the new Nyquist frequency.
ZERO_CROSSINGS = 6
ROLLOFF = 0.99

Rescale = Callable[..., Tensor]


def precisely(rescale: Rescale) -> Rescale:
    """Compute outside autocast and at least in float32, so that T(x) is the same wherever it is called."""

    @functools.wraps(rescale)
    def precise(x: Tensor, *arguments: Any) -> Tensor:
        with _without_autocast(x.device.type):
            half = x.dtype in (torch.float16, torch.bfloat16)
            return rescale(x.float() if half else x, *arguments).to(x.dtype)

    return precise


def _without_autocast(device_type: str) -> AbstractContextManager[Any]:
    available = torch.amp.is_autocast_available(device_type)  # not on the meta device
    return torch.autocast(device_type, enabled=False) if available else nullcontext()


@precisely
def downscale1d(x: Tensor, base: Fraction, length: int | None = None) -> Tensor:
    """Resample (B, C, L) to ceil(L / base) samples, or fewer: y[n] = Σ_m x[m] h(m - n·base).

    A base below 1 makes it longer.

    Equal to ``torchaudio.functional.resample(x, p, q)`` for base = p/q. The offset of the filter repeats every q
    outputs, which are p inputs apart. So there are q filters with stride p.
    """
    filters, before = lowpass(base, x), reach(base)
    padded = F.pad(x.reshape(-1, 1, x.shape[2]), (before, filters.shape[-1] - before - 1))
    phases = F.conv1d(padded, filters, stride=base.numerator)  # (B·C, q, L/p)
    y = phases.transpose(1, 2).flatten(1)
    length = downscaled_size(x.shape[2], base, 1) if length is None else length
    if compiling():  # whether there is something to cut off is not asked: one graph for all lengths
        y = y.index_select(1, torch.arange(new_symbol(length), device=x.device))
        return y.unflatten(0, x.shape[:2])
    return y[:, :length].unflatten(0, x.shape[:2])


def downscale(x: Tensor, base: Fraction) -> Tensor:
    """Apply T to (B, C, L) or (B, C, H, W)."""
    return downscale1d(x, base) if x.ndim == 3 else downscale2d(x, base)


def refine(x: Tensor, base: Fraction) -> Tensor:
    """Rescale (B, C, L) or (B, C, H, W) by base, to the size nearest to size · base that T brings back."""
    size = [refined_size(n, base, x.ndim - 2) for n in x.shape[2:]]
    return downscale1d(x, 1 / base, size[0]) if x.ndim == 3 else upscale(x, size, base)


@precisely
def downscale2d(x: Tensor, base: Fraction) -> Tensor:
    """Resize (B, C, H, W) to 1/base of its size, bilinearly with anti-aliasing, as torchvision and Pillow do.

    At base 2 the ratio is exactly 2 at every size, so that a part of an image is resized as the whole image is. Output
    i is centred at 2i + ½ where the size is even, and at 2i, corners aligned, where it is odd.
    """
    if base != 2:
        size = [new_symbol(downscaled_size(n, base, 2)) for n in x.shape[2:]]
        return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
    return _halved(_halved(x, 2), 3)


def _halved(x: Tensor, dim: int) -> Tensor:
    """Rescale a dimension by exactly 1/2: output i is a sum over samples 2i - 1 … 2i + 2, under a triangle.

    The triangle has half-width 2 around 2i + ½ for even sizes, and around 2i for odd ones; what lies outside of the
    signal does not count. Without a branch, since a compiler makes one graph of both.
    """
    n = x.shape[dim]
    even, odd = (torch.tensor(taps, dtype=x.dtype, device=x.device) for taps in ((1, 3, 3, 1), (2, 4, 2, 0)))
    first = 2 * torch.arange(new_symbol(downscaled_size(n, Fraction(2), 2)), device=x.device) - 1
    samples = first + torch.arange(4, device=x.device)[:, None]  # (taps, outputs)
    weights = (even + n % 2 * (odd - even))[:, None] * ((samples >= 0) & (samples < n))
    weights = (weights / weights.sum(0)).view(4, -1, *[1] * (x.ndim - 1 - dim))
    parts = [x.index_select(dim, at.clamp(0, n - 1)) * weight for at, weight in zip(samples, weights, strict=True)]
    return (parts[0] + parts[1]) + (parts[2] + parts[3])


def stretch(y: Tensor, size: Sequence[int], ratio: Fraction | None) -> Tensor:
    """Interpolate features linearly to a finer level, with half-pixel centres.

    Pooled features need half-pixel centres: the maximum of a window stands for the middle of the window.

    Args:
        y: Features of shape (B, C, L) or (B, C, H, W).
        size: Size of the finer level.
        ratio: Ratio of the levels. If it is given, a part of a signal is stretched as the whole signal is; the result
            is cropped, or its last sample repeated, to the size. If None, the ratio is that of the sizes.
    """
    if y.is_meta:  # for shapes alone, as in ``Network.min_size``: the operation of torch would be slow
        return y.new_empty(*y.shape[:2], *size)
    if ratio is not None and compiling():  # one graph for all sizes
        p, q = ratio.numerator, ratio.denominator
        for dim, n in enumerate(size, 2):  # sample i lies at (i + ½) q / p - ½
            y = _interpolated(y, dim, (2 * torch.arange(n, device=y.device) + 1) * q - p, 2 * p)
        return y
    image = y[:, :, None] if y.ndim == 3 else y  # an image of one row: torch then keeps it channels last
    wanted = [1, *size] if y.ndim == 3 else list(size)
    if ratio is None:
        image = F.interpolate(image, size=wanted, mode="bilinear", align_corners=False)
    else:
        factor: list[float] = [1 if y.ndim == 3 else float(ratio), float(ratio)]
        # Torch rounds the size down: with one more sample it ends with the last one.
        image = torch.cat([image, image[..., -1:]], 3) if ratio.denominator > 1 else image  # in 1D alone
        image = F.interpolate(image, scale_factor=factor, mode="bilinear", align_corners=False)
        image = _fitted(_fitted(image, 2, wanted[0]), 3, wanted[1])
    return image.squeeze(2) if y.ndim == 3 else image


def _fitted(x: Tensor, dim: int, size: int) -> Tensor:
    """Crop a dimension to a size, or repeat its last sample up to that size."""
    if x.shape[dim] >= size:
        return x.narrow(dim, 0, size)
    return x.index_select(dim, torch.arange(size, device=x.device).clamp(max=x.shape[dim] - 1))


def _interpolated(y: Tensor, dim: int, numerator: Tensor, unit: int) -> Tensor:
    """Interpolate a dimension linearly at numerator / unit; whole numbers are exact for signals of any length."""
    # In float64, where they are exact as well: Inductor of torch 2.13 fails to simplify some indices of whole numbers.
    left, last = (numerator.double() / unit).floor().long(), y.shape[dim] - 1
    part = (numerator - unit * left).to(y.dtype).div(unit).view(-1, *[1] * (y.ndim - 1 - dim))
    before, after = (y.index_select(dim, (left + i).clamp(0, last)) for i in (0, 1))
    return torch.lerp(before, after, part)


@precisely
def upscale(y: Tensor, size: Sequence[int], base: Fraction) -> Tensor:
    """Bring T(x) back to the size of x, linearly: sample n is placed where T took it from.

    This is n·base in 1D. In 2D at base 2 it is 2n + ½ where the size of x is even, and 2n where it is odd. At other
    bases centres are half-pixel.
    """
    if y.ndim == 4 and base != 2:
        return stretch(y, size, None)
    for dim, n in enumerate(size, 2):
        at = torch.arange(n, device=y.device)
        numerator, unit = (at * base.denominator, base.numerator) if y.ndim == 3 else (2 * at - 1 + n % 2, 4)
        y = _interpolated(y, dim, numerator, unit)
    return y


def reach(base: Fraction) -> int:
    """Return how many samples the low-pass filter of T reaches to either side."""
    return math.floor(ZERO_CROSSINGS * max(float(base), 1) / ROLLOFF)


def lowpass(base: Fraction, like: Tensor) -> Tensor:
    """Return the q filters h of T, of shape (q, 1, taps): tap k of row r is h(k - reach - r·base)."""
    p, q, first = base.numerator, base.denominator, -reach(base)
    last = p - first - p // q  # the last row's offset, p(q - 1)/q, rounded up
    if like.is_meta:  # for shapes alone, as in ``stretch``
        return like.new_empty(q, 1, last + 1 - first)
    taps = torch.arange(first, last + 1, dtype=torch.float64, device=like.device)
    offsets = torch.arange(q, dtype=torch.float64, device=like.device)[:, None] * (p / q)
    return windowed_sinc(taps - offsets, base)[:, None].to(like.dtype)


def windowed_sinc(t: Tensor, base: Fraction) -> Tensor:
    """Return h(t), t in samples of the input: a sinc under a Hann window, of sum 1."""
    cutoff = ROLLOFF / max(float(base), 1)  # in units of the input's Nyquist frequency
    t = cutoff * t
    window = torch.cos(t * (math.pi / 2 / ZERO_CROSSINGS)) ** 2 * (t.abs() < ZERO_CROSSINGS)
    return cutoff * torch.sinc(t) * window
