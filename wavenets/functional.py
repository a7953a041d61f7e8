"""Lifting and group convolutions as pure functions on tensors and sequences of tensors."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from wavenets._ops.conv import apart, conv_frames
from wavenets._ops.conv_pool import conv1d_max_pool
from wavenets._ops.export import exporting
from wavenets._ops.frames import neighbours, together
from wavenets.grid import Grid
from wavenets.levels import Levels, check_levels


def lift(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    num_scales: int,
    stride: int = 1,
    max_pool: int = 1,
    padding_mode: str = "zeros",
    grid: Grid | None = None,
) -> Levels:
    """Lifts a signal to features on the group: F_h = view_h(x) ⋆ ψ, the same kernel on every view.

    On the signal itself view i acts as the kernel dilated by base^i, smoothed by the anti-alias filter, and evaluated
    every base^i samples (the lifting convolution of Romero et al., arXiv 2006.05259, on each level's own grid).

    Args:
        input: Signal of shape (B, C, L) or (B, C, H, W).
        weight: Kernel of shape (O, C, k) or (O, C, k, k), k odd. With more than four rotations (M, O, C, k, k): sampled
            at the M = rotations / 4 angles from 0 to a quarter turn, clockwise.
        bias: Bias of shape (O,), or None.
        num_scales: Number of scales S.
        stride: Stride within each level, in that level's own samples.
        max_pool: Size of a max-pooling of each level, in the same pass; 1 for none.
        padding_mode: "zeros", "reflect", "replicate" or "circular", as in ``torch.nn.Conv1d``.
        grid: The group; None is the dyadic grid without turns.

    Returns:
        S levels, finest first, level i of shape (B, O, L_i / stride), rounded up, or the same in 2D; pooled: shorter by
        max_pool, rounded down. With rotations R levels for each scale, turns innermost.

    Raises:
        ValueError: If a shape or dtype does not fit, or the signal is too short for num_scales or max_pool.

    Example:
        >>> levels = lift(torch.randn(2, 1, 64), torch.randn(8, 1, 5), num_scales=3)
        >>> [tuple(level.shape) for level in levels]
        [(2, 8, 64), (2, 8, 32), (2, 8, 16)]
    """
    kernels = weight.unbind(0) if weight.ndim == 5 else (weight,)
    grid = grid or Grid(kernels[0].ndim - 2)
    _check(input, kernels, kernels[0].shape[1], grid)
    if stride < 1 or max_pool < 1:
        raise ValueError(f"stride and max_pool must be at least 1, got {stride} and {max_pool}")
    views = grid.views(input, num_scales)
    coarsest = [(n - 1) // stride + 1 for n in views[-1].shape[2:]]
    if not exporting() and min(coarsest) < max_pool:
        raise ValueError(
            f"level {num_scales - 1} of size {tuple(coarsest)} is smaller than max_pool={max_pool}: "
            "give a longer input or use fewer scales"
        )
    if grid.ndim == 1 and grid.decimated and padding_mode == "zeros":
        return Levels(*(conv1d_max_pool(view, weight, bias, stride, max_pool) for view in views))
    if grid.ndim == 2:  # and so the features, which is faster
        kernels = tuple(_channels_last(kernel) for kernel in kernels)
    levels: list[Tensor] = []
    for i in range(num_scales):
        options = {"stride": stride, "dilation": dilation(grid, i), "padding_mode": padding_mode}
        frames = together(views[i * grid.turns : (i + 1) * grid.turns], apart(weight))
        levels += conv_frames(frames, kernels, bias, **options)
    pool = F.max_pool1d if grid.ndim == 1 else F.max_pool2d
    return Levels(*levels) if max_pool == 1 else Levels(*(pool(level, max_pool) for level in levels))


def group_conv(
    input: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    grid: Grid | None = None,
) -> Levels:
    """Convolves features on the group with a kernel that spans neighbouring scales and all turns as well.

    out_h = Σ_k align(in_{h·k}) ⋆ w_k. A coarser neighbour is upscaled after the convolution, which is cheaper, and a
    turned neighbour is turned into the own frame before it. The scale axis is never padded: a level that would need a
    scale outside is not computed, which is what keeps the equivariance exact at both ends (the group convolution of
    Romero et al., arXiv 2006.05259, on each level's own grid). The axis of turns is cyclic.

    Args:
        input: S levels, finest first, each of shape (B, C, L_i) or (B, C, H_i, W_i); R for each scale with rotations.
        weight: Kernel of shape (O, C / groups, E, k) or (O, C / groups, E, k, k): E is the scale extent, k odd. With
            rotations (O, C / groups, E, R, k, k); with more than four (M, O, C / groups, E, R, k, k): sampled at the
            M = R / 4 angles from 0 to a quarter turn, clockwise.
        bias: Bias of shape (O,), or None.
        stride: Stride within each level, in that level's own samples.
        groups: Number of blocks of channels that do not mix.
        padding_mode: "zeros", "reflect", "replicate" or "circular", as in ``torch.nn.Conv1d``.
        grid: The group; None is the dyadic grid without turns.

    Returns:
        S - E + 1 levels, finest first; R for each scale with rotations.

    Raises:
        ValueError: If a shape or dtype does not fit, or there are fewer levels than the scale extent.

    Example:
        >>> levels = [torch.randn(2, 8, n) for n in (64, 32, 16)]
        >>> [tuple(level.shape) for level in group_conv(levels, torch.randn(4, 8, 3, 5))]
        [(2, 4, 64)]
    """
    grid = grid or Grid(weight.ndim - 3)
    rotations, finer = grid.rotations, grid.rotations // grid.turns
    if rotations > 1 and weight.shape[-3:-2] != (rotations,):
        raise ValueError(f"{grid} needs a weight (…, {rotations}, k, k) over its rotations, got {tuple(weight.shape)}")
    turned = weight.unbind(0) if finer > 1 else (weight,)
    extent = turned[0].shape[2]
    check_levels(input, rotations)
    for level in input:
        _check(level, turned, turned[0].shape[1] * groups, grid)
    if len(input) < extent * rotations:
        each = f" × {rotations} turns" if rotations > 1 else ""
        raise ValueError(f"a scale extent of {extent} needs at least {extent} levels{each}, got {len(input)}")

    # kernels[k][j] is for scale offset k and the angle of j / finer quarters: (O, R·C / groups, k, k).
    kernels = [list(some) for some in zip(*(kernel.unbind(2) for kernel in turned), strict=True)]
    if rotations > 1:  # relative to orientation j its neighbours are j further round
        kernels = [[k.roll(j, 2).transpose(1, 2).flatten(1, 2) for j, k in enumerate(some)] for some in kernels]
    kernels = [[_channels_last(kernel) for kernel in some] for some in kernels]

    def conv(scale: int, offset: int) -> list[Tensor]:
        seen = neighbours(input[scale * rotations : (scale + 1) * rotations], grid, groups, apart(weight))
        options = {"stride": stride, "dilation": dilation(grid, scale), "groups": groups, "padding_mode": padding_mode}
        return conv_frames(seen, kernels[offset], None if offset else bias, **options)

    output: list[Tensor] = []
    for i in range(len(input) // rotations - extent + 1):
        turns = conv(i, 0)
        for k in range(1, extent):
            turns = [y + grid.align(z, y.shape[2:], i, k) for y, z in zip(turns, conv(i + k, k), strict=True)]
        output += turns
    return Levels(*output)


def to_tensor(input: Sequence[Tensor], grid: Grid | None = None) -> Tensor:
    """Puts features on the group into one tensor, every level upscaled to the finest: a learned scalogram.

    For plots, transformers and plain convolutions. What follows is no longer equivariant by itself.

    Args:
        input: Levels, finest first, R for each scale with rotations.
        grid: The group; needed if there are rotations. Turned levels are turned back into the signal's frame.

    Returns:
        Tensor of shape (B, C, S, L) or (B, C, S, H, W): S levels, with rotations S·R, turns innermost.

    Raises:
        ValueError: If the input is not levels.

    Example:
        >>> from wavenets.nn import LiftingConv1d
        >>> to_tensor(LiftingConv1d(1, 16, kernel_size=79, num_scales=9)(torch.randn(2, 1, 22050))).shape
        torch.Size([2, 16, 9, 22050])
    """
    rotations = grid.rotations if grid else 1
    check_levels(input, rotations)
    grid = grid or Grid(input[0].ndim - 2)
    upright = grid.upright(input)
    size = upright[0].shape[2:]
    return torch.stack([*upright[:rotations], *(grid.upscale(y, size) for y in upright[rotations:])], 2)


def dilation(grid: Grid, level: int) -> int:
    """The dilation of the kernels on a level, in samples: 1 on a decimated grid, 2^level on an undecimated one."""
    if not grid.decimated and grid.base != 2:
        raise ValueError(f"{grid} dilates kernels by parts of samples: it needs a layer with a BSpline kernel")
    return 1 if grid.decimated else 2**level


def _channels_last(kernel: Tensor) -> Tensor:
    """Puts the channels of a kernel last in memory, without a memory format, which vmap does not know."""
    return kernel.contiguous() if torch.compiler.is_compiling() else kernel.movedim(1, -1).contiguous().movedim(-1, 1)


def _check(x: Tensor, kernels: Sequence[Tensor], channels: int, grid: Grid) -> None:
    """Raises the one clear error for an input that the kernel does not fit."""
    grid.check(x)
    size = tuple(kernels[0].shape[-grid.ndim :])
    if len(kernels) != grid.rotations // grid.turns:
        raise ValueError(f"{grid} needs kernels at {grid.rotations // grid.turns} angles, got {len(kernels)}")
    if x.shape[1] != channels:
        raise ValueError(f"expected {channels} input channels, got {x.shape[1]} in an input of shape {tuple(x.shape)}")
    if any(n % 2 == 0 for n in size):
        raise ValueError(f"kernels must have odd sizes to keep their centre, got {size}")
    if grid.rotations > 1 and size[0] != size[1]:
        raise ValueError(f"kernels that are turned must be square, got {size}")
    if x.dtype != kernels[0].dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"an input of {x.dtype} does not go with a kernel of {kernels[0].dtype}: convert one with .to")
