"""The reduction of levels of one shape to one tensor, which all readouts share."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.point_group import PointGroup

Mode = Literal["finest", "mean", "max", "logsumexp", "confident"]

Scales = list[list[Tensor]]  # for each scale one tensor (B, C, …) for each orientation, all upright and of one shape


class Reduction(nn.Module):
    """A readout with a mode: it reduces levels of one shape to one tensor."""

    def __init__(self, mode: Mode, dropout: float = 0.0) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")
        if mode in ("finest", "confident") and dropout:
            raise ValueError(f"mode={mode!r} reads one scale, so none can be left out, got dropout={dropout}")
        self.mode, self.dropout = mode, checked_dropout(dropout)

    def extra_repr(self) -> str:
        return f"{self.mode!r}{f', dropout={self.dropout}' if self.dropout else ''}"

    def _reduced(self, scales: Scales, group: PointGroup) -> Tensor:
        """Reduce over all levels, in an order under which turns and reflections change no bit."""
        if self.mode == "finest":
            return torch.stack(scales[0]).amax(0)
        kept = kept_scales(scales, self.dropout if self.training else 0.0)
        if self.mode == "mean":
            means = torch.stack([group.mean(scale) for scale in scales])
            return added(means) / len(means) if kept is None else added(means * kept) / kept.sum(0)
        greatest = kept_maximum(scales, kept)
        if self.mode == "max":
            return greatest
        shift = greatest.detach().nan_to_num(neginf=0.0)
        sums = torch.stack([group.sum([exp_below(y, shift) for y in scale]) for scale in scales])
        total = shift + added(sums if kept is None else sums * kept).log()
        return torch.maximum(total, greatest)  # the total is the larger one, unless they are infinite


def checked_dropout(dropout: float) -> float:
    """Return a probability of scale dropout, or raise a ValueError if it is out of range."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be from 0 to below 1, got {dropout}")
    return dropout


def kept_scales(scales: Scales, dropout: float) -> Tensor | None:
    """Return which scales of which example to keep, (S, B, 1, …), or None for all; orientations stay together."""
    if not dropout:
        return None
    like = scales[0][0]
    drawn = torch.rand(len(scales), len(like), *[1] * (like.ndim - 1), device=like.device)
    return (drawn >= dropout) | (drawn == drawn.amax(0))  # the largest is always kept


def gated(logits: Sequence[Tensor], score: Sequence[Tensor], grid: Grid, dropout: float) -> Tensor:
    """Return Σ softmax(score) · logits over all levels, in an order under which turns and reflections change no bit."""
    scales = [list(scale) for scale in grid.by_scale(score)]
    kept = kept_scales(scales, dropout)
    shift = kept_maximum(scales, kept)
    weights = [exp_below(y, shift) for y in score]

    def total(parts: list[Tensor]) -> Tensor:
        sums = torch.stack([grid.group.sum(scale) for scale in grid.by_scale(parts)])
        return added(sums if kept is None else sums * kept)

    return total([w * y for w, y in zip(weights, logits, strict=True)]) / total(weights)


def added(scales: Tensor) -> Tensor:
    """Return the sum over the scales, (S, …) -> (…), which rounds alike at all positions.

    ``sum`` does not from five scales on: it adds up the last positions of a row in another order.
    """
    total, *others = scales.unbind(0)
    for scale in others:
        total = total + scale
    return total


def maximum(parts: Sequence[Tensor]) -> Tensor:
    """Return the maximum of tensors of one shape, element by element."""
    return torch.stack(list(parts)).amax(0)


def kept_maximum(scales: Scales, kept: Tensor | None) -> Tensor:
    """Return the maximum over all levels of the scales that are kept, element by element."""
    maxima = torch.stack([maximum(scale) for scale in scales])
    return (maxima if kept is None else maxima.masked_fill(~kept, -torch.inf)).amax(0)


def exp_below(y: Tensor, shift: Tensor) -> Tensor:
    """Return exp(y - shift), at most 1: only in scales that are left out can y exceed the maximum of those kept."""
    return (y - shift).clamp(max=0).exp()


def probability(logits: Tensor) -> Tensor:
    """Return the probabilities of all classes; of one logit those of background and foreground.

    They are at least float32: near 1, those of bfloat16 differ by 0.004, and sums of float16 overflow.
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if logits.shape[1] > 1:
        return logits.softmax(1)
    p = logits.sigmoid()
    return torch.cat([1 - p, p], 1)


def pick(scales: Sequence[Tensor], chosen: Tensor) -> Tensor:
    """Return, for each example, the output of the scale that was chosen for it."""
    stack = torch.stack(list(scales))
    index = chosen.view(1, -1, *[1] * (stack.ndim - 2)).expand(1, *stack.shape[1:])
    return stack.gather(0, index).squeeze(0)
