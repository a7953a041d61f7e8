"""What stands between convolutions: modules that treat every level alike, and the readout that leaves the group."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Levels = list[Tensor]
Readout = Literal["finest", "max", "mean", "logsumexp"]


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

    def forward(self, input: Levels) -> Levels:
        return [self.module(level) for level in input]


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

    def forward(self, input: Levels) -> Levels:
        channels_last = [level.movedim(1, -1) for level in input]
        flat = [level.flatten(0, -2) for level in channels_last]  # (positions, C)
        if self.training:
            normed = self.norm(torch.cat(flat)).split([len(level) for level in flat])
        else:
            normed = [self.norm(level) for level in flat]
        return [y.reshape(level.shape).movedim(-1, 1) for y, level in zip(normed, channels_last, strict=True)]


class _ScalePool(nn.Module):
    """A pooling of torch on each level; a level smaller than the window gets an error that says so."""

    pool: type[nn.Module]

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0, ceil_mode: bool = False) -> None:
        super().__init__()
        self.window = self.pool(kernel_size, stride, padding, ceil_mode=ceil_mode)
        self.least_size = 1 if ceil_mode else kernel_size - 2 * padding

    def forward(self, input: Levels) -> Levels:
        for i, level in enumerate(input):
            if min(level.shape[2:]) < self.least_size:
                raise ValueError(
                    f"level {i} of size {tuple(level.shape[2:])} is smaller than the pooling window, which needs "
                    f"{self.least_size} samples: give a longer input or use fewer scales"
                )
        return [self.window(level) for level in input]


class _MaxPool1d(nn.MaxPool1d):
    """torch's, without its shortcut for inference, which copies inputs that have their channels last in memory."""

    def forward(self, input: Tensor) -> Tensor:
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, return_indices=True
        )[0]


class ScaleMaxPool1d(_ScalePool):
    """Max-pools each level (B, C, T_i) in its own samples; the arguments are those of ``torch.nn.MaxPool1d``.

    Raises:
        ValueError: In ``forward``, if a level is smaller than the window.

    Example:
        >>> [level.shape[-1] for level in ScaleMaxPool1d(4)([torch.randn(1, 2, n) for n in (99, 50)])]
        [24, 12]
    """

    pool = _MaxPool1d


class ScaleMaxPool2d(_ScalePool):
    """Max-pools each level (B, C, H_i, W_i): ``ScaleMaxPool1d`` for images."""

    pool = nn.MaxPool2d


class ScaleAvgPool1d(_ScalePool):
    """Average-pools each level (B, C, T_i); arguments of ``torch.nn.AvgPool1d``, errors of ``ScaleMaxPool1d``."""

    pool = nn.AvgPool1d


class ScaleAvgPool2d(_ScalePool):
    """Average-pools each level (B, C, H_i, W_i): ``ScaleAvgPool1d`` for images."""

    pool = nn.AvgPool2d


class ScaleReadout(nn.Module):
    """Leaves the group: averages each level over its positions, then reduces over the scales.

    Args:
        mode: "finest" takes level 0, "mean", "max" and "logsumexp" reduce over all levels; the last three are then
            invariant to rescaling, but for the levels that enter and leave at the two ends.

    Shape:
        S levels (B, C, …) -> (B, C).

    Raises:
        ValueError: If mode is none of these.

    Example:
        >>> ScaleReadout("max")([torch.zeros(2, 3, 8), torch.ones(2, 3, 4)])
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    def __init__(self, mode: Readout) -> None:
        super().__init__()
        if mode not in get_args(Readout):
            raise ValueError(f"mode must be one of {', '.join(get_args(Readout))}, got {mode!r}")
        self.mode = mode

    def forward(self, input: Levels) -> Tensor:
        # A level that has no positions any more, (B, C), is its own average.
        pooled = torch.stack([level.flatten(2).mean(2) if level.ndim > 2 else level for level in input])
        match self.mode:
            case "finest":
                return pooled[0]
            case "mean":
                return pooled.mean(0)
            case "max":
                return pooled.amax(0)
            case "logsumexp":
                return pooled.logsumexp(0)

    def extra_repr(self) -> str:
        return repr(self.mode)
