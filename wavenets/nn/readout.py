"""Where features leave the group."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.levels import Levels, check_levels

Mode = Literal["finest", "max", "mean", "logsumexp"]
Positions = Literal["mean", "max"]


class Readout(nn.Module):
    """Leaves the group: pools each level over its positions, then reduces over the levels.

    Args:
        mode: "finest" takes scale 0, "mean", "max" and "logsumexp" reduce over all levels; these are then invariant to
            rescaling, but for the levels that enter and leave at the two ends. Over turns "max" is invariant exactly,
            and so is "finest", which takes the maximum over all turns of scale 0.
        positions: "mean" or "max" over the positions of a level.
        dropout: Scale dropout: in training a scale of an example is left out with this probability, never all of them,
            so that every scale learns to tell classes apart.
        grid: The group; needed if there are rotations.

    Shape:
        Levels of features or logits, (B, C, …) or (B, C) -> (B, C).

    Raises:
        ValueError: If an argument is none of these; in ``forward`` if the input is not levels.

    Example:
        >>> Readout("max")([torch.zeros(2, 3, 8), torch.ones(2, 3, 4)])
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    def __init__(
        self, mode: Mode, positions: Positions = "mean", dropout: float = 0.0, grid: Grid | None = None
    ) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")
        if mode == "finest" and dropout:
            raise ValueError(f"of the finest scale alone none can be left out, got dropout={dropout}")
        self.mode = mode
        self.positions, self.dropout, self.rotations = _options(positions, dropout, grid)

    def forward(self, input: Sequence[Tensor]) -> Tensor:
        check_levels(input, self.rotations)
        pooled = _pool(input, self.positions)
        if self.mode == "finest":
            return pooled[: self.rotations].amax(0)
        kept = _kept(pooled, self.dropout if self.training else 0.0, self.rotations)
        if self.mode == "mean":
            return pooled.mean(0) if kept is None else (pooled * kept).sum(0) / kept.sum(0)
        if kept is not None:
            pooled = pooled.masked_fill(~kept, -torch.inf)
        return pooled.amax(0) if self.mode == "max" else pooled.logsumexp(0)

    def extra_repr(self) -> str:
        positions = "" if self.positions == "mean" else f", positions={self.positions!r}"
        return f"{self.mode!r}{positions}{f', dropout={self.dropout}' if self.dropout else ''}"


class GatedReadout(nn.Module):
    """Leaves the group by logits of each level, weighted by a softmax over levels of a learned score.

    So the network itself can tell which scale says something, where a mean hears all alike. It is invariant to
    rescaling, but for the levels that enter and leave.

    Args:
        channels: Channels of the features.
        num_classes: Number of logits.
        positions: "mean" or "max" over the positions of a level.
        dropout: Scale dropout, see ``Readout``.
        grid: The group; needed for dropout if there are rotations.

    Shape:
        Levels (B, C, …) -> logits (B, num_classes).

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is not levels.

    Example:
        >>> GatedReadout(8, num_classes=10)([torch.randn(2, 8, n) for n in (40, 20)]).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        positions: Positions = "mean",
        dropout: float = 0.0,
        grid: Grid | None = None,
    ) -> None:
        super().__init__()
        self.positions, self.dropout, self.rotations = _options(positions, dropout, grid)
        self.logits = nn.Linear(channels, num_classes)
        self.score = nn.Linear(channels, 1)

    def forward(self, input: Sequence[Tensor]) -> Tensor:
        check_levels(input, self.rotations)
        pooled = _pool(input, self.positions)
        score = self.score(pooled)
        kept = _kept(pooled, self.dropout if self.training else 0.0, self.rotations)
        if kept is not None:
            score = score.masked_fill(~kept, -torch.inf)
        return (score.softmax(0) * self.logits(pooled)).sum(0)

    def extra_repr(self) -> str:
        return f"positions={self.positions!r}, dropout={self.dropout}"


class OrientationPool(nn.Module):
    """Pools features over turns, in the signal's own frame: maps that turn with the image, for dense outputs.

    Args:
        mode: "max" or "mean" over the turns of a scale. Either is equivariant to quarter turns to the last bit.
        grid: The group.

    Shape:
        R levels (B, C, H_i, W_i) or turned, for each scale -> one level (B, C, H_i, W_i) for each scale.

    Raises:
        ValueError: If there is no such mode; in ``forward`` if the levels are not R for each scale.

    Example:
        >>> grid = Grid(2, rotations=4)
        >>> pool = OrientationPool("max", grid)
        >>> [tuple(level.shape) for level in pool(grid.views(torch.randn(1, 3, 20, 30), num_scales=2))]
        [(1, 3, 20, 30), (1, 3, 10, 15)]
    """

    def __init__(self, mode: Literal["max", "mean"], grid: Grid) -> None:
        super().__init__()
        if mode not in ("max", "mean"):
            raise ValueError(f"mode must be max or mean, got {mode!r}")
        self.mode, self.grid = mode, grid

    def forward(self, input: Sequence[Tensor]) -> Levels:
        rotations = self.grid.rotations
        check_levels(input, rotations)
        return Levels(*(self._pool(input[i : i + rotations]) for i in range(0, len(input), rotations)))

    def _pool(self, features: Sequence[Tensor]) -> Tensor:
        upright, finer = self.grid.upright(features), self.grid.rotations // self.grid.turns
        if self.mode == "max":
            return torch.stack(upright).amax(0)
        # A quarter turn moves every orientation finer places on. The sum of opposite ones, then of these sums, stays
        # what it is, since a + b = b + a.
        while len(upright) > finer:
            half = len(upright) // 2
            upright = [a + b for a, b in zip(upright[:half], upright[half:], strict=True)]
        return sum(upright[1:], upright[0]) / self.grid.rotations

    def extra_repr(self) -> str:
        return f"{self.mode!r}, grid={self.grid}"


def _options(positions: Positions, dropout: float, grid: Grid | None) -> tuple[Positions, float, int]:
    if positions not in get_args(Positions):
        raise ValueError(f"positions must be mean or max, got {positions!r}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be from 0 to below 1, got {dropout}")
    return positions, dropout, grid.rotations if grid else 1


def _pool(input: Sequence[Tensor], positions: Positions) -> Tensor:
    """The levels (B, C, …) pooled over their positions and stacked: (levels, B, C). (B, C) has none any more."""
    flat = [level.flatten(2) if level.ndim > 2 else level[..., None] for level in input]
    return torch.stack([level.mean(2) if positions == "mean" else level.amax(2) for level in flat])


def _kept(pooled: Tensor, dropout: float, rotations: int) -> Tensor | None:
    """Which scales of which example to keep, (levels, B, 1); the turns of a scale stay together. None for all."""
    if not dropout:
        return None
    drawn = torch.rand(len(pooled) // rotations, pooled.shape[1], 1, device=pooled.device)
    kept = (drawn >= dropout) | (drawn == drawn.amax(0))  # the largest stays in any case
    return kept.repeat_interleave(rotations, 0)
