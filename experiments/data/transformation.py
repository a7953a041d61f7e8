"""What a test does to an example, input and target alike: it rescales, rotates or mirrors it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.image import geometry
from experiments.data.sound.playback import play, stretch


class Transformation(ABC):
    """A transformation of examples by an amount: a factor, an angle, or whether they are mirrored.

    A target that is a map, such as a mask, is transformed as its input is. Any other target stays as it is.

    Attributes:
        name: What the amount is, for titles and axes.
        unit: Symbol of the amount's unit.
        least: Least amount.
        greatest: Greatest amount.
        logarithmic: Whether an axis of amounts is logarithmic.
    """

    name: str
    unit: ClassVar[str]
    least: float
    greatest: float
    logarithmic: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, x: Tensor, amount: float) -> Tensor:
        """Return a transformed input, (C, T) or (C, H, W), or a transformed map of class numbers, (T) or (H, W)."""

    def target(self, target: Any, amount: float) -> Any:
        """Return the transformed target; a label stays as it is."""
        return self(target, amount) if is_map(target) else target

    def check(self, amount: float) -> None:
        """Raise ``ValueError`` unless an amount is in range."""
        if not self.least <= amount <= self.greatest:
            raise ValueError(
                f"rescale={amount:g} is out of range; for {self.name}, choose values from {self.least:g} to "
                f"{self.greatest:g}"
            )

    @property
    def neutral(self) -> float:
        """The amount that changes nothing."""
        return 1.0 if self.logarithmic else 0.0

    def label(self, amount: float) -> str:
        """Return an amount as people write it."""
        return f"{amount:g}{self.unit}"


@dataclass(frozen=True)
class Rescaling(Transformation):
    """Sounds at another playback speed, or images at another size.

    Args:
        name: ``"playback speed"`` (2 is twice as fast, and half as long) or ``"size"`` (2 is twice as large).
        least: Least factor.
        greatest: Greatest factor.

    Example:
        >>> import torch
        >>> Rescaling("size")(torch.ones(1, 6, 4), 0.5).shape, Rescaling("size").label(0.5)
        (torch.Size([1, 3, 2]), '×0.5')
    """

    name: str = "size"
    least: float = 0.25
    greatest: float = 4.0
    unit: ClassVar[str] = "×"
    logarithmic: ClassVar[bool] = True

    def __call__(self, x: Tensor, amount: float) -> Tensor:
        """Return the rescaled input or map; none is padded or cropped."""
        if x.is_floating_point():
            return play(x, amount) if x.ndim == 2 else geometry.resize(x, amount)
        return stretch(x, amount) if x.ndim == 1 else geometry.resize(x, amount)

    def label(self, amount: float) -> str:
        """Return a factor as people write it."""
        return f"{self.unit}{amount:g}"


@dataclass(frozen=True)
class Rotation(Transformation):
    """Images turned counterclockwise around their centre. Their content continues beyond the edge as its mirror image.

    Example:
        >>> import torch
        >>> Rotation().label(90), Rotation()(torch.tensor([[[0.0, 1.0], [0.0, 0.0]]]), 90)
        ('90°', tensor([[[1., 0.],
                 [0., 0.]]]))
    """

    name: str = "angle"
    least: float = -360.0
    greatest: float = 360.0
    unit: ClassVar[str] = "°"

    def __call__(self, x: Tensor, amount: float) -> Tensor:
        """Return the rotated image, or the rotated map: ``IGNORED`` where nothing is known."""
        return geometry.rotate(x, amount)


@dataclass(frozen=True)
class Reflection(Transformation):
    """Examples as they are (0), or mirrored left to right (1).

    Example:
        >>> import torch
        >>> Reflection()(torch.tensor([[[1.0, 2.0]]]), 1), Reflection().label(1)
        (tensor([[[2., 1.]]]), 'mirrored')
    """

    name: str = "reflection"
    least: float = 0.0
    greatest: float = 1.0
    unit: ClassVar[str] = ""

    def __call__(self, x: Tensor, amount: float) -> Tensor:
        """Return the input or map, or its mirror image."""
        return x.flip(-1) if amount else x

    def check(self, amount: float) -> None:
        """Raise ``ValueError`` unless an amount is 0 or 1."""
        if amount not in (0, 1):
            raise ValueError(f"rescale={amount:g} is out of range; for reflections, choose 0 or 1")

    def label(self, amount: float) -> str:
        """Return what an amount means."""
        return "mirrored" if amount else "as it is"


PLAYBACK = Rescaling("playback speed")
OF_IMAGES: dict[str, Transformation] = {
    "rescaling": Rescaling("size"),
    "rotation": Rotation(),
    "reflection": Reflection(),
}
# Amounts to test at, unless the user asks for others.
TESTED: dict[type[Transformation], tuple[float, ...]] = {
    Rescaling: (0.5, 0.71, 1, 1.41, 2),
    Rotation: (0, 30, 45, 60, 90, 135, 180),
    Reflection: (0, 1),
}


def named(name: str) -> Transformation:
    """Return the transformation of a name in results; any other name is a rescaling.

    Example:
        >>> named("angle").label(45), named("pitch").label(2)
        ('45°', '×2')
    """
    others = {other.name: other for other in (Rotation(), Reflection())}
    return others.get(name, Rescaling(name, 0, inf))


def is_map(target: Any) -> bool:
    """Return whether a target is a map of class numbers, and not a label or a value for each class."""
    return isinstance(target, Tensor) and target.ndim > 0 and not target.is_floating_point()


class Transformed(Dataset[Any]):
    """A dataset whose examples are transformed by one amount.

    Args:
        examples: Dataset with items (input, target), or (input, target, where).
        transformation: The transformation.
        amount: The amount.
    """

    def __init__(self, examples: Any, transformation: Transformation, amount: float) -> None:
        self.examples, self.transformation, self.amount = examples, transformation, amount

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, item: int) -> tuple[Any, ...]:
        x, target, *where = self.examples[item]
        target = self.transformation.target(target, self.amount)
        # Where an example counts is a map as well: a position that a rotation brings in does not count.
        counts = [self.transformation(w.long(), self.amount) == 1 for w in where]
        return self.transformation(x, self.amount), target, *counts
