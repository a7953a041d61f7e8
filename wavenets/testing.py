"""Is a module equivariant to rescaling? Measured level by level, for this package's models and for anyone's own."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from wavenets.grid import ScaleGrid


def equivariance_error(
    module: Callable[[Tensor], Sequence[Tensor]], x: Tensor, grid: ScaleGrid | None = None, steps: int = 1
) -> list[float]:
    """Measures how far ``module(T^steps x)[i]`` is from ``module(x)[i + steps]``, for every level i that both have.

    Args:
        module: From a signal to a list of levels, finest first. An ``nn.Module`` is measured in eval mode, without
            gradients, and is left in the mode it had.
        x: Signal of shape (B, C, T) or (B, C, H, W), long enough that the module takes ``T^steps x`` as well.
        grid: The grid of the module, whose T rescales x; None is the dyadic grid. It must be decimated.
        steps: How many times x is rescaled.

    Returns:
        The relative L2 error of each level: 0.0 is equivariance to the last bit, inf that not even the shapes agree.

    Raises:
        ValueError: If the module does not return a list of levels, or has too few of them to compare any.

    Example:
        >>> from wavenets.nn import LiftingConv1d
        >>> equivariance_error(LiftingConv1d(1, 8, 7, num_scales=4), torch.randn(1, 1, 101))
        [0.0, 0.0, 0.0]
    """
    grid = grid or ScaleGrid(x.ndim - 2)
    if not grid.decimated:
        raise ValueError("on an undecimated grid levels do not move one into the other: measure on a decimated one")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    rescaled = grid.scale_space(x, steps + 1)[-1]
    was_training = isinstance(module, nn.Module) and module.training
    if isinstance(module, nn.Module):
        module.eval()
    try:
        with torch.no_grad():
            original, moved = module(x), module(rescaled)
    finally:
        if isinstance(module, nn.Module):
            module.train(was_training)
    if isinstance(original, Tensor):
        raise ValueError("the module returns one tensor: give the part of it that returns a list of levels")
    if len(original) <= steps:
        raise ValueError(f"the module returns {len(original)} levels: none is left to compare after {steps} steps")
    return [_relative_error(a, b) for a, b in zip(moved, original[steps:], strict=False)]


def assert_equivariant(
    module: Callable[[Tensor], Sequence[Tensor]],
    x: Tensor,
    grid: ScaleGrid | None = None,
    steps: int = 1,
    tolerance: float = 0.0,
) -> None:
    """Asserts that a module is equivariant to rescaling: that no ``equivariance_error`` exceeds the tolerance.

    Args:
        module: See ``equivariance_error``.
        x: See ``equivariance_error``.
        grid: See ``equivariance_error``.
        steps: See ``equivariance_error``.
        tolerance: The largest relative L2 error allowed; 0.0 is exactness.

    Raises:
        AssertionError: If a level's error is larger; it lists the errors of all levels.
        ValueError: As ``equivariance_error``.

    Example:
        >>> from wavenets.nn import LiftingConv2d
        >>> assert_equivariant(LiftingConv2d(3, 8, 5, num_scales=3), torch.randn(1, 3, 37, 53))
    """
    errors = equivariance_error(module, x, grid, steps)
    if not all(error <= tolerance for error in errors):
        listed = ", ".join(f"level {i}: {error:.3g}" for i, error in enumerate(errors))
        raise AssertionError(f"not equivariant to rescaling by {steps} steps, relative errors: {listed}")


def _relative_error(actual: Tensor, expected: Tensor) -> float:
    if actual.shape != expected.shape:
        return float("inf")
    if torch.equal(actual, expected):  # two levels of zeros agree as well
        return 0.0
    return (torch.linalg.vector_norm(actual - expected) / torch.linalg.vector_norm(expected)).item()
