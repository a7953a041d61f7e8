"""Batch normalisation over all levels."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenets._ops.export import compiling
from wavenets.levels import Levels, check_channels, check_levels


class BatchNorm(nn.Module):
    """Batch normalisation whose statistics are shared by all levels and positions.

    In eval mode it is the same affine map on every level, so equivariance is exact. In training the statistics depend
    on the batch, and so on which levels there are.

    Args:
        num_features: Number of channels C.
        eps: Number that is added to the variance.
        momentum: Weight of the newest batch in the running statistics; None is a cumulative average.

    Shape:
        S levels (B, C, …) -> S levels of the same shapes.

    Raises:
        ValueError: In ``forward``, if the input is not levels, or has another number of channels.

    Example:
        >>> norm = BatchNorm(8)
        >>> levels = norm([torch.randn(4, 8, 100), torch.randn(4, 8, 50)])
        >>> bool(torch.cat(levels, dim=-1).mean().abs() < 1e-6)
        True
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__()
        # A member rather than a base class: nn.SyncBatchNorm.convert_sync_batchnorm then finds and converts it.
        self.norm = nn.BatchNorm1d(num_features, eps, momentum)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        for name in self.norm.state_dict():  # torch's own batch norm fits as well
            if f"{prefix}{name}" in state_dict:
                state_dict[f"{prefix}norm.{name}"] = state_dict.pop(f"{prefix}{name}")
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def forward(self, input: Sequence[Tensor]) -> Levels:
        levels = check_levels(input)
        check_channels(levels[0], self.norm.num_features)
        if compiling() and not self.training:  # where layouts are the compiler's, and a view costs
            norm = self.norm
            mean, var, weight, bias = norm.running_mean, norm.running_var, norm.weight, norm.bias
            return levels.map(lambda level: F.batch_norm(level, mean, var, weight, bias, eps=norm.eps))
        channels_last = [level.movedim(1, -1) for level in levels]
        flat = [level.flatten(0, -2) for level in channels_last]  # (positions, C)
        if self.training:
            # "unsafe": the parts do not know of each other, and may be modified in place.
            normed = torch.unsafe_split_with_sizes(self.norm(torch.cat(flat)), [len(level) for level in flat])
        else:
            normed = tuple(self.norm(level) for level in flat)
        shaped = (y.view(level.shape).movedim(-1, 1) for y, level in zip(normed, channels_last, strict=True))
        return Levels(*shaped, grid=levels.grid)
