"""What each frame sees of the features on all turns: the gathering before a group convolution, in one pass.

Frame q sees the features of quarter q + t turned back t times, for t = 0 … 3, side by side as channels. With rows of C
numbers, one for every orientation, example and pixel, that is a selection of rows. Each frame sees each row once, so
the gradient is a selection for every frame, and their sum; a scatter, which torch would do, takes many times as long.
"""

import operator
from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavenets.grid import Grid

Batch = tuple[tuple[int, ...], Tensor]  # quarters, and what their frames see, one after the other


def together(frames: Sequence[Tensor], apart: bool = False) -> list[Batch]:
    """Puts frames of one shape into one batch: opposite ones, and of a square image all.

    While compiling each is one: which frames are square is not asked, and one graph is for all sizes.

    Args:
        frames: What each quarter turn sees, (B, C, H, W).
        apart: If True, each is a batch of its own.
    """
    if torch.compiler.is_compiling():
        return [((q,), frame) for q, frame in enumerate(frames)]
    batches = [(some, [frames[q] for q in some]) for some in _alike(frames, apart)]
    return [(some, torch.cat(seen) if len(seen) > 1 else seen[0]) for some, seen in batches]


def neighbours(features: Sequence[Tensor], grid: Grid, groups: int = 1, apart: bool = False) -> list[Batch]:
    """What each frame sees of one scale: all R orientations as channels, turned into it, its own first.

    Args:
        features: R tensors (B, C, H, W); orientation q·M + j, M = R / 4, lies in the frame of quarter q.
        grid: The group.
        groups: Number of blocks of channels, each of which gets all orientations of its own.
        apart: If True, each frame is a batch of its own.

    Returns:
        For each shape of frame its quarters, and one batch of shape (len(quarters)·B, R·C, H, W).
    """
    if grid.rotations == 1:
        return together(features, apart)
    finer = grid.rotations // grid.turns
    if groups > 1 or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return together([_seen_from(q, features, grid, groups) for q in range(grid.turns)], apart)
    batch, channels = features[0].shape[:2]
    rows = torch.cat([feature.permute(0, 2, 3, 1).reshape(-1, channels) for feature in features])
    batches = []
    for some in _alike(features[::finer], apart):
        size = features[some[0] * finer].shape[2:]
        index, inverse = (torch.from_numpy(table).to(rows.device) for table in _rows(grid, some, *size))
        selected = _Select.apply(rows, index, inverse, batch)
        batches.append((some, selected.view(-1, *size, grid.rotations * channels).permute(0, 3, 1, 2)))
    return batches


def _alike(frames: Sequence[Tensor], apart: bool) -> list[tuple[int, ...]]:
    if apart:
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
def _rows(grid: Grid, quarters: tuple[int, ...], height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Which row stands where, of one image. In numpy: a tensor would be of the mode in which it was made first.

    Returns:
        Rows (quarters, pixels, R), at each place; and places (quarters, R, pixels) in each frame, of each row.
    """
    pixels = height * width
    index = []
    for q in quarters:
        for_each = []
        for r, t in _around(q, grid):
            quarter_turns = t * (4 // grid.turns)
            size = (width, height) if quarter_turns % 2 else (height, width)
            turned_back = np.rot90(np.arange(pixels).reshape(size), -quarter_turns)
            for_each.append(r * pixels + turned_back.flatten())
        index.append(np.stack(for_each, -1))
    inverse = [each.flatten().argsort().reshape(-1, pixels) for each in index]
    return np.stack(index), np.stack(inverse)


def _of_batch(table: Tensor, batch: int, step: int) -> Tensor:
    """The numbers (…, n) of one image's rows as those of a batch, (…, batch, n): image b begins b · step further on."""
    return table.unsqueeze(-2) + step * torch.arange(batch, device=table.device)[:, None]


class _Select(torch.autograd.Function):
    """Rows (R · B · pixels, C) as all frames see them, (frames · B · pixels · R, C), by the tables of ``_rows``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, index: Tensor, inverse: Tensor, batch: int) -> Tensor:
        return _selected(rows, index, batch)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tables, ctx.batch = inputs[1:]
        ctx.save_for_backward(*tables)
        ctx.save_for_forward(*tables)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        _, inverse = ctx.saved_tensors
        size = inverse[0].numel()
        places = (_of_batch(frame + q * ctx.batch * size, ctx.batch, size) for q, frame in enumerate(inverse))
        parts = (grad.index_select(0, place.flatten()) for place in places)
        return reduce(operator.add, parts), None, None, None

    @staticmethod
    def jvp(ctx: Any, rows: Tensor, *_: None) -> Tensor:
        return _selected(rows, ctx.saved_tensors[0], ctx.batch)


def _selected(rows: Tensor, index: Tensor, batch: int) -> Tensor:
    pixels = index.shape[1]
    first = index + index // pixels * pixels * (batch - 1)  # orientation r begins r · B · pixels into the rows
    return rows.index_select(0, _of_batch(first.flatten(1), batch, pixels).flatten())
