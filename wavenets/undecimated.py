"""The slow definition of the layers: all levels at full rate, with dilated kernels in place of a decimated signal.

On an infinite signal the layers of ``wavenets.nn`` are samples of these: level i is every base^i-th sample. This form
is for tests and benchmarks. It has no turns and reflections, and dilates kernels by whole samples (base 2) or, in 1D,
as ``BSpline`` kernels.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from wavenets._ops.conv import same_conv
from wavenets.grid import Grid
from wavenets.kernels import BSpline
from wavenets.nn.conv import GroupConv, LiftingConv
from wavenets.resample import lowpass, precisely, reach, windowed_sinc


def views(x: Tensor, num_scales: int, grid: Grid) -> list[Tensor]:
    """Return a signal at every scale, all at its own size: level i is smoothed as T^i smooths it.

    Args:
        x: Signal of shape (B, C, L) or (B, C, H, W).
        num_scales: Number of scales, that of x itself included.
        grid: The scales, without orientations; in 2D of base 2.

    Raises:
        ValueError: If this form is not defined for the grid.

    Example:
        >>> [tuple(view.shape) for view in views(torch.randn(1, 1, 90), 3, Grid(1))]
        [(1, 1, 90), (1, 1, 90), (1, 1, 90)]
    """
    if grid.orientations > 1 or (grid.ndim == 2 and grid.base != 2):
        raise ValueError(f"the undecimated form has no orientations, and in 2D base 2, got {grid}")
    levels = [x]
    for i in range(num_scales - 1):
        levels.append(_smooth1d(levels[-1], grid.ratio, i) if grid.ndim == 1 else _smooth2d(levels[-1], i))
    return levels


def lift(layer: LiftingConv, x: Tensor) -> list[Tensor]:
    """Lift a signal with the weights of a layer: each level convolved with the kernel dilated by base^i.

    Args:
        layer: The layer. Its kernels must be ``BSpline`` where dilations are not whole numbers.
        x: Signal of shape (B, C, L) or (B, C, H, W).

    Raises:
        ValueError: If this form is not defined for the layer.
    """
    levels = views(x, layer.num_scales, layer.grid)
    if layer.grid.base != 2:
        lifted = _stretched(layer, levels)
    else:
        lifted = [_conv(layer, level, layer.weight, layer.bias, i) for i, level in enumerate(levels)]
    pool = F.max_pool1d if layer.grid.ndim == 1 else F.max_pool2d
    return [pool(level, layer.max_pool) for level in lifted] if layer.max_pool > 1 else lifted


def group_conv(layer: GroupConv, levels: Sequence[Tensor]) -> list[Tensor]:
    """Convolve levels at full rate with the weights of a layer.

    Args:
        layer: The layer. At bases other than 2 it must span one scale, with ``BSpline`` kernels.
        levels: Levels at full rate, as ``lift`` returns them.

    Raises:
        ValueError: If this form is not defined for the layer.
    """
    if layer.grid.base != 2:
        if layer.scale_extent > 1 or layer.groups > 1:
            raise ValueError(f"levels of {layer.grid} cannot be brought together: use scale_extent=1, groups=1")
        return _stretched(layer, levels)
    output = []
    for i in range(len(levels) - layer.scale_extent + 1):
        total: Tensor | None = None
        for k in reversed(range(layer.scale_extent)):
            bias = None if k else layer.bias
            y = _conv(layer, levels[i + k], layer.weight[:, :, k], bias, i + k)
            total = y if total is None else y + _align(total, i + k)
        assert total is not None
        output.append(total)
    return output


def _conv(layer: LiftingConv | GroupConv, x: Tensor, weight: Tensor, bias: Tensor | None, level: int) -> Tensor:
    groups = layer.groups if isinstance(layer, GroupConv) else 1
    samples = weight if layer.matrices is None else (weight.flatten(2) @ layer.matrices[0].T).view_as(weight)
    return same_conv(x, samples, bias, layer.stride, 2**level, groups, layer.padding_mode)


def _stretched(layer: LiftingConv | GroupConv, levels: Sequence[Tensor]) -> list[Tensor]:
    """Convolve level i with its kernel stretched by s = base^i: Σ_t ψ(t / s) / s for the sum over its samples."""
    if not isinstance(layer.kernel, BSpline) or layer.stride > 1:
        raise ValueError(f"dilations on {layer.grid} are not whole: it needs a BSpline kernel and stride=1")
    output = []
    for i, level in enumerate(levels):
        scale = float(layer.grid.base) ** i
        matrix = layer.kernel.matrix(layer.kernel_size, dilation=scale).to(layer.weight) / scale
        weight = layer.weight.flatten(1, -2) @ matrix.T
        output.append(same_conv(level, weight, layer.bias, padding_mode=layer.padding_mode))
    return output


def _align(y: Tensor, level: int) -> Tensor:
    """Upscale level + 1 to a level, as ``Grid.align`` does for the decimated levels.

    The samples of a decimated level are every 2^level-th sample here, from each of the 2^level starts.
    """
    fine, coarse = 2**level, 2 ** (level + 1)
    for dim in range(2, y.ndim):
        full = torch.arange(y.shape[dim], device=y.device)
        position = ((full // fine + 0.5) / 2 - 0.5).clamp(min=0)
        left = position.long() * coarse + full % fine
        right = torch.where(left + coarse < y.shape[dim], left + coarse, left)
        fraction = (position % 1).to(y.dtype).view(-1, *[1] * (y.ndim - 1 - dim))
        y = torch.lerp(y.index_select(dim, left), y.index_select(dim, right), fraction)
    return y


@precisely
def _smooth1d(x: Tensor, base: Fraction, level: int) -> Tensor:
    """Apply the low-pass of T at full rate, for level ``level + 1``; x is level ``level``.

    At base 2 the filter is dilated by whole samples, and every 2^(level + 1)th sample is one of the decimated level to
    the last digits. At another base it is the continuous filter h(t / base^level) / base^level, sampled.
    """
    flat, taps = x.flatten(0, 1)[:, None], reach(base)
    if base == 2:
        dilation = 2**level
        return F.conv1d(flat, lowpass(base, x), padding=dilation * taps, dilation=dilation).reshape(x.shape)
    stretch = float(base) ** level
    taps = math.floor(taps * stretch)
    t = torch.arange(-taps, taps + 1, dtype=torch.float64, device=x.device) / stretch
    return F.conv1d(flat, (windowed_sinc(t, base) / stretch)[None, None].to(x.dtype), padding=taps).reshape(x.shape)


@precisely
def _smooth2d(x: Tensor, level: int) -> Tensor:
    """Apply the low-pass of T at base 2 and even sizes at full rate: the filter (1, 3, 3, 1)/8 on -1 … 2."""
    dilation = 2**level
    h = torch.tensor([1, 3, 3, 1], dtype=x.dtype, device=x.device) / 8
    flat = F.pad(x.flatten(0, 1)[:, None], [dilation, 2 * dilation] * 2, mode="replicate")
    return F.conv2d(flat, torch.outer(h, h)[None, None], dilation=dilation).reshape(x.shape)
