"""A dataset whose examples are changed at random, reproducibly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.augment import Example, Mix, Transform
from experiments.data.subset import labels


class Augmented(Dataset[Example]):
    """A dataset with random transforms, one after the other.

    What is drawn depends on the seed, the epoch and the item alone: neither on loading processes or devices, nor on
    whether the run was interrupted.

    Args:
        examples: Dataset with items (input, target).
        transforms: The transforms.
        num_classes: Number of classes, for the soft labels of `Mix`.
        seed: Of all that is drawn.
    """

    def __init__(
        self, examples: Dataset[Any], transforms: Sequence[Transform | Mix], num_classes: int, seed: int = 0
    ) -> None:
        self.examples, self.transforms, self.num_classes, self.seed = examples, transforms, num_classes, seed
        self.labels = labels(examples) if any(isinstance(transform, Mix) for transform in transforms) else None

    def __len__(self) -> int:
        return len(self.examples)  # type: ignore[arg-type]

    def __getitem__(self, position: tuple[int, int]) -> Example:
        """Gives the example of an (epoch, item)."""
        epoch, item = position
        return self._example(item, np.random.default_rng([self.seed, epoch, item]), len(self.transforms))

    def _example(self, item: int, rng: np.random.Generator, count: int) -> Example:
        """An example after the first transforms."""
        x, target = self.examples[item]
        for number, transform in enumerate(self.transforms[:count]):
            if isinstance(transform, Mix):
                other = self._example(transform.partner(self.labels, item, rng), rng, number)
                x, target = transform(self._soft(x, target), self._soft(*other), rng)
            else:
                x = transform(x, rng)
        return x, target

    def _soft(self, x: Tensor, target: Any) -> Example:
        return x, soft(target, self.num_classes)


def soft(target: Any, num_classes: int) -> Tensor:
    """Gives a label as probabilities of the classes; what is not a whole number stays as it is.

    Example:
        >>> soft(2, 3)
        tensor([0., 0., 1.])
    """
    target = torch.as_tensor(target)
    return target if target.is_floating_point() or target.ndim else F.one_hot(target.long(), num_classes).float()
