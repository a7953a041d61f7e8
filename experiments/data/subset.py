"""A share of the training examples."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset


def share(examples: Dataset[Any], fraction: float, seed: int) -> Dataset[Any]:
    """Gives a share of the examples of every class, at least one of each.

    The examples of a share are among those of any larger one of the same seed, so that only their number differs. Of
    targets that are not labels every kind counts as a class.

    Args:
        examples: Dataset with items (input, target).
        fraction: The share, above 0; 1 is all of them.
        seed: Draws which.

    Raises:
        ValueError: The share is not within 0 and 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction={fraction:g} is not a share of the training examples, above 0 and at most 1")
    if fraction == 1:
        return examples
    _, classes = np.unique(labels(examples), axis=0, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(classes))
    rows: list[int] = []
    for label in range(classes.max() + 1):
        of_class = order[classes[order] == label]
        rows += of_class[: max(1, round(fraction * len(of_class)))].tolist()
    return Subset(examples, sorted(rows))


def labels(examples: Any) -> np.ndarray:
    """Gives the targets of a dataset, (N, …), from its attribute ``labels`` if it has one, and else item by item."""
    if isinstance(examples, Subset):
        return labels(examples.dataset)[list(examples.indices)]
    if hasattr(examples, "labels"):
        return np.asarray(examples.labels)
    return np.stack([torch.as_tensor(examples[item][1]).numpy() for item in range(len(examples))])
