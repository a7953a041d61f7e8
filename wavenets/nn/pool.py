"""Pooling over the positions of each level, in the samples of that level, and over the orientations of each scale."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from wavenets._ops.conv_pool import MaxPoolTensor1d, MaxPoolTensor2d
from wavenets._ops.export import exporting
from wavenets.levels import Levels, check_levels, check_maps, grid_of_maps
from wavenets.nn._reduction import maximum


class _ScalePool(nn.Module):
    """A pooling of torch on each level, with a clear error for a level that is smaller than the window."""

    pool: type[nn.Module]
    ndim: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, **options: Any) -> None:
        super().__init__()
        self.window: Any = self.pool(kernel_size, stride, padding, **options)

    def forward(self, input: Sequence[Tensor]) -> Levels:
        levels = check_levels(input)
        check_maps(levels, self.ndim)
        least = self._least_size()
        for i, level in enumerate([] if exporting() else input):
            if any(size < n for size, n in zip(level.shape[2:], least, strict=True)):
                raise ValueError(
                    f"level {i} of size {tuple(level.shape[2:])} is smaller than the pooling window, which needs "
                    f"{max(least)} samples: use a longer input or fewer scales"
                )
        return levels.map(self.window)

    def _least_size(self) -> list[int]:
        given = self.window.kernel_size, self.window.padding, getattr(self.window, "dilation", 1)
        each = zip(*((x,) * self.ndim if isinstance(x, int) else x for x in given), strict=True)
        return [1 if self.window.ceil_mode else dilation * (n - 1) + 1 - 2 * p for n, p, dilation in each]


class MaxPool1d(_ScalePool):
    """Max-pooling of each level (B, C, L_i), in the samples of that level.

    Args:
        kernel_size: Size of the window.
        stride: Stride of the window; None is its size.
        padding: Padding at both ends.
        **options: Further arguments of ``torch.nn.MaxPool1d`` by name: ``dilation``, ``ceil_mode``.

    Raises:
        ValueError: In ``forward``, if a level is smaller than the window, or not (B, C, L).

    Example:
        >>> [level.shape[-1] for level in MaxPool1d(4)([torch.randn(1, 2, n) for n in (99, 50)])]
        [24, 12]
    """

    pool, ndim = MaxPoolTensor1d, 1


class MaxPool2d(_ScalePool):
    """Max-pooling of each level (B, C, H_i, W_i): ``MaxPool1d`` for images."""

    pool, ndim = MaxPoolTensor2d, 2


class AvgPool1d(_ScalePool):
    """Average pooling of each level (B, C, L_i): see ``MaxPool1d``, with the options of ``torch.nn.AvgPool1d``."""

    pool, ndim = nn.AvgPool1d, 1


class AvgPool2d(_ScalePool):
    """Average pooling of each level (B, C, H_i, W_i): ``AvgPool1d`` for images."""

    pool, ndim = nn.AvgPool2d, 2


class OrientationPool(nn.Module):
    """Pooling over orientations, in the frame of the signal: one upright level for each scale.

    Args:
        mode: "max" or "mean" over the orientations of a scale. Either is equivariant to turns and reflections to the
            last bit.

    Shape:
        N levels (B, C, H_i, W_i) or transposed, for each scale -> one level (B, C, H_i, W_i) for each scale, on a grid
        of scales alone.

    Raises:
        ValueError: If the mode is unknown; in ``forward`` if the input is not levels of maps with a known grid.

    Example:
        >>> from wavenets import Grid
        >>> views = Grid(2, rotations=4).views(torch.randn(1, 3, 20, 30), num_scales=2)
        >>> OrientationPool("max")(views)
        Levels((1, 3, 20, 30), (1, 3, 10, 15), grid=Grid(ndim=2, base=2))
    """

    def __init__(self, mode: Literal["max", "mean"]) -> None:
        super().__init__()
        if mode not in ("max", "mean"):
            raise ValueError(f"mode must be max or mean, got {mode!r}")
        self.mode = mode

    def forward(self, input: Levels) -> Levels:
        grid = grid_of_maps(input)
        pool: Callable[[list[Tensor]], Tensor] = grid.group.mean if self.mode == "mean" else maximum
        return Levels(*(pool(grid.upright(scale)) for scale in grid.by_scale(input)), grid=grid.scales)

    def extra_repr(self) -> str:
        return repr(self.mode)
