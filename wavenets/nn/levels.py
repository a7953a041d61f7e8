"""What stands between convolutions: modules that treat every level alike, and the views of a signal."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenets._conv_pool import max_pool1d
from wavenets._export import exporting
from wavenets.grid import Grid
from wavenets.levels import Levels, check_levels
from wavenets.nn._kernel import positive


class Views(nn.Module):
    """Shows a signal as every element of the group sees it: what makes *any* network equivariant.

    ``nn.Sequential(Views(5, grid), PerScale(network), ScaleReadout("mean"))`` puts one network on all views, so it is
    equivariant to rescaling, and to quarter turns if the grid has them, without a change to the network.

    In training a batch norm inside of ``PerScale`` sees one view at a time: it normalises each by statistics of its own
    and counts every view as a step. Fine-tune with the norms in eval mode, or replace them by ``ScaleBatchNorm``; in
    eval mode there is no difference.

    Args:
        num_scales: Number of scales, that of the signal itself included.
        grid: The group, of at most four rotations: finer ones are no views.

    Shape:
        (B, C, L) or (B, C, H, W) -> num_scales levels, with rotations R for each scale, turns innermost.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the signal is too short.

    Example:
        >>> from wavenets.nn import ScaleReadout
        >>> net = nn.Sequential(Views(3, Grid(1)), PerScale(nn.Conv1d(1, 4, 9)), ScaleReadout("mean"))
        >>> net(torch.randn(2, 1, 100)).shape
        torch.Size([2, 4])
    """

    def __init__(self, num_scales: int, grid: Grid) -> None:
        super().__init__()
        if grid.rotations > grid.turns:
            raise ValueError(f"there are views at quarter turns only: use rotations=4 in place of {grid.rotations}")
        self.num_scales, self.grid = positive("num_scales", num_scales), grid

    def forward(self, input: Tensor) -> Levels:
        return self.grid.views(input, self.num_scales)

    def extra_repr(self) -> str:
        return f"{self.num_scales}, grid={self.grid}"


class PerScale(nn.Module):
    """Applies one module to each level.

    Args:
        module: A module from a tensor to a tensor. Whatever treats all levels alike keeps the equivariance.

    Shape:
        S levels -> S levels, each as the module leaves it.

    Example:
        >>> relu = PerScale(nn.ReLU())
        >>> [level.min().item() for level in relu([-torch.ones(1, 2, 4), -torch.ones(1, 2, 2)])]
        [0.0, 0.0]
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input: Sequence[Tensor]) -> Levels:
        check_levels(input)
        return Levels(*(self.module(level) for level in input))


class ScaleBatchNorm(nn.Module):
    """Batch normalisation whose statistics are shared by all levels and positions.

    In eval mode it is the same affine map on every level, so equivariance is exact; batch statistics, like anywhere,
    depend on which levels there are.

    Args:
        channels: Number of channels C.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics; None is a cumulative average.

    Shape:
        S levels (B, C, …) -> S levels of the same shapes.

    Example:
        >>> norm = ScaleBatchNorm(8)
        >>> levels = norm([torch.randn(4, 8, 100), torch.randn(4, 8, 50)])
        >>> bool(torch.cat(levels, dim=-1).mean().abs() < 1e-6)
        True
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__()
        # A member rather than a base class: nn.SyncBatchNorm.convert_sync_batchnorm then finds and converts it.
        self.norm = nn.BatchNorm1d(channels, eps, momentum)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        for name in self.norm.state_dict():  # torch's own batch norm fits as well
            if f"{prefix}{name}" in state_dict:
                state_dict[f"{prefix}norm.{name}"] = state_dict.pop(f"{prefix}{name}")
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def forward(self, input: Sequence[Tensor]) -> Levels:
        check_levels(input)
        if torch.compiler.is_compiling() and not self.training:  # where layouts are the compiler's, and a view costs
            norm = self.norm
            mean, var, weight, bias = norm.running_mean, norm.running_var, norm.weight, norm.bias
            return Levels(*(F.batch_norm(level, mean, var, weight, bias, eps=norm.eps) for level in input))
        channels_last = [level.movedim(1, -1) for level in input]
        flat = [level.flatten(0, -2) for level in channels_last]  # (positions, C)
        if self.training:
            # "unsafe": the parts do not know of each other, and may be modified in place.
            normed = torch.unsafe_split_with_sizes(self.norm(torch.cat(flat)), [len(level) for level in flat])
        else:
            normed = tuple(self.norm(level) for level in flat)
        return Levels(*(y.view(level.shape).movedim(-1, 1) for y, level in zip(normed, channels_last, strict=True)))


class _ScalePool(nn.Module):
    """A pooling of torch on each level; a level smaller than the window gets an error that says so."""

    pool: type[nn.Module]

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, **options: Any) -> None:
        super().__init__()
        self.window: Any = self.pool(kernel_size, stride, padding, **options)

    def forward(self, input: Sequence[Tensor]) -> Levels:
        check_levels(input)
        for i, level in enumerate([] if exporting() else input):
            least = self._least_size(level.ndim - 2)
            if any(size < n for size, n in zip(level.shape[2:], least, strict=True)):
                raise ValueError(
                    f"level {i} of size {tuple(level.shape[2:])} is smaller than the pooling window, which needs "
                    f"{max(least)} samples: give a longer input or use fewer scales"
                )
        return Levels(*(self.window(level) for level in input))

    def _least_size(self, ndim: int) -> list[int]:
        given = self.window.kernel_size, self.window.padding, getattr(self.window, "dilation", 1)
        each = zip(*((x,) * ndim if isinstance(x, int) else x for x in given), strict=True)
        return [1 if self.window.ceil_mode else dilation * (n - 1) + 1 - 2 * p for n, p, dilation in each]


class MaxPool1d(nn.MaxPool1d):
    """torch's, which keeps channels last in memory and, exported, is for all lengths."""

    def forward(self, input: Tensor) -> Tensor:
        return max_pool1d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


class ScaleMaxPool1d(_ScalePool):
    """Max-pools each level (B, C, L_i) in its own samples.

    Args:
        kernel_size: Size of the window.
        stride: Of the window; None is its size.
        padding: At both ends.
        **options: Further arguments of ``torch.nn.MaxPool1d``, by name: ``dilation``, ``ceil_mode``.

    Raises:
        ValueError: In ``forward``, if a level is smaller than the window.

    Example:
        >>> [level.shape[-1] for level in ScaleMaxPool1d(4)([torch.randn(1, 2, n) for n in (99, 50)])]
        [24, 12]
    """

    pool = MaxPool1d


class ScaleMaxPool2d(_ScalePool):
    """Max-pools each level (B, C, H_i, W_i): ``ScaleMaxPool1d`` for images."""

    pool = nn.MaxPool2d


class ScaleAvgPool1d(_ScalePool):
    """Average-pools each level (B, C, L_i): ``ScaleMaxPool1d`` with the options of ``torch.nn.AvgPool1d``."""

    pool = nn.AvgPool1d


class ScaleAvgPool2d(_ScalePool):
    """Average-pools each level (B, C, H_i, W_i): ``ScaleAvgPool1d`` for images."""

    pool = nn.AvgPool2d
