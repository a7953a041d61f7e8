"""Features on the group: a tuple of tensors that adds level by level."""

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


class Levels(tuple[Tensor, ...]):
    """Features on the group: tensors, finest scale first, turns innermost. ``+``, ``-`` and ``*`` act level by level.

    All else is a tuple's. So ``out += identity`` adds the shortcut of a ResNet; a list would append it.

    Args:
        *levels: Tensors of shape (B, C, L_i) or (B, C, H_i, W_i), or one sequence of them.

    Raises:
        ValueError: In ``+``, ``-`` and ``*``, if the other operand has another number of levels.

    Example:
        >>> features = Levels(torch.ones(1, 2, 4), torch.ones(1, 2, 2))
        >>> [level.sum().item() for level in features + 2 * features]
        [24.0, 12.0]
    """

    def __new__(cls, *levels: Any) -> "Levels":
        """Of tensors, or of one sequence of them, as a tuple: torch and Lightning rebuild tuples in either way."""
        whole = len(levels) == 1 and isinstance(levels[0], list | tuple | Iterator)
        return super().__new__(cls, levels[0] if whole else levels)

    def __getnewargs__(self) -> tuple[Any, ...]:  # for copies and pickles
        return tuple(self)

    __array_ufunc__ = None  # so that a number of numpy leaves ``*`` to the levels

    def _each(self, operation: Callable[[Any, Any], Tensor], other: Any) -> "Levels":
        others = other if isinstance(other, tuple | list) else [other] * len(self)
        if len(others) != len(self):
            raise ValueError(f"{len(self)} levels and {len(others)} do not go together: leave out the coarsest ones")
        return Levels(*map(operation, self, others))

    def __add__(self, other: Any) -> "Levels":
        return self._each(operator.add, other)

    def __sub__(self, other: Any) -> "Levels":
        return self._each(operator.sub, other)

    def __mul__(self, other: Any) -> "Levels":
        return self._each(operator.mul, other)

    __radd__, __rmul__ = __add__, __mul__


pytree.register_pytree_node(
    Levels,
    lambda levels: (list(levels), None),
    lambda levels, _: Levels(*levels),
    serialized_type_name="wavenets.Levels",
)


def check_floating(x: Tensor) -> None:
    """Raises a ValueError unless a tensor is floating-point."""
    if not x.is_floating_point():
        raise ValueError(f"expected a floating-point input, got {x.dtype}: convert it with .float()")


def check_levels(input: Any, rotations: int = 1) -> None:
    """Raises a ValueError unless the input is a sequence of tensors, finest first, of one batch and dtype.

    With rotations there must be as many levels for each scale.
    """
    if isinstance(input, Tensor):
        raise ValueError(f"expected a sequence of levels, got one tensor of shape {tuple(input.shape)}: lift it first")
    if len(input) == 0:
        raise ValueError("expected at least one level, got none")
    if others := [type(level).__name__ for level in input if not isinstance(level, Tensor)]:
        raise ValueError(f"expected tensors as levels, got {', '.join(others)}")
    if len(input) % rotations:
        raise ValueError(f"expected {rotations} levels for each scale, one a turn, got {len(input)} levels")
    if torch.compiler.is_compiling():  # sizes are symbols there, and were right when it was run before
        return
    kinds = [(len(level), level.dtype) for level in input]
    if len(set(kinds)) > 1:
        raise ValueError(f"levels must have one batch size and dtype, got {', '.join(f'{b} × {d}' for b, d in kinds)}")
    sizes = [tuple(level.shape[2:]) for level in input]
    if any(math.prod(coarse) > math.prod(fine) for fine, coarse in itertools.pairwise(sizes)):
        raise ValueError(f"levels must come finest first, got sizes {', '.join(map(str, sizes))}")
    # Every orientation between two quarter turns lies in the frame of the first; in odd quarters height is width.
    step = [-1 if r * 4 // rotations % 2 else 1 for r in range(rotations)]
    for i in range(0, len(sizes), rotations):
        expected = [sizes[i][::direction] for direction in step]
        if sizes[i : i + rotations] != expected:
            raise ValueError(
                f"the turns of a scale must have the sizes of a turned image, {', '.join(map(str, expected))}, "
                f"got {', '.join(map(str, sizes[i : i + rotations]))}"
            )
