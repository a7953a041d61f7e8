"""Images that are read, and maps that are written, by slices: tensors, arrays, and arrays in files."""

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavenets._tiles.windows import Axis, Tile, scaled, tiles


def read(array: Any, where: Sequence[slice]) -> Tensor:
    """Return a part of an image or a map (C, …) as a tensor."""
    part = array[(slice(None), *where)]
    if isinstance(part, Tensor):
        return part
    part = np.asarray(part)
    tensor = torch.from_numpy(np.array(part, dtype=part.dtype.newbyteorder("="), order="C"))  # torch has no other order
    _release(array)
    return tensor


def _release(array: Any) -> None:
    """Release the memory of a memory-mapped array. What was read or written stays in the file."""
    mapped = getattr(array, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):  # "c" is not in the file
        mapped.madvise(mmap.MADV_DONTNEED)


class Target:
    """The map of the whole image, to which the cores of the tiles are written.

    Args:
        out: What to write to, or None for a new array, or for a new tensor if the image is one.
        image: The image.
        axes: Its axes.
    """

    def __init__(self, out: Any, image: Any, axes: Sequence[Axis]) -> None:
        self.out, self.image, self.axes = out, image, axes
        self.begun = False

    def write(self, tile: Tile, y: Tensor) -> None:
        """Write the map (K, …) of a tile."""
        if not self.begun:
            self.begin(y)
            self.begun = True
        core = [scaled(part.core, axis.scale) for part, axis in zip(tile, self.axes, strict=True)]
        self.assign(self.place(tile), y[(slice(None), *core)])

    def begin(self, y: Tensor) -> None:
        """Create the output, or check its shape, when the map of the first tile is known."""
        shape = (len(y), *(axis.map_size(m) for axis, m in zip(self.axes, y.shape[1:], strict=True)))
        if self.out is None and isinstance(self.image, Tensor):
            self.out = torch.empty(shape, dtype=y.dtype, device=self.image.device)
        elif self.out is None:
            self.out = np.empty(shape, dtype=_array(y).dtype)
        elif tuple(self.out.shape) != shape:
            raise ValueError(f"out must have the shape of the map, {shape}, got {tuple(self.out.shape)}")

    def place(self, tile: Tile) -> list[slice]:
        """Return where the core of a tile lies on the map."""
        parts = zip(tile, self.axes, strict=True)
        return [scaled(part.core, axis.scale, part.read.start * axis.scale) for part, axis in parts]

    def assign(self, place: Sequence[slice], y: Tensor) -> None:
        """Set a part of the map."""
        self.out[(slice(None), *place)] = y if isinstance(self.out, Tensor) else _array(y)
        _release(self.out)


def _array(y: Tensor) -> np.ndarray:
    return (y.float() if y.dtype == torch.bfloat16 else y).numpy(force=True)  # numpy has no bfloat16


class Blended(Target):
    """The map of the whole image, to which overlapping tiles are added by weights that sum to 1.

    Attributes:
        difference: Root mean square of the difference of neighbouring tiles where they overlap, relative to that of the
            map there. The weight of a pixel is the product of both weights, so it is largest halfway between the tiles.
    """

    def __init__(self, out: Any, image: Any, axes: Sequence[Axis]) -> None:
        super().__init__(out, image, axes)
        self.last: tuple[list[slice], Tensor, Tensor] | None = None
        self.squares = [0.0, 0.0]  # of differences and of the map, added up

    @property
    def difference(self) -> float:
        """The relative difference of neighbouring tiles, see the class."""
        differences, values = self.squares
        return (differences / values) ** 0.5 if values else 0.0

    def begin(self, y: Tensor) -> None:
        super().begin(y)
        if "float" not in str(self.out.dtype):
            raise ValueError(f"blended tiles are added up, for which out must be floating-point, got {self.out.dtype}")
        for tile in tiles(self.axes):
            self.assign(self.place(tile), torch.zeros(()))

    def write(self, tile: Tile, y: Tensor) -> None:
        if not self.begun:
            self.begin(y)
            self.begun = True
        place, weights = [], torch.ones((), dtype=torch.float64)
        for part, axis, size in zip(tile, self.axes, y.shape[1:], strict=True):
            start = int(part.read.start * axis.scale)
            place.append(slice(start, start + size))
            weights = weights[..., None] * axis.weights(part, size)
        weights = weights.to(y)
        self.assign(place, read(self.out, place).to(y) + weights * y)
        self._compare(place, y, weights)

    def _compare(self, place: list[slice], y: Tensor, weights: Tensor) -> None:
        """Compare the map of a tile with that of the last one, which lies beside it."""
        if self.last is not None:
            theirs, *last = self.last
            common = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(place, theirs, strict=True)]

            def cut(x: Tensor, where: list[slice]) -> Tensor:
                for dim, ((start, stop), whole) in enumerate(zip(common, where, strict=True), x.ndim - len(common)):
                    x = x.narrow(dim, start - whole.start, max(stop - start, 0))
                return x.double()

            (y1, w1), (y2, w2) = ((cut(x, place) for x in (y, weights)), (cut(x, theirs) for x in last))
            self.squares[0] += float((w1 * w2 * (y1 - y2) ** 2).sum())
            self.squares[1] += float((w1 * w2 * (y1**2 + y2**2) / 2).sum())
        self.last = place, y, weights
