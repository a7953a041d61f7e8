"""Windows onto an image: where they lie, and how much the map of each counts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from wavenets._tiles.field import round_up


class Part(NamedTuple):
    """A window along one axis.

    Attributes:
        read: The pixels of the image that the network sees.
        core: The part of these whose map counts; up to the end of the image, if it has no stop.
    """

    read: slice
    core: slice


@dataclass(frozen=True)
class Axis:
    """An axis of the image, cut into windows of one length around cores that lie side by side.

    Attributes:
        size: Length of the axis.
        core: Length of a core; the last one is shorter.
        reach: Length of what is around a core, at least.
        window: Length of a window.
        scale: Length of a map, relative to that of the image.
    """

    size: int
    core: int
    reach: int
    window: int
    scale: Fraction

    @classmethod
    def whole(cls, size: int, scale: Fraction = Fraction(1)) -> "Axis":
        """Return an axis of one window."""
        return cls(size, size, 0, size, scale)

    @classmethod
    def cut(cls, size: int, tile: int, reach: int, stride: int, scale: Fraction) -> "Axis":
        """Return an axis whose windows begin at multiples of the stride and end where the size does, modulo the stride.

        The network then sees the same as in the whole image, from either end.
        """
        core, reach = max(stride, tile // stride * stride), round_up(reach, stride)
        window = core + 2 * reach + size % stride
        return cls(size, core, reach, window, scale) if window < size else cls.whole(size, scale)

    def parts(self) -> Iterator[Part]:
        """Return all windows, in their order."""
        for begin in range(0, self.size, self.core):
            start = min(max(begin - self.reach, 0), self.size - self.window)
            stop = begin + self.core - start if begin + self.core < self.size else None
            yield Part(slice(start, start + self.window), slice(begin - start, stop))

    def map_size(self, of_window: int) -> int:
        """Return the length of the map of the whole axis, given that of a window."""
        return of_window + int((self.size - self.window) * self.scale)

    def weights(self, part: Part, size: int) -> Tensor:
        """Return the weights of the map of a window, of the given size, by which maps of windows add up.

        With r(t) rising smoothly from 0 at t = -reach to 1 at t = reach, a core from b to e has weight r(x - b) -
        r(x - e) at x. So the weights of all windows, for which the e of the one is the b of the next, sum to 1.
        """
        x = part.read.start + (torch.arange(size, dtype=torch.float64) + 0.5) / float(self.scale)

        def rise(border: int) -> Tensor:
            return (1 + ((x - border) / self.reach).clamp(-1, 1).mul(math.pi / 2).sin()) / 2

        begin = part.read.start + part.core.start
        weights = rise(begin) if begin else torch.ones_like(x)
        return weights if part.core.stop is None else weights - rise(part.read.start + part.core.stop)


Tile = tuple[Part, ...]  # a window along each axis


def tiles(axes: Sequence[Axis]) -> Iterator[Tile]:
    """Return all tiles, row by row, every other row backwards: each lies beside the one before."""
    if len(axes) == 1:
        yield from ((part,) for part in axes[0].parts())
    else:
        parts = list(axes[1].parts())
        for i, row in enumerate(axes[0].parts()):
            yield from ((row, part) for part in parts[:: -1 if i % 2 else 1])


def scaled(part: slice, ratio: Fraction, offset: Fraction | int = 0) -> slice:
    """Return where pixels are on a map of another resolution."""
    start, stop = part.start * ratio + offset, None if part.stop is None else part.stop * ratio + offset
    return slice(math.floor(start), None if stop is None else math.floor(stop))
