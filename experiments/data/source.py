"""What a dataset is to the experiments: the contract that every file of this room fulfils."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

from torch.utils.data import Dataset

Stage = Literal["train", "val", "test"]
Fold = int | str


class Source(Protocol):
    """A set of examples: its classes, and a torch ``Dataset`` for each stage.

    It need not inherit from this class. A YAML file in ``conf/data/`` names it by ``_target_``; the other keys are the
    arguments of its constructor. If its targets are several labels each, the file begins with
    ``defaults: [{override /task@_global_.task: multi_label}]``. What it may give beside this is in `Extras`.

    Attributes:
        classes: Names of the classes; the index is the label.
        quantity: What `rescaled` changes, for titles and axes: ``"playback speed"``.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> class Tones:
        ...     classes, quantity = ["low", "high"], "pitch"
        ...
        ...     def split(self, stage):
        ...         return self.rescaled(stage, 1)
        ...
        ...     def rescaled(self, stage, factor):
        ...         labels = torch.arange(8) % 2
        ...         pitch = factor * (1 + labels[:, None, None])
        ...         return TensorDataset(torch.sin(0.1 * pitch * torch.arange(4000)), labels)
        ...
        ...     def check_factor(self, factor):
        ...         if not factor > 0:
        ...             raise ValueError(f"rescale={factor:g} is out of range; a pitch is above 0")
    """

    classes: Sequence[str]
    quantity: str

    def split(self, stage: Stage, /) -> Dataset[Any]:
        """Gives the examples of a stage: items (input, target), a target as the task wants it (`training.task`)."""

    def rescaled(self, stage: Stage, factor: float, /) -> Dataset[Any]:
        """Gives the same examples with all inputs rescaled by one factor; only those that are tested need it."""

    def check_factor(self, factor: float, /) -> None:
        """Raises ``ValueError`` if inputs cannot be rescaled by a factor."""


def checked(source: Any) -> Source:
    """Gives a source back, if it has all that one has.

    Raises:
        ValueError: It lacks something.

    Example:
        >>> checked([])
        Traceback (most recent call last):
        ValueError: list is no dataset: it lacks classes, quantity, split, rescaled, check_factor (see data/source.py)
    """
    needed = "classes", "quantity", "split", "rescaled", "check_factor"
    if missing := [name for name in needed if not hasattr(source, name)]:
        raise ValueError(f"{type(source).__name__} is no dataset: it lacks {', '.join(missing)} (see data/source.py)")
    return source


def checked_factors(source: Source, factors: Any) -> list[float]:
    """Gives the factors to test on, if a source can be rescaled by all of them.

    Raises:
        ValueError: It cannot, or they are no list of numbers.

    Example:
        >>> checked_factors(None, 2)
        Traceback (most recent call last):
        ValueError: rescale=2 is no list of numbers; write rescale=[0.5,1,2], or rescale=[] for none
    """
    several = isinstance(factors, Sequence) and not isinstance(factors, str)
    if not several or not all(isinstance(factor, int | float) for factor in factors):
        raise ValueError(f"rescale={factors} is no list of numbers; write rescale=[0.5,1,2], or rescale=[] for none")
    for factor in factors:
        source.check_factor(factor)
    return list(factors)


@dataclass(frozen=True)
class Extras:
    """What some sources have beside `Source`, as attributes of the same names.

    Attributes:
        test_factors: Factors to test on with ``rescale=null``, in the source's own unit.
        folds: The folds of each stage; empty: the set has none.
        sample_rate: Rate of the waveforms, in Hz; None: it is not sound.
        num_samples: Length of the waveforms, in samples; None: it is not sound, or they are not of one length.
        recordings: Gives, of a stage, the number of the recording that each item is a window of. Recordings are then
            tested as wholes, by the mean of their windows' probabilities. None, or giving None: every item by itself.
    """

    test_factors: Sequence[float] = ()
    folds: Mapping[Stage, Sequence[Fold]] = field(default_factory=dict)
    sample_rate: int | None = None
    num_samples: int | None = None
    recordings: Callable[[Stage], Sequence[int] | None] | None = None

    @classmethod
    def of(cls, source: Source) -> "Extras":
        """Takes them from a source.

        Example:
            >>> class Silence:
            ...     sample_rate = 8000
            >>> Extras.of(Silence())
            Extras(test_factors=(), folds={}, sample_rate=8000, num_samples=None, recordings=None)
        """
        return cls(**{f.name: getattr(source, f.name) for f in fields(cls) if hasattr(source, f.name)})
