"""Datasets made of others: a share of the examples, examples changed at random, and classes of a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset, Subset

from experiments.data.source import Source, Stage, unpacked
from experiments.data.transformation import is_map
from experiments.data.transforms import Example, Mix, Transform


def share(examples: Dataset[Any], fraction: float, seed: int) -> Dataset[Any]:
    """Return a share of the examples of each class, at least one of each.

    The examples of a share are among those of any larger share of the same seed, so that only their number differs. If
    examples have several labels, those of each combination are spread evenly over all shares. If their targets are
    maps or numbers, the share is of all examples.

    Args:
        examples: Dataset with items (input, target).
        fraction: The share, above 0; 1 is all of them.
        seed: Seed of the choice.

    Raises:
        ValueError: The share is not from 0 to 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction={fraction:g} is not a share of the training examples, above 0 and at most 1")
    if fraction == 1:
        return examples
    targets, rng = labels(examples), np.random.default_rng(seed)
    if targets is None:
        order = rng.permutation(len(examples))  # type: ignore[arg-type]
        return Subset(examples, sorted(order[: max(1, round(fraction * len(order)))].tolist()))
    _, classes = np.unique(targets, axis=0, return_inverse=True)
    order = rng.permutation(len(classes))
    by_class = [order[classes[order] == label] for label in range(classes.max() + 1)]
    if targets.ndim == 1:
        rows = [row for some in by_class for row in some[: max(1, round(fraction * len(some)))].tolist()]
    else:
        rows = _spread(targets, by_class, fraction, rng)
    return Subset(examples, sorted(rows))


def _spread(targets: np.ndarray, by_class: list[np.ndarray], fraction: float, rng: np.random.Generator) -> list[int]:
    """Return a share of all, as many combinations have one example only, and one more of each label that it lacks."""
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


def labels(examples: Any) -> np.ndarray | None:
    """Return the targets of a dataset, (N, …). ``None``: they are maps, or numbers.

    They are its attribute ``labels`` if it has one, and otherwise read item by item.
    """
    if isinstance(examples, Subset):
        targets = labels(examples.dataset)
        return None if targets is None else targets[list(examples.indices)]
    if hasattr(examples, "labels"):
        targets = None if examples.labels is None else np.asarray(examples.labels)
        return None if targets is not None and targets.dtype == np.float64 else targets
    first = torch.as_tensor(examples[0][1])
    if is_map(first) or (first.ndim == 0 and first.is_floating_point()):
        return None
    return np.stack([torch.as_tensor(examples[item][1]).numpy() for item in range(len(examples))])


class Augmented(Dataset[Example]):
    """A dataset with random transforms, one after the other.

    What is drawn depends on the seed, the epoch and the item alone: neither on loading processes or devices, nor on
    whether the run was interrupted.

    Args:
        examples: Dataset with items (input, target), or (input, target, where).
        transforms: The transforms. One that has a method ``both(x, mask, rng)`` moves a target that is a map as well.
        num_classes: Number of classes, for the soft labels of `Mix`.
        seed: Seed of all that is drawn.
        repeats: How often each example is in the dataset.
    """

    def __init__(
        self,
        examples: Dataset[Any],
        transforms: Sequence[Transform | Mix],
        num_classes: int,
        seed: int = 0,
        repeats: int = 1,
    ) -> None:
        self.examples, self.transforms, self.num_classes, self.seed = examples, transforms, num_classes, seed
        self.count, self.repeats = len(examples), repeats  # type: ignore[arg-type]
        mixed = any(isinstance(transform, Mix) for transform in transforms)
        self.labels = labels(examples) if mixed else None
        if mixed and self.labels is None:
            raise ValueError("augment: Mix needs classes, and the data have none; leave it out: ~augment.mix")

    def __len__(self) -> int:
        return self.count * self.repeats

    def __getitem__(self, position: tuple[int, int] | int) -> Example:
        """Return the example of an (epoch, item); of an item alone, that of the first epoch."""
        epoch, item = (0, position) if isinstance(position, int) else position
        return self._example(item % self.count, np.random.default_rng([self.seed, epoch, item]), len(self.transforms))

    def _example(self, item: int, rng: np.random.Generator, count: int) -> Example:
        """Return an example after the first transforms."""
        x, target = unpacked(self.examples[item])
        for number, transform in enumerate(self.transforms[:count]):
            if isinstance(transform, Mix):
                assert self.labels is not None
                other = self._example(transform.partner(self.labels, item, rng), rng, number)
                x, target = transform(self._soft(x, target), self._soft(*other), rng)
            elif hasattr(transform, "both") and is_map(target):
                x, target = transform.both(x, target, rng)
            else:
                x = transform(x, rng)
        return x, target

    def _soft(self, x: Tensor, target: Any) -> Example:
        return x, soft(target, self.num_classes)


def soft(target: Any, num_classes: int) -> Tensor:
    """Return a label as probabilities of the classes; anything but a whole number stays as it is.

    Example:
        >>> soft(2, 3)
        tensor([0., 0., 1.])
    """
    target = torch.as_tensor(target)
    return target if target.is_floating_point() or target.ndim else F.one_hot(target.long(), num_classes).float()


class Relabelled(Source):
    """A source with the classes of a network, found by their names; everything else is that of the source.

    Args:
        source: Has these classes, or some of them.
        classes: Names of the network's classes.

    Raises:
        ValueError: The source has a class that the network does not have.
    """

    def __init__(self, source: Source, classes: Sequence[str]) -> None:
        names = [str(name) for name in source.classes]
        if unknown := [name for name in names if name not in classes]:
            raise ValueError(f"the network does not know the class {', '.join(unknown)}; it knows {', '.join(classes)}")
        self.source, self.classes = source, list(classes)
        self.input, self.transformation, self.folds = source.input, source.transformation, source.folds
        self.test_factors, self.group_of = source.test_factors, source.group_of
        self.transforms, self.repeats = source.transforms, source.repeats
        self.numbers = torch.tensor([self.classes.index(name) for name in names])

    @property
    def validated(self) -> bool:
        """Whether the source has validation examples."""
        return self.source.validated

    def check_factor(self, factor: float) -> None:
        """Raise ``ValueError`` if the source does."""
        self.source.check_factor(factor)

    def split(self, stage: Stage) -> Dataset[Any]:
        """Return the examples of a stage."""
        return _Items(self.source.split(stage), self)

    def transformed(self, stage: Stage, factor: float) -> Dataset[Any]:
        """Return the examples of a stage, transformed."""
        return _Items(self.source.transformed(stage, factor), self)

    def recordings(self, stage: Stage) -> Sequence[int] | None:
        """Return the recording of each example of a stage."""
        return self.source.recordings(stage)

    def files(self, stage: Stage) -> Sequence[Any] | None:
        """Return the file of each example of a stage."""
        return self.source.files(stage)

    def renumbered(self, target: Any) -> Any:
        """Return a target in the network's numbers: a label, a value for each class, or a map of class numbers."""
        if is_map(target):
            known = target % 256 < len(self.numbers)
            return torch.where(known, self.numbers[(target % 256).where(known, 0)] + target // 256 * 256, target)
        if isinstance(target, Tensor) and target.ndim:
            return target.new_zeros(len(self.classes)).index_copy(0, self.numbers, target)
        number = int(self.numbers[int(target)])
        return torch.tensor(number) if isinstance(target, Tensor) else number


class _Items(Dataset[Any]):
    def __init__(self, items: Any, to: Relabelled) -> None:
        self.items, self.to = items, to

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: int) -> Any:
        if item >= len(self):
            raise IndexError(item)  # ends a loop over the items
        x, target, *where = self.items[item]
        return x, self.to.renumbered(target), *where
