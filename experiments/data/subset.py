"""A share of the training examples."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset


def share(examples: Dataset[Any], fraction: float, seed: int) -> Dataset[Any]:
    """Gives a share of the examples of every class, at least one of each.

    The examples of a share are among those of any larger one of the same seed, so that only their number differs. Of
    several labels each, examples of every combination are spread evenly over all shares.

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
    targets, rng = labels(examples), np.random.default_rng(seed)
    _, classes = np.unique(targets, axis=0, return_inverse=True)
    order = rng.permutation(len(classes))
    by_class = [order[classes[order] == label] for label in range(classes.max() + 1)]
    if targets.ndim == 1:
        rows = [row for some in by_class for row in some[: max(1, round(fraction * len(some)))].tolist()]
    else:
        rows = _spread(targets, by_class, fraction, rng)
    return Subset(examples, sorted(rows))


def _spread(targets: np.ndarray, by_class: list[np.ndarray], fraction: float, rng: np.random.Generator) -> list[int]:
    """The share of all, as many combinations have one example only; and one more of each label that it lacks."""
    place = np.empty(len(targets))
    for some in by_class:
        place[some] = (np.arange(len(some)) + rng.uniform()) / len(some)
    order = place.argsort(kind="stable")
    rows = set(order[: max(1, round(fraction * len(order)))].tolist())
    for positive in (targets[order] > 0).T:
        with_label = order[positive].tolist()
        if with_label and rows.isdisjoint(with_label):
            rows.add(with_label[0])
    return list(rows)


def labels(examples: Any) -> np.ndarray:
    """Gives the targets of a dataset, (N, …), from its attribute ``labels`` if it has one, and else item by item."""
    if isinstance(examples, Subset):
        return labels(examples.dataset)[list(examples.indices)]
    if hasattr(examples, "labels"):
        return np.asarray(examples.labels)
    return np.stack([torch.as_tensor(examples[item][1]).numpy() for item in range(len(examples))])
