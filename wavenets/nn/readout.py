"""Readouts, which leave the group: as one vector, as one map, or as one upright level for each scale."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.levels import Levels, check_levels, grid_of
from wavenets.point_group import PointGroup

Mode = Literal["finest", "mean", "max", "logsumexp", "confident"]
Positions = Literal["mean", "max"]

Scales = list[list[Tensor]]  # for each scale one tensor (B, C, …) for each orientation, all upright and of one shape


class _Reduction(nn.Module):
    """A readout with a mode: it reduces levels of one shape to one tensor."""

    def __init__(self, mode: Mode, dropout: float = 0.0) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")
        if mode in ("finest", "confident") and dropout:
            raise ValueError(f"mode={mode!r} reads one scale, so none can be left out, got dropout={dropout}")
        self.mode, self.dropout = mode, _checked(dropout)

    def extra_repr(self) -> str:
        return f"{self.mode!r}{f', dropout={self.dropout}' if self.dropout else ''}"

    def _reduced(self, scales: Scales, group: PointGroup) -> Tensor:
        """Reduce over all levels, in an order under which turns and reflections change no bit."""
        if self.mode == "finest":
            return torch.stack(scales[0]).amax(0)
        kept = _kept(scales, self.dropout if self.training else 0.0)
        if self.mode == "mean":
            means = torch.stack([group.mean(scale) for scale in scales])
            return means.mean(0) if kept is None else (means * kept).sum(0) / kept.sum(0)
        maxima = torch.stack([torch.stack(scale).amax(0) for scale in scales])
        maximum = (maxima if kept is None else maxima.masked_fill(~kept, -torch.inf)).amax(0)
        if self.mode == "max":
            return maximum
        shift = maximum.detach().nan_to_num(neginf=0.0)
        sums = torch.stack([group.sum([(y - shift).exp() for y in scale]) for scale in scales])
        return shift + (sums if kept is None else sums * kept).sum(0).log()


class Readout(_Reduction):
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
            return _pick([grid.group.mean(scale) for scale in scales], self.chosen(input))
        return self._reduced([list(scale) for scale in scales], grid.group)

    def chosen(self, input: Levels) -> Tensor:
        """Return the scale with the surest answer for each example, (B,); of equal ones the finest."""
        grid = grid_of(input)
        logits = [grid.group.mean(scale) for scale in grid.by_scale(_pooled(input, self.positions))]
        return torch.stack([_probability(y).amax(1) for y in logits]).argmax(0)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.positions == "mean" else f", positions={self.positions!r}")


class MapReadout(_Reduction):
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
        coarse or too fine scale for other networks. See ``Canonicalize`` for a learned score.

    Shape:
        Levels (B, C, L_i) -> (B, C, L), or (B, C, H_i, W_i) -> (B, C, H, W): the size of level 0.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is not levels, or their grid is unknown.

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
        grid = grid_of(input)
        if self.mode != "confident":
            count = grid.orientations if self.mode == "finest" else len(input)
            return self._reduced(_upright(input[:count], grid), grid.group)
        means = [grid.group.mean(scale) for scale in _upright(input, grid)]
        return _pick(means, self.chosen(input)) if self.choice is None else means[self.choice]

    def evidence(self, input: Levels) -> list[Tensor]:
        """Return how sure each scale is at every position, in the form in which it adds up over tiles."""
        return [_confidence(logits) for logits in _means(input, grid_of(input))]

    def chosen(self, input: Levels) -> Tensor:
        """Return the scale with the surest answer for each example, (B,); of equal ones the finest."""
        return _surest(_means(input, grid_of(input)))


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
        self.positions, self.dropout = positions, _checked(dropout)
        self.logits = nn.Linear(channels, num_classes)
        self.score = nn.Linear(channels, 1)

    def forward(self, input: Levels) -> Tensor:
        grid = grid_of(input)
        pooled = _pooled(input, self.positions)
        logits, score = ([layer(y) for y in pooled] for layer in (self.logits, self.score))
        return _gated(logits, score, grid, self.dropout if self.training else 0.0)

    def extra_repr(self) -> str:
        return f"positions={self.positions!r}, dropout={self.dropout}"


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
        ValueError: If an argument is out of range; in ``forward`` if the input is not levels, or their grid is unknown.

    Example:
        >>> from wavenets import Grid
        >>> views = Grid(2, rotations=4).views(torch.randn(1, 3, 33, 40), num_scales=2)
        >>> GatedMapReadout(3, num_classes=5)(views).shape
        torch.Size([1, 5, 33, 40])
    """

    def __init__(self, channels: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = _checked(dropout)
        self.logits = nn.Conv1d(channels, num_classes, 1)  # on positions in a row: in 1D and 2D alike
        self.score = nn.Conv1d(channels, 1, 1)

    def forward(self, input: Levels) -> Tensor:
        grid = grid_of(input)

        def map_of(layer: nn.Module) -> list[Tensor]:
            levels = input.map(lambda level: layer(level.flatten(2)).unflatten(2, level.shape[2:]))
            return [level for scale in _upright(levels, grid) for level in scale]

        return _gated(map_of(self.logits), map_of(self.score), grid, self.dropout if self.training else 0.0)

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}"


class OrientationPool(nn.Module):
    """Pooling over orientations, in the frame of the signal: one upright level for each scale.

    Args:
        mode: "max" or "mean" over the orientations of a scale. Either is equivariant to turns and reflections to the
            last bit.

    Shape:
        N levels (B, C, H_i, W_i) or transposed, for each scale -> one level (B, C, H_i, W_i) for each scale, on a grid
        of scales alone.

    Raises:
        ValueError: If the mode is unknown; in ``forward`` if the input is not levels, or their grid is unknown.

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
        grid = grid_of(input)
        pool: Callable[[list[Tensor]], Tensor] = grid.group.mean if self.mode == "mean" else _maximum
        return Levels(*(pool(grid.upright(scale)) for scale in grid.by_scale(input)), grid=grid.scales)

    def extra_repr(self) -> str:
        return repr(self.mode)


def _maximum(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).amax(0)


def _checked(dropout: float) -> float:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be from 0 to below 1, got {dropout}")
    return dropout


def _pooled(input: Levels, positions: Positions) -> list[Tensor]:
    """Return the levels (B, C, …) pooled over their positions, (B, C); levels (B, C) are returned as they are."""
    flat = [level.flatten(2) if level.ndim > 2 else level[..., None] for level in check_levels(input)]
    return [level.mean(2) if positions == "mean" else level.amax(2) for level in flat]


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


def _kept(scales: Scales, dropout: float) -> Tensor | None:
    """Return which scales of which example to keep, (S, B, 1, …), or None for all; orientations stay together."""
    if not dropout:
        return None
    like = scales[0][0]
    drawn = torch.rand(len(scales), len(like), *[1] * (like.ndim - 1), device=like.device)
    return (drawn >= dropout) | (drawn == drawn.amax(0))  # the largest is always kept


def _gated(logits: Sequence[Tensor], score: Sequence[Tensor], grid: Grid, dropout: float) -> Tensor:
    """Return Σ softmax(score) · logits over all levels, in an order under which turns and reflections change no bit."""
    shift = _maximum(score)
    weights = [(y - shift).exp() for y in score]
    kept = _kept([list(scale) for scale in grid.by_scale(weights)], dropout)

    def total(parts: list[Tensor]) -> Tensor:
        sums = torch.stack([grid.group.sum(scale) for scale in grid.by_scale(parts)])
        return (sums if kept is None else sums * kept).sum(0)

    return total([w * y for w, y in zip(weights, logits, strict=True)]) / total(weights)


def _probability(logits: Tensor) -> Tensor:
    """Return the probabilities of all classes; of one logit those of background and foreground."""
    if logits.shape[1] > 1:
        return logits.softmax(1)
    p = logits.sigmoid()
    return torch.cat([1 - p, p], 1)


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
    p, predicted = _probability(logits).max(1)
    foreground = (predicted != 0).to(p.dtype)
    return torch.stack([p * foreground, foreground], 1)


def _pick(scales: Sequence[Tensor], chosen: Tensor) -> Tensor:
    """Return, for each example, the output of the scale that was chosen for it."""
    stack = torch.stack(list(scales))
    index = chosen.view(1, -1, *[1] * (stack.ndim - 2)).expand(1, *stack.shape[1:])
    return stack.gather(0, index).squeeze(0)
