"""Readouts as one vector."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from wavenets.levels import Levels, check_channels, check_levels, grid_of
from wavenets.nn._reduction import Mode, Reduction, checked_dropout, gated, pick, probability

Positions = Literal["mean", "max"]


class Readout(Reduction):
    """Readout as one vector: each level is pooled over its positions, then the levels are reduced to one.

    Args:
        mode: "finest" takes the maximum over the orientations of scale 0. "mean", "max" and "logsumexp" reduce over all
            levels. "confident" is for logits: it takes the mean over orientations, and then for each example the scale
            with the surest answer, that with the largest probability of a class.
        positions: "mean" or "max" over the positions of a level.
        dropout: Scale dropout: in training each scale of an example is left out with this probability, but never all of
            them. So every scale learns to distinguish the classes.

    Note:
        All modes are invariant to turns and reflections to the last bit. All modes except "finest" are invariant to
        rescaling up to the scales that enter and leave at the two ends. Confidence alone does not measure scale: some
        networks are surest of views that are too coarse or too fine. See ``Canonicalize`` for a learned score.

    Shape:
        Levels of features or logits, (B, C, …) or (B, C) -> (B, C).

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is not levels, or their grid is unknown.

    Example:
        >>> from wavenets import Grid, Levels
        >>> Readout("max")(Levels(torch.zeros(2, 3, 8), torch.ones(2, 3, 4), grid=Grid(1)))
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    def __init__(self, mode: Mode, positions: Positions = "mean", dropout: float = 0.0) -> None:
        super().__init__(mode, dropout)
        if positions not in get_args(Positions):
            raise ValueError(f"positions must be mean or max, got {positions!r}")
        self.positions = positions

    def forward(self, input: Levels) -> Tensor:
        grid = grid_of(input)
        scales = grid.by_scale(_pooled(input, self.positions))
        if self.mode == "confident":
            means = [grid.group.mean(scale) for scale in scales]
            return pick(means, _surest(means))
        return self._reduced([list(scale) for scale in scales], grid.group)

    def chosen(self, input: Levels) -> Tensor:
        """Return the scale with the surest answer for each example, (B,); of equal ones the finest."""
        grid = grid_of(input)
        return _surest([grid.group.mean(scale) for scale in grid.by_scale(_pooled(input, self.positions))])

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.positions == "mean" else f", positions={self.positions!r}")


class GatedReadout(nn.Module):
    """Readout as one vector: logits of each level, weighted by a softmax over levels of a learned score.

    So the network learns which scale is informative; a mean would weight all scales equally. The result is invariant to
    turns and reflections to the last bit, and to rescaling up to the scales that enter and leave.

    Args:
        channels: Channels of the features.
        num_classes: Number of logits.
        positions: "mean" or "max" over the positions of a level.
        dropout: Scale dropout, see ``Readout``.

    Shape:
        Levels (B, C, …) -> logits (B, num_classes).

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is not levels, or their grid is unknown.

    Example:
        >>> from wavenets import Grid, Levels
        >>> GatedReadout(8, num_classes=10)(Levels(torch.randn(2, 8, 40), torch.randn(2, 8, 20), grid=Grid(1))).shape
        torch.Size([2, 10])
    """

    def __init__(self, channels: int, num_classes: int, positions: Positions = "mean", dropout: float = 0.0) -> None:
        super().__init__()
        if positions not in get_args(Positions):
            raise ValueError(f"positions must be mean or max, got {positions!r}")
        self.positions, self.dropout = positions, checked_dropout(dropout)
        self.logits = nn.Linear(channels, num_classes)
        self.score = nn.Linear(channels, 1)

    def forward(self, input: Levels) -> Tensor:
        grid = grid_of(input)
        check_channels(input[0], self.logits.in_features)
        pooled = _pooled(input, self.positions)
        logits, score = ([layer(y) for y in pooled] for layer in (self.logits, self.score))
        return gated(logits, score, grid, self.dropout if self.training else 0.0)

    def extra_repr(self) -> str:
        return f"positions={self.positions!r}, dropout={self.dropout}"


def _surest(logits: list[Tensor]) -> Tensor:
    """Return which logits (B, C) are surest, that have the largest probability of a class, (B,)."""
    return torch.stack([probability(y).amax(1) for y in logits]).argmax(0)


def _pooled(input: Levels, positions: Positions) -> list[Tensor]:
    """Return the levels (B, C, …) pooled over their positions, (B, C); levels (B, C) are returned as they are."""
    flat = [level.flatten(2) if level.ndim > 2 else level[..., None] for level in check_levels(input)]
    return [level.mean(2) if positions == "mean" else level.amax(2) for level in flat]
