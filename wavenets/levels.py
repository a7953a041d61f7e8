"""Features on the group: a tuple of tensors that adds level by level, and knows its grid."""

import itertools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from torch import Tensor
from torch.utils import _pytree as pytree

from wavenets._ops.export import tracing

if TYPE_CHECKING:
    from wavenets.grid import Grid

SHAPES = "(B, C, L)", "(B, C, H, W)"  # of levels in 1D and 2D


class Levels(tuple[Tensor, ...]):
    """Features on the group: a tuple of tensors, finest scale first, orientations innermost.

    ``+``, ``-``, ``*`` and ``/`` act level by level; otherwise it behaves as a tuple, and slices are levels too. So
    ``out += identity`` adds the shortcut of a ResNet, where a list would append it.

    Args:
        *levels: Tensors of shape (B, C, L_i) or (B, C, H_i, W_i), or one sequence of them.
        grid: The group. Lifting layers set it, and group layers and readouts check it. It is None if it was not given,
            or if torch has rebuilt the levels from a plain tuple.

    Raises:
        ValueError: In arithmetic, if the other operand has another number of levels or another grid.

    Example:
        >>> features = Levels(torch.ones(1, 2, 4), torch.ones(1, 2, 2))
        >>> [level.sum().item() for level in features + 2 * features]
        [24.0, 12.0]
        >>> features[:1] / 2
        Levels((1, 2, 4), grid=None)
    """

    grid: "Grid | None"

    def __new__(cls, *levels: Any, grid: "Grid | None" = None) -> "Levels":
        """Take tensors, or one sequence of them, since torch and Lightning rebuild tuples in both ways."""
        whole = len(levels) == 1 and isinstance(levels[0], list | tuple | Iterator)
        made = super().__new__(cls, levels[0] if whole else levels)
        made.grid = grid
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:  # for copies and pickles, which restore the grid by themselves
        return tuple(self)

    def __repr__(self) -> str:
        return f"Levels({', '.join(str(tuple(level.shape)) for level in self)}, grid={self.grid})"

    @overload  # type: ignore[override]
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> "Levels": ...
    def __getitem__(self, index: int | slice) -> "Tensor | Levels":
        if isinstance(index, slice):
            return Levels(*tuple.__getitem__(self, index), grid=self.grid)
        return tuple.__getitem__(self, index)

    __array_ufunc__ = None  # so that ``numpy.float64(2) * levels`` calls ``Levels.__rmul__``

    def map(self, f: Callable[[Tensor], Tensor]) -> "Levels":
        """Apply a function to each level.

        Example:
            >>> Levels(-torch.ones(1, 2, 4)).map(torch.relu)[0].sum().item()
            0.0
        """
        return Levels(*map(f, self), grid=self.grid)

    def _each(self, operation: Callable[[Any, Any], Tensor], other: Any) -> "Levels":
        others = other if isinstance(other, tuple | list) else [other] * len(self)
        if len(others) != len(self):
            raise ValueError(f"{len(self)} levels and {len(others)} cannot be combined: leave out the coarsest ones")
        theirs = other.grid if isinstance(other, Levels) else None
        if self.grid is not None and theirs is not None and theirs != self.grid:
            raise ValueError(f"levels on {self.grid} and levels on {theirs} cannot be combined")
        return Levels(*map(operation, self, others), grid=theirs if self.grid is None else self.grid)

    def __add__(self, other: Any) -> "Levels":
        return self._each(operator.add, other)

    def __sub__(self, other: Any) -> "Levels":
        return self._each(operator.sub, other)

    def __rsub__(self, other: Any) -> "Levels":
        return -self + other

    def __mul__(self, other: Any) -> "Levels":
        return self._each(operator.mul, other)

    def __truediv__(self, other: Any) -> "Levels":
        return self._each(operator.truediv, other)

    def __neg__(self) -> "Levels":
        return self.map(operator.neg)

    __radd__, __rmul__ = __add__, __mul__


def _to_plain(grid: "Grid | None") -> Any:
    return None if grid is None else [grid.ndim, str(grid.base), grid.rotations, grid.mirrored]


def _from_plain(values: Any) -> "Grid | None":
    from wavenets.grid import Grid  # which imports this module

    return None if values is None else Grid(*values)


pytree.register_pytree_node(
    Levels,
    lambda levels: (list(levels), levels.grid),
    lambda levels, grid: Levels(*levels, grid=grid),
    serialized_type_name="wavenets.Levels",
    to_dumpable_context=_to_plain,
    from_dumpable_context=_from_plain,
)


def known(input: Any, expected: "Grid | None" = None) -> "Grid":
    """Return the grid of levels.

    Raises:
        ValueError: If the input is not levels, or if its grid is unknown or not the expected one.
    """
    grid = check_levels(input).grid
    if grid is None:
        wanted = expected or "GRID"
        raise ValueError(
            f"levels of unknown orientations: pass Levels(*levels, grid={wanted}), as lifting layers return"
        )
    if expected is not None and grid != expected:
        raise ValueError(f"expected levels on {expected}, got levels on {grid}: use one grid for all layers")
    return grid


def grid_of(input: Any) -> "Grid":
    """Return the grid of levels, after checking that their number and sizes fit it.

    Raises:
        ValueError: If the input is not levels, if its grid is unknown, or if number or sizes do not fit the grid.
    """
    grid = known(input)
    check_sizes(input, grid)
    return grid


def grid_of_maps(input: Any) -> "Grid":
    """Return `grid_of` levels, after checking that they are maps on it and not vectors (B, C)."""
    grid = grid_of(input)
    check_maps(input, grid.ndim)
    return grid


def check_ndim(ndim: int) -> None:
    """Raise a ValueError unless signals have one or two spatial dimensions."""
    if ndim not in (1, 2):
        raise ValueError(f"ndim must be 1 or 2, got {ndim}")


def check_maps(levels: Sequence[Tensor], ndim: int) -> None:
    """Raise a ValueError unless all levels have the shape (B, C, L) or (B, C, H, W)."""
    for level in levels:
        if level.ndim != ndim + 2:
            raise ValueError(f"expected levels of shape {SHAPES[ndim - 1]}, got {tuple(level.shape)}")


def check_channels(x: Tensor, channels: int) -> None:
    """Raise a ValueError unless a tensor (B, C, …) has so many channels."""
    if x.shape[1] != channels:
        raise ValueError(f"expected {channels} input channels, got {x.shape[1]} in an input of shape {tuple(x.shape)}")


def check_floating(x: Tensor) -> None:
    """Raise a ValueError unless a tensor is floating-point."""
    if not x.is_floating_point():
        raise ValueError(f"expected a floating-point input, got {x.dtype}: convert it with .float()")


def check_signal(x: Any, ndim: int) -> None:
    """Raise a ValueError unless x is a floating-point tensor of shape (B, C, L) or (B, C, H, W)."""
    shape = SHAPES[ndim - 1]
    if not isinstance(x, Tensor):
        raise ValueError(f"expected a tensor of shape {shape}, got {type(x).__name__}")
    if x.ndim != ndim + 2:
        raise ValueError(f"expected an input of shape {shape}, got {tuple(x.shape)}")
    check_floating(x)


def check_levels(input: Any) -> Levels:
    """Return a sequence of tensors as levels. Raise a ValueError unless batch size, channels and dtype agree."""
    if isinstance(input, Tensor):
        raise ValueError(f"expected a sequence of levels, got one tensor of shape {tuple(input.shape)}: lift it first")
    if len(input) == 0:
        raise ValueError("expected at least one level, got none")
    if others := [type(level).__name__ for level in input if not isinstance(level, Tensor)]:
        raise ValueError(f"expected tensors as levels, got {', '.join(others)}")
    levels = input if isinstance(input, Levels) else Levels(*input)
    if tracing():  # sizes are symbols; they are checked in a plain run
        return levels
    kinds = [(tuple(level.shape[:2]), level.dtype) for level in input]
    if len(set(kinds)) > 1:
        listed = ", ".join(f"{shape} {dtype}" for shape, dtype in kinds)
        raise ValueError(f"levels must have one batch size, number of channels and dtype, got {listed}")
    return levels


def check_sizes(input: Sequence[Tensor], grid: "Grid") -> None:
    """Raise a ValueError unless levels are finest first, with one of the right size for each orientation."""
    if len(input) % grid.orientations:
        raise ValueError(
            f"expected {grid.orientations} levels for each scale, one for each orientation, got {len(input)}"
        )
    if tracing():
        return
    sizes = [tuple(level.shape[2:]) for level in input]
    if any(math.prod(coarse) > math.prod(fine) for fine, coarse in itertools.pairwise(sizes)):
        raise ValueError(f"levels must come finest first, got sizes {', '.join(map(str, sizes))}")
    for scale in grid.by_scale(sizes):
        expected = [grid.size_of(orientation, scale[0]) for orientation in range(len(scale))]
        if list(scale) != expected:
            raise ValueError(
                f"the orientations of a scale must have the sizes of a turned image, {', '.join(map(str, expected))}, "
                f"got {', '.join(map(str, scale))}"
            )
