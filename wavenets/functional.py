"""Lifting and group convolutions over scale and translation, as pure functions on tensors and lists of tensors."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from wavenets.grid import ScaleGrid
from wavenets.lifting import conv1d_max_pool


def lift(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    num_scales: int,
    stride: int = 1,
    max_pool: int = 1,
    grid: ScaleGrid | None = None,
) -> list[Tensor]:
    """Lifts a signal to features on the scale-translation group: F_i = x_i ⋆ ψ, the same kernel on every level.

    On the signal itself level i acts as the kernel dilated by base^i, smoothed by the anti-alias filter, and evaluated
    every base^i samples (the lifting convolution of Romero et al., arXiv 2006.05259, on each level's own grid).

    Args:
        input: Signal of shape (B, C, T) or (B, C, H, W).
        weight: Kernel of shape (O, C, k) or (O, C, k, k), k odd.
        bias: Bias of shape (O,), or None.
        num_scales: Number of levels S.
        stride: Stride within each level, in that level's own samples.
        max_pool: Size of a max-pooling of each level, in the same pass; 1 for none.
        grid: The scales; None is the dyadic grid.

    Returns:
        S tensors, finest first, level i of shape (B, O, T_i / stride), rounded up, or the same in 2D; pooled:
        shorter by max_pool, rounded down.

    Raises:
        ValueError: If a shape or dtype does not fit, or the signal is too short for num_scales or max_pool.

    Example:
        >>> levels = lift(torch.randn(2, 1, 64), torch.randn(8, 1, 5), num_scales=3)
        >>> [tuple(level.shape) for level in levels]
        [(2, 8, 64), (2, 8, 32), (2, 8, 16)]
    """
    grid = grid or ScaleGrid(weight.ndim - 2)
    _check(input, weight, weight.shape[1], grid)
    levels = grid.scale_space(input, num_scales)
    coarsest = [(n - 1) // stride + 1 for n in levels[-1].shape[2:]]
    if min(coarsest) < max_pool:
        raise ValueError(
            f"level {num_scales - 1} of size {tuple(coarsest)} is smaller than max_pool={max_pool}: "
            "give a longer input or use fewer scales"
        )
    if grid.ndim == 1 and grid.decimated:
        return [conv1d_max_pool(level, weight, bias, stride, max_pool) for level in levels]
    if grid.ndim == 2:
        weight = weight.to(memory_format=torch.channels_last)  # and so the features, which is faster
    lifted = [_same_conv(level, weight, bias, stride, grid.dilation(i)) for i, level in enumerate(levels)]
    pool = F.max_pool1d if grid.ndim == 1 else F.max_pool2d
    return lifted if max_pool == 1 else [pool(level, max_pool) for level in lifted]


def group_conv(
    input: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    groups: int = 1,
    grid: ScaleGrid | None = None,
) -> list[Tensor]:
    """Convolves features on the scale-translation group with a kernel that spans neighbouring scales as well.

    out_i = Σ_k upscale(in_{i+k} ⋆ weight[:, :, k], size of level i). The scale axis is never padded: a level that
    would need a scale outside is not computed, which is what keeps the equivariance exact at both ends (the group
    convolution of Romero et al., arXiv 2006.05259, on each level's own grid).

    Args:
        input: S levels, finest first, each of shape (B, C, T_i) or (B, C, H_i, W_i).
        weight: Kernel of shape (O, C / groups, E, k) or (O, C / groups, E, k, k): E is the scale extent, k odd.
        bias: Bias of shape (O,), or None.
        stride: Stride within each level, in that level's own samples.
        groups: Number of blocks of channels that do not mix.
        grid: The scales; None is the dyadic grid.

    Returns:
        S - E + 1 levels, finest first.

    Raises:
        ValueError: If a shape or dtype does not fit, or there are fewer levels than the scale extent.

    Example:
        >>> levels = [torch.randn(2, 8, n) for n in (64, 32, 16)]
        >>> [tuple(level.shape) for level in group_conv(levels, torch.randn(4, 8, 3, 5))]
        [(2, 4, 64)]
    """
    grid = grid or ScaleGrid(weight.ndim - 3)
    extent = weight.shape[2]
    for level in input:
        _check(level, weight, weight.shape[1] * groups, grid)
    if len(input) < extent:
        raise ValueError(f"a scale extent of {extent} needs at least {extent} levels, got {len(input)}")
    slices = [kernel.contiguous() for kernel in weight.unbind(2)]
    output = []
    for i in range(len(input) - extent + 1):
        level = _same_conv(input[i], slices[0], bias, stride, grid.dilation(i), groups)
        for k in range(1, extent):
            coarse = _same_conv(input[i + k], slices[k], None, stride, grid.dilation(i + k), groups)
            level = level + grid.align(coarse, level.shape[2:], i, k)
        output.append(level)
    return output


def _same_conv(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: int, dilation: int, groups: int = 1
) -> Tensor:
    """A convolution with "same" zero padding, which torch itself refuses to combine with a stride."""
    padding = [dilation * (k // 2) for k in weight.shape[2:]]
    if input.ndim == 4:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    if torch.compiler.is_compiling():  # the compiler chooses layouts itself
        return F.conv1d(input, weight, bias, stride, padding, dilation, groups)
    # An image of one row: unlike conv1d, conv2d keeps the channels last in memory, which is faster.
    row, kernel = input[:, :, None], weight[:, :, None]
    return F.conv2d(row, kernel, bias, (1, stride), (0, *padding), (1, dilation), groups).squeeze(2)


def _check(x: Tensor, weight: Tensor, channels: int, grid: ScaleGrid) -> None:
    """Raises the one clear error for an input that the kernel does not fit."""
    grid.check(x)
    if x.shape[1] != channels:
        raise ValueError(f"expected {channels} input channels, got {x.shape[1]} in an input of shape {tuple(x.shape)}")
    if any(size % 2 == 0 for size in weight.shape[-grid.ndim :]):
        raise ValueError(f"kernels must have odd sizes to keep their centre, got {tuple(weight.shape[-grid.ndim :])}")
