"""What a frame sees of the features in all orientations: they are gathered in one pass before a group convolution.

Block k of the channels that frame f sees is the features of orientation k·f, with k undone on their pixels. With rows
of C numbers, one row for every orientation, example and pixel, this is a selection of rows. Each frame sees each row
once, so the gradient is a selection as well. torch would use a scatter, which takes many times as long.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavenets._ops.conv_pool import cast
from wavenets._ops.export import tracing
from wavenets.grid import Grid
from wavenets.point_group import PointGroup

TABLES_BYTES = 2**26  # of tables that are kept


class Scale:
    """The features of one scale in all orientations, which can be seen from each frame.

    Args:
        features: N tensors (B, C, H, W), each in the frame of its orientation.
        grid: The group.
        groups: Number of blocks of channels. Each block of the result has its channels in all orientations.
    """

    def __init__(self, features: Sequence[Tensor], grid: Grid, groups: int = 1) -> None:
        self.features, self.group, self.groups = features, grid.group, groups
        self.by_rows = grid.orientations > 1 and groups == 1 and not tracing()
        if self.by_rows and sum(feature[:, 0].numel() for feature in features) >= 2**31:  # tables are int32
            self.by_rows = False
        if self.by_rows:
            channels = features[0].shape[1]
            rows = torch.cat([feature.permute(0, 2, 3, 1).reshape(-1, channels) for feature in features])
            # Cast as the convolution would do, but before each frame sees all orientations.
            self.rows = cast(rows)

    def seen_from(self, frame: int) -> Tensor:
        """Return what a frame sees, (B, N·C, H, W): all orientations, each brought into the frame."""
        if self.by_rows:
            return self._selected(frame, self.rows)
        return self._definition(frame) if self.group.order > 1 else self.features[0]

    def recomputed(self, frame: int, seen: Tensor) -> AbstractContextManager[Any]:
        """Save the features for the gradient, and not what a frame sees, which for N frames is N times as large."""
        if not self.by_rows or not _hooks_allowed():
            return nullcontext()
        if type(seen) is not Tensor or torch._C._functorch.is_functorch_wrapped_tensor(seen):  # without an address
            return nullcontext()
        at, shape, rows = seen.data_ptr(), seen.shape, self.rows.detach()

        def pack(saved: Tensor) -> Tensor | None:
            return None if saved.data_ptr() == at and saved.shape == shape else saved

        def unpack(saved: Tensor | None) -> Tensor:
            return self._selected(frame, rows) if saved is None else saved

        return torch.autograd.graph.saved_tensors_hooks(pack, unpack)

    def _selected(self, frame: int, rows: Tensor) -> Tensor:
        own = self.features[self.group.element(frame)]
        index, inverse = _tables(self.group, frame, own)
        # The call alone of an autograd function takes longer than the selection of a few thousand rows.
        batch = len(own)
        seen = _Select.apply(rows, index, inverse, batch) if rows.requires_grad else _selected(rows, index, batch)
        return seen.view(batch, *own.shape[2:], self.group.order * own.shape[1]).permute(0, 3, 1, 2)

    def _definition(self, frame: int) -> Tensor:
        group, first = self.group, self.group.element(frame)
        seen = [group.undo(group.frame(k), self.features[group.product[k][first]]) for k in range(group.order)]
        if self.groups == 1:
            return torch.cat(seen, dim=1)
        return torch.cat([feature.unflatten(1, (self.groups, -1)) for feature in seen], dim=2).flatten(1, 2)


def _rows(group: PointGroup, frame: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the tables of the selection for one image.

    They are numpy arrays, since they are kept: a tensor would stay an inference or a fake tensor if it was made as one.

    Returns:
        The row at each place of the frame, (pixels, N), and the place of each row, (N, pixels).
    """
    pixels = height * width
    index = np.empty((pixels, group.order), np.int32)
    for k in range(group.order):
        mirrored, quarters = group.parts(group.undoing(group.frame(k)))
        image = np.arange(pixels, dtype=np.int32).reshape((width, height) if quarters % 2 else (height, width))
        moved = np.rot90(np.flip(image, 1) if mirrored else image, quarters)
        index[:, k] = group.product[k][group.element(frame)] * pixels + moved.flatten()
    return index, index.flatten().argsort().astype(np.int32).reshape(-1, pixels)


_kept: OrderedDict[Any, tuple[Any, ...]] = OrderedDict()
_lock = threading.Lock()


def _cached(key: Any, make: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the tables for a key. The tables used last are kept, up to ``TABLES_BYTES``."""
    with _lock:
        if key not in _kept:
            _kept[key] = make()
            while len(_kept) > 1 and sum(table.nbytes for tables in _kept.values() for table in tables) > TABLES_BYTES:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return _kept[key]


def _hooks_allowed() -> bool:
    """Return whether hooks on saved tensors are allowed, which they are not under ``torch.func``."""
    return bool(torch._C._autograd._saved_tensors_hooks_is_enabled())  # type: ignore[attr-defined]


def _tables(group: PointGroup, frame: int, like: Tensor) -> tuple[Tensor, ...]:
    """Return the tables of ``_rows`` for the size of a tensor (B, C, H, W), on its device."""
    key = group, frame, like.shape[2], like.shape[3]
    arrays = _cached(key, lambda: _rows(*key))

    def tensors() -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(array).to(like.device) for array in arrays)

    if like.device.type in ("cpu", "meta") or type(like) is not Tensor:  # shares the memory of the array, or is fake
        return tensors()
    with torch.inference_mode(False):  # an inference tensor could not be saved for a gradient later
        return _cached((*key, like.device), tensors)


def _of_batch(table: Tensor, batch: int, step: int) -> Tensor:
    """Return row numbers of one image, (…, n), as those of a batch, (…, batch, n): image b begins at b · step."""
    return table.unsqueeze(-2) + step * torch.arange(batch, dtype=table.dtype, device=table.device)[:, None]


class _Select(torch.autograd.Function):
    """Rows (N · B · pixels, C) as a frame sees them, (B · pixels · N, C), by the tables of ``_rows``."""

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
        return grad.index_select(0, _of_batch(inverse, ctx.batch, inverse.numel()).flatten()), None, None, None

    @staticmethod
    def jvp(ctx: Any, rows: Tensor, *_: None) -> Tensor:
        return _selected(rows, ctx.saved_tensors[0], ctx.batch)


def _selected(rows: Tensor, index: Tensor, batch: int) -> Tensor:
    pixels = len(index)
    if batch == 1:  # the tables are those of one image
        return rows.index_select(0, index.flatten())
    first = index + index // pixels * pixels * (batch - 1)  # orientation h begins h · B · pixels into the rows
    return rows.index_select(0, _of_batch(first.flatten(), batch, pixels).flatten())
