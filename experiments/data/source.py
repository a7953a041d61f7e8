"""What a dataset is to the experiments: a source of examples for training, validation and test."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.inputs import IGNORED, Input
from experiments.data.transformation import Transformation, Transformed

Stage = Literal["train", "val", "test"]
Fold = int | str


class Source:
    """A set of examples, with a ``Dataset`` for each stage. A subclass defines `split`; the rest has defaults.

    A YAML file in ``conf/data/`` names it by ``_target_``; the other keys are the arguments of its constructor. An
    example is (input, target), or (input, target, where): ``where`` says at which positions the target counts. The
    target is what the task wants (`training.tasks`): a label, a value for each class, numbers, or a map of class
    numbers of the size of the input, plus 256 times the number of the object where objects are known.

    Attributes:
        classes: Names of the classes; the index is the label. For a regression: names of the numbers.
        input: Kind of input of the examples. ``None``: another kind than waveforms and images.
        transformation: What tests at other scales, angles or reflections do. ``None``: there are none.
        test_factors: Amounts of ``transformation`` to test at with ``rescale=null``.
        folds: The folds of each stage. Empty: the set has none.
        group_of: The group of each file, such as its patient. Empty: there are no groups.
        transforms: What is done at random to each training example first, such as a random crop.
        repeats: How often each training example is used in an epoch.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from experiments.data.source import Source
        >>> class Tones(Source):
        ...     classes = ["low", "high"]
        ...
        ...     def split(self, stage):
        ...         labels = torch.arange(8) % 2
        ...         return TensorDataset(torch.sin(0.1 * (1 + labels[:, None, None]) * torch.arange(4000)), labels)
        >>> len(Tones().split("train"))
        8
    """

    classes: Sequence[str] = ()
    input: Input | None = None
    transformation: Transformation | None = None
    test_factors: Sequence[float] = ()
    folds: Mapping[Stage, Sequence[Fold]] = {}
    group_of: Mapping[Any, str] = {}
    transforms: Sequence[Any] = ()
    repeats: int = 1

    @property
    def validated(self) -> bool:
        """Whether there are validation examples; without them, the last epoch counts."""
        return bool(self.folds.get("val", True))

    def split(self, stage: Stage) -> Dataset[Any]:
        """Return the examples of a stage."""
        raise NotImplementedError

    def transformed(self, stage: Stage, factor: float) -> Dataset[Any]:
        """Return the examples of a stage, all transformed by one amount.

        Raises:
            ValueError: The amount is out of range.
        """
        self.check_factor(factor)
        assert self.transformation is not None
        return Transformed(self.split(stage), self.transformation, factor)

    def check_factor(self, factor: float) -> None:
        """Raise ``ValueError`` if the examples cannot be transformed by an amount."""
        if self.transformation is None:
            raise ValueError(f"rescale={factor:g}: {type(self).__name__} has no transformation; use rescale=[]")
        self.transformation.check(factor)

    def recordings(self, stage: Stage) -> Sequence[int] | None:
        """Return for each example of a stage the number of the recording that it is a window of.

        Recordings are then tested as wholes, by the mean of their windows' probabilities. ``None``: each example is
        tested by itself.
        """
        return None

    def files(self, stage: Stage) -> Sequence[Any] | None:
        """Return the file of each example of a stage, for lists of predictions. ``None``: there are no files."""
        return None


def checked(source: Any) -> Source:
    """Return a source after a check that it is one.

    Raises:
        ValueError: It is something else, or has no classes.

    Example:
        >>> checked([])
        Traceback (most recent call last):
        ValueError: list is not a dataset: it must be a subclass of experiments.data.source.Source
    """
    if not isinstance(source, Source):
        raise ValueError(
            f"{type(source).__name__} is not a dataset: it must be a subclass of experiments.data.source.Source"
        )
    if not source.classes:
        raise ValueError(f"{type(source).__name__} has no classes; set its attribute classes to their names")
    return source


def checked_factors(source: Source, factors: Any) -> list[float]:
    """Return the amounts to test at, if a source can be transformed by all of them.

    Raises:
        ValueError: It cannot, or they are not a list of numbers.

    Example:
        >>> checked_factors(Source(), 2)
        Traceback (most recent call last):
        ValueError: rescale=2 is not a list of numbers; write rescale=[0.5,1,2], or rescale=[] for none
    """
    several = isinstance(factors, Sequence) and not isinstance(factors, str)
    if not several or not all(isinstance(factor, int | float) for factor in factors):
        raise ValueError(f"rescale={factors} is not a list of numbers; write rescale=[0.5,1,2], or rescale=[] for none")
    for factor in factors:
        source.check_factor(factor)
    return list(factors)


def unpacked(example: Sequence[Any]) -> tuple[Tensor, Any]:
    """Return the inputs and the targets of an example or a batch; a target is ``IGNORED`` where it does not count.

    Example:
        >>> import torch
        >>> unpacked([torch.ones(1, 2), torch.tensor([1, 0]), torch.tensor([True, False])])[1]
        tensor([  1, 255])
    """
    x, target, *where = example
    return x, target.masked_fill(~where[0].bool(), IGNORED) if where else target


def as_target(value: Any) -> Any:
    """Return an entry of an array of labels or numbers as the target of an example.

    Example:
        >>> as_target(np.array([2, 0])[0]), as_target(np.array([0.5, 3.0]))
        (2, tensor([0.5000, 3.0000]))
    """
    return torch.from_numpy(np.asarray(value)).float() if np.ndim(value) else int(value)
