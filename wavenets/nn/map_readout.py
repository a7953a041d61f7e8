"""Readouts as one map."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.levels import Levels, check_channels, grid_of_maps
from wavenets.nn._reduction import Mode, Reduction, Scales, checked_dropout, gated, pick, probability


class MapReadout(Reduction):
    """Readout as one map: each level is upscaled to the finest size and brought upright, then they are reduced.

    Each level is upscaled in its own frame, since upscaling does not commute with turns to the last bit, and then
    turned back. If the signal is turned or mirrored, the map is turned or mirrored with it, to the last bit. If the
    signal is rescaled, the levels are exact. The map is exact only up to the scales that enter and leave, and up to
    interpolation.

    Args:
        mode: "finest" takes the maximum over the orientations of scale 0. "mean", "max" and "logsumexp" reduce over all
            levels. "confident" takes the mean over orientations, and then for each example the scale with the surest
            answer: that with the largest mean probability of the predicted class, over all positions where it is not
            class 0, the background. With one logit it is the mean probability p over the positions where p > ½.
        dropout: Scale dropout, see ``Readout``.

    Note:
        Confidence alone does not measure scale: it chose well for a released network for vessels, and chose a too
        coarse or too fine scale for other networks. See ``CanonicalizeThickness``, and ``Canonicalize`` for a learned
        score.

    Shape:
        Levels (B, C, L_i) -> (B, C, L), or (B, C, H_i, W_i) -> (B, C, H, W): the size of level 0.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is not levels of maps with a known grid.

    Example:
        >>> from wavenets import Grid
        >>> views = Grid(2, rotations=4, mirrored=True).views(torch.randn(1, 3, 33, 40), num_scales=2)
        >>> MapReadout("mean")(views).shape
        torch.Size([1, 3, 33, 40])
    """

    choice: int | None  # see wavenets.tiles: it is set where one scale is chosen for many tiles

    def __init__(self, mode: Mode, dropout: float = 0.0) -> None:
        super().__init__(mode, dropout)
        if mode == "confident":
            self.choice = None

    def forward(self, input: Levels) -> Tensor:
        grid = grid_of_maps(input)
        if self.mode != "confident":
            count = grid.orientations if self.mode == "finest" else len(input)
            return self._reduced(_upright(input[:count], grid), grid.group)
        means = [grid.group.mean(scale) for scale in _upright(input, grid)]
        return pick(means, self.chosen(input)) if self.choice is None else means[self.choice]

    def evidence(self, input: Levels) -> list[Tensor]:
        """Return how sure each scale is at every position, in the form in which it adds up over tiles."""
        return [_confidence(logits) for logits in _means(input, grid_of_maps(input))]

    def chosen(self, input: Levels) -> Tensor:
        """Return the scale with the surest answer for each example, (B,); of equal ones the finest."""
        return _surest(_means(input, grid_of_maps(input)))


class GatedMapReadout(nn.Module):
    """Readout as one map: logits of each level, weighted at every position by a softmax of a learned score.

    It is equivariant as ``MapReadout`` is.

    Args:
        channels: Channels of the features.
        num_classes: Channels of the map.
        dropout: Scale dropout, see ``Readout``.

    Shape:
        Levels (B, C, L_i) -> (B, num_classes, L), or (B, C, H_i, W_i) -> (B, num_classes, H, W).

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is not levels of maps with a known grid.

    Example:
        >>> from wavenets import Grid
        >>> views = Grid(2, rotations=4).views(torch.randn(1, 3, 33, 40), num_scales=2)
        >>> GatedMapReadout(3, num_classes=5)(views).shape
        torch.Size([1, 5, 33, 40])
    """

    def __init__(self, channels: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = checked_dropout(dropout)
        self.logits = nn.Conv1d(channels, num_classes, 1)  # on positions in a row: in 1D and 2D alike
        self.score = nn.Conv1d(channels, 1, 1)

    def forward(self, input: Levels) -> Tensor:
        grid = grid_of_maps(input)
        check_channels(input[0], self.logits.in_channels)

        def map_of(layer: nn.Module) -> list[Tensor]:
            levels = input.map(lambda level: layer(level.flatten(2)).unflatten(2, level.shape[2:]))
            return [level for scale in _upright(levels, grid) for level in scale]

        return gated(map_of(self.logits), map_of(self.score), grid, self.dropout if self.training else 0.0)

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}"


def _upright(levels: Sequence[Tensor], grid: Grid) -> Scales:
    """Return all levels at the size of the finest, scale by scale, and then upright."""
    scales = grid.by_scale(levels)
    output = []
    for i, scale in enumerate(scales):
        same_size = []
        for orientation, level in enumerate(scale):
            for finer in reversed(range(i)):
                level = grid.upscale(level, scales[finer][orientation].shape[2:])
            same_size.append(level)
        output.append(grid.upright(same_size))
    return output


def _means(levels: Sequence[Tensor], grid: Grid) -> list[Tensor]:
    """Return the mean over the orientations of each scale, upright, at its own size."""
    return [grid.group.mean(grid.upright(scale)) for scale in grid.by_scale(levels)]


def _surest(maps: Sequence[Tensor]) -> Tensor:
    """Return the scale with the surest map for each example, (B,)."""
    return torch.stack([mean_confidence(y) for y in maps]).argmax(0)


def mean_confidence(logits: Tensor) -> Tensor:
    """Return the mean probability of the predicted class over the positions that are not background, (B,).

    It is 0 for a map that is all background.

    Args:
        logits: Logits of shape (B, C, …), where class 0 is background, or one logit of the foreground, C = 1.
    """
    total, positions = _confidence(logits).flatten(2).sum(2).unbind(1)
    return total / positions.clamp(min=1)


def _confidence(logits: Tensor) -> Tensor:
    """Return the probability of what is predicted, and 1, at each position; both are 0 in the background, (B, 2, …)."""
    p, predicted = probability(logits).max(1)
    foreground = (predicted != 0).to(p.dtype)
    return torch.stack([p * foreground, foreground], 1)
