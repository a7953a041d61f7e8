"""Test whether a module is equivariant to rescaling, turns and reflections: measures for levels and for maps."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wavenets.grid import Grid


def equivariance_error(
    module: Callable[[Tensor], Sequence[Tensor]],
    x: Tensor,
    grid: Grid | None = None,
    steps: int = 1,
    turns: int = 0,
    mirror: bool = False,
) -> list[float]:
    """Measure how far the levels ``module(act(x))`` are from the levels ``module(x)`` in their new order.

    Level (i, h) of ``module(act(x))`` is compared with level (i + steps, h·g) of ``module(x)``, where g is the
    transformation, for every level that both have.

    Args:
        module: Function from a signal to a sequence of levels, finest first, orientations innermost. An ``nn.Module``
            is measured in eval mode, without gradients. Afterwards all its parts are in the mode that they had.
        x: Signal of shape (B, C, L) or (B, C, H, W). It must be long enough that the module takes ``T^steps x`` too.
        grid: The group of the module, which acts on x; None is the dyadic grid.
        steps: Number of times x is rescaled by 1/base; may be 0 if x is turned or mirrored.
        turns: Number of quarter turns of x, counterclockwise.
        mirror: Whether x is mirrored first.

    Returns:
        The relative L2 error of each level. 0.0 is equivariance to the last bit; inf means that shapes do not agree, or
        that a level is missing.

    Raises:
        ValueError: If the module does not return levels, or too few levels to compare any, or if the grid does not
            contain the transformation.

    Example:
        >>> from wavenets.nn import LiftingConv1d
        >>> equivariance_error(LiftingConv1d(1, 8, 7, num_scales=4), torch.randn(1, 1, 101))
        [0.0, 0.0, 0.0]
    """
    grid = grid or Grid(x.ndim - 2)
    element = _element(grid, steps, turns, mirror)
    original, moved = (_output(module, signal) for signal in (x, grid.act(x, steps, turns, mirror)))
    for levels in original, moved:
        if isinstance(levels, Tensor):
            raise ValueError("the module returns one tensor: pass the part of it that returns levels, or use map_error")
        if len(levels) % grid.orientations:
            raise ValueError(f"expected {grid.orientations} levels for each scale, got {len(levels)} levels")
    if (count := len(original) - steps * grid.orientations) <= 0:
        raise ValueError(f"the module returns {len(original)} levels: none is left to compare after {steps} steps")
    expected = [original[grid.moved(i, steps, element)] for i in range(count)]
    return [_relative_error(moved[i], y) if i < len(moved) else float("inf") for i, y in enumerate(expected)]


def assert_equivariant(
    module: Callable[[Tensor], Sequence[Tensor]],
    x: Tensor,
    grid: Grid | None = None,
    steps: int = 1,
    turns: int = 0,
    mirror: bool = False,
    tolerance: float = 0.0,
) -> None:
    """Assert that the ``equivariance_error`` of a module does not exceed the tolerance at any level.

    Args:
        module: See ``equivariance_error``.
        x: See ``equivariance_error``.
        grid: See ``equivariance_error``.
        steps: See ``equivariance_error``.
        turns: See ``equivariance_error``.
        mirror: See ``equivariance_error``.
        tolerance: The largest relative L2 error allowed; 0.0 is exactness.

    Raises:
        AssertionError: If the error of a level is larger. The message lists the errors of all levels.
    """
    errors = equivariance_error(module, x, grid, steps, turns, mirror)
    if not all(error <= tolerance for error in errors):
        listed = ", ".join(f"level {i}: {error:.3g}" for i, error in enumerate(errors))
        raise AssertionError(f"not equivariant under {_described(steps, turns, mirror)}, relative errors: {listed}")


def map_error(
    module: Callable[[Tensor], Tensor],
    x: Tensor,
    grid: Grid,
    steps: int = 0,
    turns: int = 0,
    mirror: bool = False,
) -> float:
    """Measure how far the map ``module(act(x))`` is from the transformed map ``act(module(x))``.

    Args:
        module: Function from a signal to one map, (B, C, L) or (B, C, H, W). An ``nn.Module`` is measured in eval mode,
            without gradients. Afterwards all its parts are in the mode that they had.
        x: Signal of shape (B, C, L) or (B, C, H, W).
        grid: The group of the module, which acts on x and on the map.
        steps: Number of times both are rescaled by 1/base. A map over several scales is then not exact, since one scale
            enters and one leaves.
        turns: Number of quarter turns of both, counterclockwise.
        mirror: Whether both are mirrored first.

    Returns:
        The relative L2 error. 0.0 is equivariance to the last bit; inf means that shapes do not agree.

    Raises:
        ValueError: If the module does not return one map, or if the grid does not contain the transformation.

    Example:
        >>> grid = Grid(2, rotations=4, mirrored=True)
        >>> map_error(torch.nn.ReLU(), torch.randn(1, 3, 33, 40), grid, turns=1, mirror=True)
        0.0
    """
    _element(grid, steps, turns, mirror)
    original, moved = (_output(module, signal) for signal in (x, grid.act(x, steps, turns, mirror)))
    for output in original, moved:
        if not isinstance(output, Tensor) or output.ndim != x.ndim:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"expected one map with {x.ndim} dimensions, got {shape}: use MapReadout for levels")
    return _relative_error(moved, grid.act(original, steps, turns, mirror))


def assert_map_equivariant(
    module: Callable[[Tensor], Tensor],
    x: Tensor,
    grid: Grid,
    steps: int = 0,
    turns: int = 0,
    mirror: bool = False,
    tolerance: float = 0.0,
) -> None:
    """Assert that the ``map_error`` of a module does not exceed the tolerance.

    Args:
        module: See ``map_error``.
        x: See ``map_error``.
        grid: See ``map_error``.
        steps: See ``map_error``.
        turns: See ``map_error``.
        mirror: See ``map_error``.
        tolerance: The largest relative L2 error allowed; 0.0 is exactness.

    Raises:
        AssertionError: If the error is larger.
    """
    if not (error := map_error(module, x, grid, steps, turns, mirror)) <= tolerance:
        raise AssertionError(f"not equivariant under {_described(steps, turns, mirror)}, relative error: {error:.3g}")


def _element(grid: Grid, steps: int, turns: int, mirror: bool) -> int:
    """Return the number of an element of the point group, after checking that there is something to measure."""
    if steps < 0 or (steps == 0 and turns % 4 == 0 and not mirror):
        raise ValueError(f"steps must be at least 1, got {steps}, unless the signal is turned or mirrored")
    try:
        return grid.group.find(turns, mirror)
    except ValueError as error:
        raise ValueError(f"{error}: pass the grid of the module") from None


def _described(steps: int, turns: int, mirror: bool) -> str:
    return f"steps={steps}, turns={turns}" + (", mirror=True" if mirror else "")


@torch.no_grad()
def _output(module: Callable[[Tensor], Any], x: Tensor) -> Any:
    modes = {part: part.training for part in module.modules()} if isinstance(module, nn.Module) else {}
    try:
        for part in modes:
            part.training = False
        return module(x)
    finally:
        for part, training in modes.items():
            part.training = training


def _relative_error(actual: Tensor, expected: Tensor) -> float:
    if actual.shape != expected.shape:
        return float("inf")
    if torch.equal(actual, expected):  # two levels of zeros agree as well
        return 0.0
    return (torch.linalg.vector_norm(actual - expected) / torch.linalg.vector_norm(expected)).item()
