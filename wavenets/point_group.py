"""The point group of an image: turns, and turns of the mirror image, written down as tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral

import torch
from torch import Tensor

from wavenets._ops.export import row_by_row

ROTATIONS = 1, 2, 4, 8, 12, 16


@dataclass(frozen=True)
class PointGroup:
    """The cyclic group C_n of n turns or, with reflections, the dihedral group D_n of 2n elements.

    Element ``m·n + r`` mirrors an image m times, left to right, and then turns it counterclockwise by r/n of a circle:
    turn_r mirror^m. Since mirror turn_r = turn_-r mirror, elements compose as

        turn_q mirror^a · turn_r mirror^m = turn_(q + (-1)^a r) mirror^(a + m)

    Quarter turns act on pixels exactly. An element of a group with more than four turns is an exact element, its
    *frame*, followed by a turn of less than a quarter, its *angle*.

    Args:
        rotations: Number of turns: 1, 2, 4, 8, 12 or 16.
        mirrored: If True, the group contains reflections.

    Attributes:
        order: Number of elements.
        product: Table of products, ``product[g][h]`` = g·h.
        inverse: Table of inverses.

    Raises:
        ValueError: If the number of rotations is not supported, or ``mirrored`` is neither True nor False.

    Example:
        >>> group = PointGroup(4, mirrored=True)
        >>> group.product[4][1], group.product[1][4]  # mirror a turned image; turn a mirrored one
        (7, 5)
    """

    rotations: int = 1
    mirrored: bool = False
    order: int = field(init=False, compare=False, repr=False)
    product: tuple[tuple[int, ...], ...] = field(init=False, compare=False, repr=False)
    inverse: tuple[int, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        n = self.rotations
        if not isinstance(n, Integral) or n not in ROTATIONS:
            raise ValueError(f"rotations must be one of {', '.join(map(str, ROTATIONS))}, got {n!r}")
        if not isinstance(self.mirrored, bool):
            raise ValueError(f"mirrored must be True or False, got {self.mirrored!r}")
        elements = [(m, r) for m in range(1 + self.mirrored) for r in range(n)]
        product = tuple(tuple((a ^ m) * n + (q + (-1) ** a * r) % n for m, r in elements) for a, q in elements)
        object.__setattr__(self, "order", len(elements))
        object.__setattr__(self, "product", product)
        object.__setattr__(self, "inverse", tuple(row.index(0) for row in product))

    @property
    def finer(self) -> int:
        """Number of angles from 0 to below a quarter turn: 1 up to four rotations."""
        return max(self.rotations // 4, 1)

    @property
    def exact(self) -> "PointGroup":
        """The subgroup that acts on pixels exactly."""
        return PointGroup(4, self.mirrored) if self.rotations > 4 else self

    def frame(self, element: int) -> int:
        """Return the exact part of an element, numbered as in ``exact``."""
        return element // self.finer

    def angle(self, element: int) -> int:
        """Return the angle of an element from its frame on, in parts of 1/n of a circle."""
        return element % self.finer

    def element(self, frame: int, angle: int = 0) -> int:
        """Return the element with this frame and this angle."""
        return frame * self.finer + angle

    def undoing(self, frame: int) -> int:
        """Return the frame that undoes a frame."""
        return self.frame(self.inverse[self.element(frame)])

    def parts(self, frame: int) -> tuple[bool, int]:
        """Return whether a frame mirrors, and by how many quarter turns it then turns."""
        turns = min(self.rotations, 4)
        return frame >= turns, frame % turns * (4 // turns)

    def find(self, turns: int, mirror: bool = False) -> int:
        """Return the element that mirrors, and then turns by a number of quarter turns.

        Raises:
            ValueError: If the group has no such element.
        """
        if mirror and not self.mirrored:
            raise ValueError(f"{self} contains no reflections, got mirror={mirror}")
        if turns * self.rotations % 4:
            raise ValueError(f"{self} contains no turn by {turns} quarters")
        return mirror * self.rotations + turns * self.rotations // 4 % self.rotations

    def act(self, frame: int, x: Tensor) -> Tensor:
        """Mirror and turn (…, H, W) as a frame does, a view of x where that is possible."""
        mirrored, quarters = self.parts(frame)
        return turn(x.flip(-1) if mirrored else x, quarters)

    def undo(self, frame: int, x: Tensor) -> Tensor:
        """Undo ``act``: bring (…, H, W) back from a frame."""
        return self.act(self.undoing(frame), x)

    def sum(self, parts: Sequence[Tensor]) -> Tensor:
        """Add up one tensor for each element, in an order under which transformations change no bit of the sum.

        An exact transformation g moves part h·g to h. It permutes the cosets K·h of every subgroup K in the chain
        {1} ⊂ C2 ⊂ C4 ⊂ D4. Each step below adds the sums of two cosets that form one coset of the next subgroup, and
        a + b = b + a. Angles between quarter turns are not changed by g, so they are added in order.

        Raises:
            ValueError: If there is not one part for each element.
        """
        if len(parts) != self.order:
            raise ValueError(f"{self} has {self.order} elements, got {len(parts)} parts")
        total = None
        for angle in range(self.finer):
            cosets = list(parts[angle :: self.finer])  # of {1}: one for each frame, mirrored ones last
            turns = [cosets[: len(cosets) // 2], cosets[len(cosets) // 2 :]] if self.mirrored else [cosets]
            while len(turns[0]) > 1:  # opposite turns, then these pairs
                half = len(turns[0]) // 2
                turns = [[a + b for a, b in zip(some[:half], some[half:], strict=True)] for some in turns]
            both = turns[0][0] + turns[1][0] if self.mirrored else turns[0][0]
            total = both if total is None else total + both
        assert total is not None
        return total

    def mean(self, parts: Sequence[Tensor]) -> Tensor:
        """Average one tensor for each element: ``sum``, divided by their number."""
        return self.sum(parts) / self.order

    def commuting(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply a function of images so that it commutes with the group, to the last bit.

        It is applied to (…, H, W) as every frame sees it. The result is the mean of what it returns, brought back.
        """
        if self.order == 1:
            return function(x)
        seen = (row_by_row(self.act(frame, x)) for frame in range(self.order))
        moved = (self.undo(frame, function(y)) for frame, y in enumerate(seen))
        return self.mean([row_by_row(y) for y in moved])  # without that an exporter asks for strides


def turn(x: Tensor, quarters: int) -> Tensor:
    """Turn (…, H, W) by quarters of a circle, counterclockwise."""
    return torch.rot90(x, quarters, (-2, -1)) if quarters % 4 else x
