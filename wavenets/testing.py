"""Is a module equivariant to rescaling and turning? Measured level by level, for any module."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from wavenets.grid import Grid


def equivariance_error(
    module: Callable[[Tensor], Sequence[Tensor]], x: Tensor, grid: Grid | None = None, steps: int = 1, turns: int = 0
) -> list[float]:
    """Measures how far ``module(act(x))`` is from ``module(x)``, renumbered, for every level that both have.

    Level i·R + r of the one is to be level (i + steps)·R + (r + turns) mod R of the other.

    Args:
        module: From a signal to a sequence of levels, finest first, turns innermost. An ``nn.Module`` is measured in
            eval mode, without gradients; it and all modules inside are left in the mode that they had.
        x: Signal of shape (B, C, L) or (B, C, H, W), long enough that the module takes ``T^steps x`` as well.
        grid: The group of the module, which acts on x; None is the dyadic grid. It must be decimated.
        steps: How many times x is rescaled; may be 0 if turns are not.
        turns: How many quarter turns x makes.

    Returns:
        The relative L2 error of each level: 0.0 is equivariance to the last bit, inf that not even the shapes agree, or
        that there is no level where one should be.

    Raises:
        ValueError: If the module does not return levels, or too few of them to compare any, or if the grid has no such
            transformation.

    Example:
        >>> from wavenets.nn import LiftingConv1d
        >>> equivariance_error(LiftingConv1d(1, 8, 7, num_scales=4), torch.randn(1, 1, 101))
        [0.0, 0.0, 0.0]
    """
    grid = grid or Grid(x.ndim - 2)
    rotations = grid.rotations
    if not grid.decimated:
        raise ValueError("on an undecimated grid levels do not move one into the other: measure on a decimated one")
    if steps < 0 or (steps == 0 and turns % 4 == 0):
        raise ValueError(f"steps must be at least 1, got {steps}, or turns must be")
    if turns * rotations % 4:
        raise ValueError(f"{grid} does not turn by {turns} quarters: give the grid of the module")
    original, moved = (_levels(module, signal) for signal in (x, grid.act(x, steps, turns)))
    if len(original) % rotations or len(moved) % rotations:
        raise ValueError(f"expected {rotations} levels for each scale, got {len(original)} and {len(moved)} levels")
    expected = original[steps * rotations :]
    if not expected:
        raise ValueError(f"the module returns {len(original)} levels: none is left to compare after {steps} steps")
    shift = turns * rotations // 4
    expected = [expected[i - i % rotations + (i + shift) % rotations] for i in range(len(expected))]
    return [_relative_error(moved[i], y) if i < len(moved) else float("inf") for i, y in enumerate(expected)]


def assert_equivariant(
    module: Callable[[Tensor], Sequence[Tensor]],
    x: Tensor,
    grid: Grid | None = None,
    steps: int = 1,
    turns: int = 0,
    tolerance: float = 0.0,
) -> None:
    """Asserts that a module is equivariant: that no ``equivariance_error`` exceeds the tolerance.

    Args:
        module: See ``equivariance_error``.
        x: See ``equivariance_error``.
        grid: See ``equivariance_error``.
        steps: See ``equivariance_error``.
        turns: See ``equivariance_error``.
        tolerance: The largest relative L2 error allowed; 0.0 is exactness.

    Raises:
        AssertionError: If a level's error is larger; it lists the errors of all levels.
        ValueError: As ``equivariance_error``.

    Example:
        >>> from wavenets import Grid
        >>> from wavenets.nn import LiftingConv2d
        >>> grid = Grid(2, rotations=4)
        >>> assert_equivariant(LiftingConv2d(3, 8, 5, 3, grid=grid), torch.randn(1, 3, 37, 53), grid, turns=1)
    """
    errors = equivariance_error(module, x, grid, steps, turns)
    if not all(error <= tolerance for error in errors):
        listed = ", ".join(f"level {i}: {error:.3g}" for i, error in enumerate(errors))
        raise AssertionError(f"not equivariant under steps={steps}, turns={turns}, relative errors: {listed}")


@torch.no_grad()
def _levels(module: Callable[[Tensor], Sequence[Tensor]], x: Tensor) -> list[Tensor]:
    modes = {part: part.training for part in module.modules()} if isinstance(module, nn.Module) else {}
    try:
        for part in modes:
            part.training = False
        levels = module(x)
    finally:
        for part, training in modes.items():
            part.training = training
    if isinstance(levels, Tensor):
        raise ValueError("the module returns one tensor: give the part of it that returns levels")
    return list(levels)


def _relative_error(actual: Tensor, expected: Tensor) -> float:
    if actual.shape != expected.shape:
        return float("inf")
    if torch.equal(actual, expected):  # two levels of zeros agree as well
        return 0.0
    return (torch.linalg.vector_norm(actual - expected) / torch.linalg.vector_norm(expected)).item()
