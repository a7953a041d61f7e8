"""What each frame sees of the features on all turns: the gathering before a group convolution, in one pass.

Frame q sees the features of quarter q + t turned back t times, for t = 0 … 3, side by side as channels. With rows of C
numbers, one for every orientation, example and pixel, that is a selection of rows. Each frame sees each row once, so
the gradient is a selection for every frame, and their sum; a scatter, which torch would do, takes many times as long.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from wavenets.grid import Grid

Batch = tuple[tuple[int, ...], Tensor]  # quarters, and what their frames see, one after the other


def together(frames: Sequence[Tensor]) -> list[Batch]:
    """Puts frames of one shape into one batch: opposite ones, and of a square image all.

    While compiling each is one: which frames are square is not asked, and one graph is for all sizes.
    """
    if torch.compiler.is_compiling():
        return [((q,), frame) for q, frame in enumerate(frames)]
    batches = [(some, [frames[q] for q in some]) for some in _alike(frames)]
    return [(some, torch.cat(seen) if len(seen) > 1 else seen[0]) for some, seen in batches]


def neighbours(features: Sequence[Tensor], grid: Grid, groups: int = 1) -> list[Batch]:
    """What each frame sees of one scale: all R orientations as channels, turned into it, its own first.

    Args:
        features: R tensors (B, C, H, W); orientation q·M + j, M = R / 4, lies in the frame of quarter q.
        grid: The group.
        groups: Number of blocks of channels, each of which gets all orientations of its own.

    Returns:
        For each shape of frame its quarters, and one batch of shape (len(quarters)·B, R·C, H, W).
    """
    if grid.rotations == 1:
        return together(features)
    finer = grid.rotations // grid.turns
    if groups > 1 or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return together([_seen_from(q, features, grid, groups) for q in range(grid.turns)])
    batch, channels = features[0].shape[:2]
    rows = torch.cat([feature.permute(0, 2, 3, 1).reshape(-1, channels) for feature in features])
    batches = []
    for some in _alike(features[::finer]):
        size = features[some[0] * finer].shape[2:]
        index, inverse = _rows(grid, some, batch, *size)
        selected = _Select.apply(rows, index.to(rows.device), inverse.to(rows.device))
        batches.append((some, selected.view(-1, *size, grid.rotations * channels).permute(0, 3, 1, 2)))
    return batches


def _alike(frames: Sequence[Tensor]) -> list[tuple[int, ...]]:
    if frames[0].dtype == torch.float64:  # whose convolution on CPUs rounds by where in memory an image begins
        return [(q,) for q in range(len(frames))]
    if len(frames) < 4 or frames[0].shape == frames[1].shape:
        return [tuple(range(len(frames)))]
    return [(0, 2), (1, 3)]


def _around(q: int, grid: Grid) -> list[tuple[int, int]]:
    """The orientations as frame q counts them, and how many turns each is ahead."""
    finer = grid.rotations // grid.turns
    return [((q + t) % grid.turns * finer + j, t) for t in range(grid.turns) for j in range(finer)]


def _seen_from(q: int, features: Sequence[Tensor], grid: Grid, groups: int) -> Tensor:
    """The definition, in as many passes as there are words in it."""
    seen = [grid.turned(features[r], -t) for r, t in _around(q, grid)]
    if groups == 1:
        return torch.cat(seen, dim=1)
    return torch.cat([feature.unflatten(1, (groups, -1)) for feature in seen], dim=2).flatten(1, 2)


@lru_cache(maxsize=64)
def _rows(grid: Grid, quarters: tuple[int, ...], batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Which row stands at each place, (quarters, B, pixels, R) flattened; and for each frame where each row stands."""
    pixels = height * width
    index = []
    for q in quarters:
        for_each = []
        for r, t in _around(q, grid):
            size = (width, height) if t * (4 // grid.turns) % 2 else (height, width)
            pixel = grid.turned(torch.arange(pixels).view(1, 1, *size), -t).flatten()
            for_each.append((r * batch + torch.arange(batch)[:, None]) * pixels + pixel)
        index.append(torch.stack(for_each, -1))
    flat = torch.stack(index).flatten()
    return flat, flat.argsort(stable=True).view(-1, len(quarters)).T.contiguous()


class _Select(torch.autograd.Function):
    """rows[index], where inverse[q] says which part of the gradient each row gets from frame q."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        return rows.index_select(0, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        _, inverse = ctx.saved_tensors
        total = grad.index_select(0, inverse[0])
        for frame in inverse[1:]:
            total = total + grad.index_select(0, frame)
        return total, None, None

    @staticmethod
    def jvp(ctx: Any, rows: Tensor, *_: None) -> Tensor:
        index, _ = ctx.saved_tensors
        return rows.index_select(0, index)
