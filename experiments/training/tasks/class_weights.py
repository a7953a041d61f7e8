"""Weights of the classes in a loss: one for each class, by name, or balanced."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

BALANCED = "balanced"
ClassWeights = Sequence[float] | Mapping[str, float] | str | None


def weights_of(given: ClassWeights, num_classes: int) -> Tensor | None:
    """Return the weights of the classes in the loss. ``None``: they are equal, or `prepared` has to determine them.

    Raises:
        ValueError: They are not numbers of at least 0, or their number is not that of the classes.
    """
    if given is None or given == BALANCED or isinstance(given, Mapping):
        return None
    if isinstance(given, str):
        raise ValueError(
            f"task.class_weights={given} is unknown; write balanced, {{dog:2,cat:1}}, or a list of numbers"
        )
    if len(given) != num_classes:
        raise ValueError(f"task.class_weights has {len(given)} weights for {num_classes} classes")
    for weight in given:
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < inf:
            raise ValueError(f"task.class_weights: {weight} is not a number of at least 0")
    return torch.tensor(list(given), dtype=torch.float32)


def prepared(given: ClassWeights, classes: Sequence[Any], balanced: Callable[[], np.ndarray]) -> dict[str, Any]:
    """Return the argument ``class_weights`` with a number for each class, or nothing if it has them already.

    Args:
        given: The argument as it is in the configuration.
        classes: Names of the classes.
        balanced: Function that returns the balanced weights; those that are 0 or not finite become 1.

    Raises:
        ValueError: A name is not a class.

    Example:
        >>> prepared({"dog": 2}, ["cat", "dog"], lambda: np.ones(2))
        {'class_weights': [1.0, 2]}
    """
    if isinstance(given, Mapping):
        names, by_name = [str(name) for name in classes], {str(name): weight for name, weight in given.items()}
        if unknown := [name for name in by_name if name not in names]:
            known = ", ".join(names[:20]) + ", …" * (len(names) > 20)
            raise ValueError(f"task.class_weights: {unknown[0]} is not a class; the classes are {known}")
        return {"class_weights": [by_name.get(name, 1.0) for name in names]}
    if given == BALANCED:
        with np.errstate(divide="ignore", invalid="ignore"):  # a class that no example has
            return {"class_weights": [weight if 0 < weight < inf else 1.0 for weight in balanced().tolist()]}
    return {}


def of_counts(counts: np.ndarray) -> np.ndarray:
    """Return n / (classes × count) for each class, as scikit-learn does.

    Example:
        >>> of_counts(np.array([3, 1])).round(3).tolist()
        [0.667, 2.0]
    """
    balanced: np.ndarray = counts.sum() / (len(counts) * counts)
    return balanced
