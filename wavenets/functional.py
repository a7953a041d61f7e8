"""Lifting and group convolutions as pure functions on tensors and sequences of tensors."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wavenets._ops.conv import check_padding_mode, same_conv
from wavenets._ops.conv_pool import conv1d_max_pool
from wavenets._ops.export import compiling, exporting
from wavenets._ops.frames import Scale
from wavenets.grid import Grid
from wavenets.levels import Levels, check_channels, check_levels, check_signal, check_sizes, grid_of, known
from wavenets.resample import stretch


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
    """Lift a signal to features on the group: F_h = view_h(x) ⋆ ψ, the same kernel on every view.

    Seen from the signal, level i is a convolution with the kernel dilated by base^i and smoothed by the anti-alias
    filter, evaluated every base^i samples (the lifting convolution of Romero et al., arXiv 2006.05259).

    Args:
        input: Signal of shape (B, C, L) or (B, C, H, W).
        weight: Kernel of shape (O, C, k) or (O, C, k, k), k odd. With more than four rotations (M, O, C, k, k): the
            samples at the M = rotations / 4 angles from 0 to below a quarter turn, clockwise.
        bias: Bias of shape (O,), or None.
        num_scales: Number of scales S.
        stride: Stride within each level, in that level's own samples.
        max_pool: Window of a max-pooling of each level in the same pass; 1 for none.
        padding_mode: "zeros", "reflect", "replicate" or "circular", as in ``torch.nn.Conv1d``.
        grid: The group; None is the dyadic grid without orientations.

    Returns:
        S levels, finest first, level i of shape (B, O, L_i / stride), rounded up, or the same in 2D. With ``max_pool``
        sizes are divided by it and rounded down. With N orientations N levels for each scale, orientations innermost.

    Raises:
        ValueError: If a shape or dtype does not fit, or the signal is too short for num_scales or max_pool.

    Example:
        >>> levels = lift(torch.randn(2, 1, 64), torch.randn(8, 1, 5), num_scales=3)
        >>> [tuple(level.shape) for level in levels]
        [(2, 8, 64), (2, 8, 32), (2, 8, 16)]
    """
    if weight.ndim < 3:
        raise ValueError(f"expected a weight of shape (O, C, k) or (O, C, k, k), got {tuple(weight.shape)}")
    check_padding_mode(padding_mode)
    grid = grid or Grid(min(weight.ndim, 4) - 2)
    kernels = weight.unbind(0) if grid.group.finer > 1 else (weight,)
    _check_kernels(kernels, grid)
    check_signal(input, grid.ndim)
    _check_input(input, kernels[0], kernels[0].shape[1])
    if stride < 1 or max_pool < 1:
        raise ValueError(f"stride and max_pool must be at least 1, got {stride} and {max_pool}")
    views = grid.views(input, num_scales)
    coarsest = [(n - 1) // stride + 1 for n in views[-1].shape[2:]]
    if not exporting() and min(coarsest) < max_pool:
        raise ValueError(
            f"level {num_scales - 1} of size {tuple(coarsest)} is smaller than max_pool={max_pool}: "
            "use a longer input or fewer scales"
        )
    if grid.ndim == 1 and padding_mode == "zeros":
        return Levels(*conv1d_max_pool(views, weight, bias, stride, max_pool), grid=grid)
    if grid.ndim == 2:  # then the features are channels last as well, which is faster
        kernels = tuple(_channels_last(kernel) for kernel in kernels)
    options: dict[str, Any] = {"stride": stride, "padding_mode": padding_mode}
    levels = Levels(*(same_conv(view, kernel, bias, **options) for view in views for kernel in kernels), grid=grid)
    pool = F.max_pool1d if grid.ndim == 1 else F.max_pool2d
    return levels if max_pool == 1 else levels.map(lambda level: pool(level, max_pool))


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
    """Convolve features on the group with a kernel that also spans neighbouring scales and all orientations.

    out_h = Σ_k align_k(in_{k·h}) ⋆ w_k. Features of another orientation are brought into the frame of the output before
    the convolution. Features of a coarser scale are upscaled after it, which is cheaper. The scale axis is never
    padded: a level that would need a scale outside is not computed. This keeps the equivariance exact at both ends (the
    group convolution of Romero et al., arXiv 2006.05259).

    Args:
        input: S levels, finest first, each of shape (B, C, L_i) or (B, C, H_i, W_i); with N orientations N levels for
            each scale.
        weight: Kernel of shape (O, C / groups, E, k) or (O, C / groups, E, k, k): E is the scale extent, k odd. With
            orientations (O, C / groups, E, N, k, k); with more than four rotations (M, O, C / groups, E, N, k, k): the
            samples at the M = rotations / 4 angles from 0 to below a quarter turn, clockwise.
        bias: Bias of shape (O,), or None.
        stride: Stride within each level, in that level's own samples.
        groups: Number of blocks of channels that are convolved separately.
        padding_mode: "zeros", "reflect", "replicate" or "circular", as in ``torch.nn.Conv1d``.
        grid: The group; None is the grid of the input, or the dyadic grid without orientations if that is None too.

    Returns:
        S - E + 1 scales, finest first, N levels for each of them.

    Raises:
        ValueError: If a shape or dtype does not fit, or there are fewer levels than the scale extent.

    Example:
        >>> levels = [torch.randn(2, 8, n) for n in (64, 32, 16)]
        >>> [tuple(level.shape) for level in group_conv(levels, torch.randn(4, 8, 3, 5))]
        [(2, 4, 64)]
    """
    check_padding_mode(padding_mode)
    if stride < 1:
        raise ValueError(f"stride must be at least 1, got {stride}")
    grid = grid or getattr(input, "grid", None)
    if weight.ndim < 4 or (grid is None and weight.ndim > 5):
        shapes = "(O, C / groups, E, k) or (O, C / groups, E, k, k)"
        raise ValueError(
            f"expected a weight of shape {shapes}, and with orientations a grid, got {tuple(weight.shape)}"
        )
    grid = grid or Grid(weight.ndim - 3)
    group, orientations = grid.group, grid.orientations
    if orientations > 1 and weight.shape[-3:-2] != (orientations,):
        raise ValueError(
            f"{grid} needs a weight (…, {orientations}, k, k) over orientations, got {tuple(weight.shape)}"
        )
    turned = weight.unbind(0) if group.finer > 1 else (weight,)
    extent = turned[0].shape[2]
    _check_kernels(turned, grid)
    if isinstance(input, Levels) and input.grid is not None:
        known(input, grid)
    check_levels(input)
    check_sizes(input, grid)
    check_signal(input[0], grid.ndim)
    _check_input(input[0], turned[0], turned[0].shape[1] * groups)
    if len(input) < extent * orientations:
        each = f" × {orientations} orientations" if orientations > 1 else ""
        raise ValueError(f"a scale extent of {extent} needs at least {extent} levels{each}, got {len(input)}")

    # kernels[k][j], of shape (O, N·C / groups, k, k), is for scale offset k and angle j. Block k of what a frame f sees
    # is orientation k·f. The neighbour k·h of h = j·f is (k·j)·f, so part k of kernel j stands at block k·j.
    kernels = [list(some) for some in zip(*(kernel.unbind(2) for kernel in turned), strict=True)]
    if orientations > 1:
        parts = [[group.product[block][group.inverse[j]] for block in range(orientations)] for j in range(group.finer)]
        kernels = [
            [(k[:, :, parts[j]] if j else k).transpose(1, 2).flatten(1, 2) for j, k in enumerate(some)]
            for some in kernels
        ]
    kernels = [[_channels_last(kernel) for kernel in some] for some in kernels]
    options: dict[str, Any] = {"stride": stride, "groups": groups, "padding_mode": padding_mode}

    def conv(features: Sequence[Tensor], offset: int) -> list[Tensor]:
        scale, output = Scale(features, grid, groups), []
        for frame in range(group.exact.order):
            seen = scale.seen_from(frame)
            with scale.recomputed(frame, seen):
                output += [same_conv(seen, kernel, None if offset else bias, **options) for kernel in kernels[offset]]
        return output

    # out_i = y_0 + align(y_1 + align(y_2 + …)), where y_k is scale i + k convolved with kernel k: step by step, so that
    # each alignment is from one scale to the next.
    scales, output = grid.by_scale(input), []
    for i in range(len(scales) - extent + 1):
        total = conv(scales[i + extent - 1], extent - 1)
        for k in reversed(range(extent - 1)):
            finer = conv(scales[i + k], k)
            total = [y + grid.align(coarse, y.shape[2:]) for y, coarse in zip(finer, total, strict=True)]
        output += total
    return Levels(*output, grid=grid)


def to_tensor(input: Levels) -> Tensor:
    """Stack features on the group in one tensor, every level upright and at the size of the finest.

    The result is a learned scalogram, for plots, transformers and plain convolutions. Layers that follow are not
    equivariant by themselves.

    Args:
        input: Levels, finest first, as layers return them.

    Returns:
        Tensor of shape (B, C, S, L) or (B, C, S, H, W). With N orientations the third axis has S·N entries,
        orientations innermost.

    Raises:
        ValueError: If the input is not levels, or their grid is unknown.

    Example:
        >>> from wavenets.nn import LiftingConv1d
        >>> to_tensor(LiftingConv1d(1, 16, kernel_size=79, num_scales=9)(torch.randn(2, 1, 22050))).shape
        torch.Size([2, 16, 9, 22050])
    """
    grid = grid_of(input)
    scales = [grid.upright(scale) for scale in grid.by_scale(input)]
    size = scales[0][0].shape[2:]
    return torch.stack([*scales[0], *(stretch(y, size, None) for scale in scales[1:] for y in scale)], 2)


def _channels_last(kernel: Tensor) -> Tensor:
    """Put the channels of a kernel last in memory; by axes, since vmap does not support memory formats."""
    return kernel.contiguous() if compiling() else kernel.movedim(1, -1).contiguous().movedim(-1, 1)


def _check_kernels(kernels: Sequence[Tensor], grid: Grid) -> None:
    """Raise a ValueError if kernels do not fit a grid."""
    size = tuple(kernels[0].shape[-grid.ndim :])
    if len(kernels) != grid.group.finer:
        raise ValueError(f"{grid} needs kernels at {grid.group.finer} angles, got {len(kernels)}")
    if any(n % 2 == 0 for n in size):
        raise ValueError(f"kernels must have odd sizes to keep their centre, got {size}")
    if grid.orientations > 1 and size[0] != size[1]:
        raise ValueError(f"kernels on a grid with orientations must be square, got {size}")


def _check_input(x: Tensor, kernel: Tensor, channels: int) -> None:
    """Raise a ValueError if a kernel does not fit an input."""
    check_channels(x, channels)
    if x.dtype != kernel.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"an input of {x.dtype} does not match a kernel of {kernel.dtype}: convert one with .to")
