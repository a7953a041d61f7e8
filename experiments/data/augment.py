"""Augmentation: what is changed at random in training examples. A file in ``conf/augment/`` lists transforms by name.

A transform is any function of an input and a random generator; `Mix`, which makes one example of two, is the exception.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.images import rescale, turn
from experiments.data.playback import resample
from experiments.data.subset import labels

Transform = Callable[[Tensor, np.random.Generator], Tensor]
Example = tuple[Tensor, Any]


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
        self, examples: Dataset[Any], transforms: Sequence["Transform | Mix"], num_classes: int, seed: int = 0
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


class Mix:
    """Mixes every example with one of another class: (r·x₁ + (1 − r)·x₂) / √(r² + (1 − r)²), r uniform in [0, 1].

    The labels become soft, in the same proportion. The root keeps the power of sounds that have nothing in common.
    Y. Tokozume, Y. Ushiku, T. Harada, Learning from Between-class Examples for Deep Sound Recognition, ICLR 2018.
    """

    def __call__(self, one: Example, other: Example, rng: np.random.Generator) -> Example:
        """Gives the mixture of two examples with soft labels."""
        r = rng.uniform()
        mixed = (r * one[0] + (1 - r) * other[0]) / (r**2 + (1 - r) ** 2) ** 0.5
        return mixed, r * one[1] + (1 - r) * other[1]

    def partner(self, labels: Any, item: int, rng: np.random.Generator) -> int:
        """Draws an example of another class.

        Raises:
            ValueError: There is none.
        """
        others = (labels != labels[item]).reshape(len(labels), -1).any(1).nonzero()[0]
        if len(others) == 0:
            raise ValueError("the training examples are all of one class; augment=… cannot mix two (~augment.mix)")
        return int(rng.choice(others))


def soft(target: Any, num_classes: int) -> Tensor:
    """Gives a label as probabilities of the classes; what is not a whole number stays as it is.

    Example:
        >>> soft(2, 3)
        tensor([0., 0., 1.])
    """
    target = torch.as_tensor(target)
    return target if target.is_floating_point() or target.ndim else F.one_hot(target.long(), num_classes).float()


class RandomCrop:
    """Cuts a piece out of a sound; one that is too short is put in silence, at a random place.

    Args:
        seconds: Length of the piece, in seconds.
        sample_rate: Rate of the sound, in Hz.
    """

    def __init__(self, seconds: float, sample_rate: int) -> None:
        self.length = positive("seconds", round(seconds * sample_rate))

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        return crop(x, self.length, rng)


class Speed:
    """Plays a piece of a sound faster or slower, by a factor log-uniform in a range.

    A piece of another length is resampled to the length wanted: nothing is padded, unless the sound is too short.

    Args:
        low: The slowest speed.
        high: The fastest; 2 is twice as fast and an octave higher.
        seconds: Length of the result, in seconds.
        sample_rate: Rate of the sound, in Hz.
    """

    def __init__(self, low: float, high: float, seconds: float, sample_rate: int) -> None:
        self.low, self.high = ordered("speed", low, high)
        self.length = positive("seconds", round(seconds * sample_rate))

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        # A length that transforms fast; the factor is as random as before.
        length = scipy.fft.next_fast_len(max(2, round(self.length * log_uniform(self.low, self.high, rng))), real=True)
        return resample(crop(x, length, rng), self.length)


def crop(x: Tensor, length: int, rng: np.random.Generator) -> Tensor:
    """Gives a piece of a signal (…, T) from a random place; one that is too short is put in zeros at a random place."""
    start = int(rng.integers(abs(x.shape[-1] - length) + 1))
    if x.shape[-1] >= length:
        return x[..., start : start + length]
    return F.pad(x, (start, length - x.shape[-1] - start))


class Gain:
    """Makes an input louder or softer.

    Args:
        db: By how much at most, in decibels.
    """

    def __init__(self, db: float) -> None:
        self.db = db

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        return x * 10 ** (rng.uniform(-self.db, self.db) / 20)


class Polarity:
    """Changes the sign of every second sound."""

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        return x if rng.integers(2) else -x


class Noise:
    """Adds white noise.

    Args:
        low: Least ratio of signal to noise, in decibels.
        high: Largest ratio, in decibels.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        noise = torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32))
        return x + noise * x.square().mean().sqrt() * 10 ** (-rng.uniform(self.low, self.high) / 20)


class Rescale:
    """Makes what is in an image (C, H, W) larger or smaller, by a factor log-uniform in a range; the size stays.

    Args:
        low: The least factor.
        high: The largest; 2 is twice as large.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = ordered("factor", low, high)

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        return rescale(x, log_uniform(self.low, self.high, rng))


class Turn:
    """Turns an image (C, H, W) around its centre, by any angle; what comes in is black.

    Args:
        degrees: The largest angle to either side.
    """

    def __init__(self, degrees: float = 180.0) -> None:
        self.degrees = degrees

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        return turn(x, rng.uniform(-self.degrees, self.degrees))


class Flip:
    """Mirrors every second image, left to right."""

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        return x if rng.integers(2) else x.flip(-1)


class Shift:
    """Moves an image (C, H, W); what comes in is black.

    Args:
        pixels: How far at most, down or up and to either side.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        down, right = rng.integers(-self.pixels, self.pixels, 2, endpoint=True).tolist()
        return F.pad(x, (right, -right, down, -down))  # negative: cut


def log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    """Draws a factor; twice as much is as likely as half."""
    return float(low * (high / low) ** rng.uniform())


def ordered(name: str, low: float, high: float) -> tuple[float, float]:
    """Gives a range back.

    Raises:
        ValueError: It is none, or goes down to 0.
    """
    if not 0 < low <= high:
        raise ValueError(f"augment: {name} from {low:g} to {high:g} is not a range above 0")
    return low, high


def positive(name: str, samples: int) -> int:
    """Gives a length back.

    Raises:
        ValueError: It is less than a sample.
    """
    if samples < 1:
        raise ValueError(f"augment: {name} is less than one sample")
    return samples
