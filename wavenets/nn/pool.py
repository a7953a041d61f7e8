"""Spatial pooling of each level, in the samples of that level."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from wavenets._ops.conv_pool import MaxPoolTensor1d
from wavenets._ops.export import exporting
from wavenets.levels import Levels, check_levels


class _ScalePool(nn.Module):
    """A pooling of torch on each level, with a clear error for a level that is smaller than the window."""

    pool: type[nn.Module]

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, **options: Any) -> None:
        super().__init__()
        self.window: Any = self.pool(kernel_size, stride, padding, **options)

    def forward(self, input: Sequence[Tensor]) -> Levels:
        levels = check_levels(input)
        for i, level in enumerate([] if exporting() else input):
            least = self._least_size(level.ndim - 2)
            if any(size < n for size, n in zip(level.shape[2:], least, strict=True)):
                raise ValueError(
                    f"level {i} of size {tuple(level.shape[2:])} is smaller than the pooling window, which needs "
                    f"{max(least)} samples: use a longer input or fewer scales"
                )
        return levels.map(self.window)

    def _least_size(self, ndim: int) -> list[int]:
        given = self.window.kernel_size, self.window.padding, getattr(self.window, "dilation", 1)
        each = zip(*((x,) * ndim if isinstance(x, int) else x for x in given), strict=True)
        return [1 if self.window.ceil_mode else dilation * (n - 1) + 1 - 2 * p for n, p, dilation in each]


class MaxPool1d(_ScalePool):
    """Max-pooling of each level (B, C, L_i), in the samples of that level.

    Args:
        kernel_size: Size of the window.
        stride: Stride of the window; None is its size.
        padding: Padding at both ends.
        **options: Further arguments of ``torch.nn.MaxPool1d`` by name: ``dilation``, ``ceil_mode``.

    Raises:
        ValueError: In ``forward``, if a level is smaller than the window.

    Example:
        >>> [level.shape[-1] for level in MaxPool1d(4)([torch.randn(1, 2, n) for n in (99, 50)])]
        [24, 12]
    """

    pool = MaxPoolTensor1d


class MaxPool2d(_ScalePool):
    """Max-pooling of each level (B, C, H_i, W_i): ``MaxPool1d`` for images."""

    pool = nn.MaxPool2d


class AvgPool1d(_ScalePool):
    """Average pooling of each level (B, C, L_i): see ``MaxPool1d``, with the options of ``torch.nn.AvgPool1d``."""

    pool = nn.AvgPool1d


class AvgPool2d(_ScalePool):
    """Average pooling of each level (B, C, H_i, W_i): ``AvgPool1d`` for images."""

    pool = nn.AvgPool2d
