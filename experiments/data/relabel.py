"""A dataset whose classes are numbered as a network numbers them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.source import Stage


class Relabelled:
    """A source with the classes of a network, found by their names; all else is the source's own.

    Args:
        source: Knows these classes, or some of them.
        classes: Names of the network's classes.

    Raises:
        ValueError: The source has a class that the network does not know.

    Example:
        >>> from types import SimpleNamespace
        >>> source = SimpleNamespace(classes=["cat", "dog"], quantity="", split=lambda _: [("purr", 0), ("bark", 1)])
        >>> list(Relabelled(source, ["dog", "hen", "cat"]).split("test"))
        [('purr', 2), ('bark', 0)]
    """

    def __init__(self, source: Any, classes: Sequence[str]) -> None:
        names = [str(name) for name in source.classes]
        if unknown := [name for name in names if name not in classes]:
            raise ValueError(f"the network does not know the class {', '.join(unknown)}; it knows {', '.join(classes)}")
        self.source, self.quantity = source, str(source.quantity)
        self.classes: Sequence[str] = list(classes)
        self.numbers = torch.tensor([self.classes.index(name) for name in names])

    def __getattr__(self, name: str) -> Any:
        if name == "source":  # while a copy is unpickled
            raise AttributeError(name)
        return getattr(self.source, name)

    def check_factor(self, factor: float) -> None:
        """Raises ``ValueError`` if the source does."""
        self.source.check_factor(factor)

    def split(self, stage: Stage) -> Dataset[Any]:
        """Gives the examples of a stage."""
        return _Items(self.source.split(stage), self)

    def rescaled(self, stage: Stage, factor: float) -> Dataset[Any]:
        """Gives the examples of a stage, rescaled."""
        return _Items(self.source.rescaled(stage, factor), self)

    def renumbered(self, target: Any) -> Any:
        """Gives a target in the network's numbers: a label, or a value for each class."""
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
        x, target = self.items[item]
        return x, self.to.renumbered(target)
