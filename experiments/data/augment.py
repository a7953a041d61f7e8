"""Augmentation: what is changed at random in training examples. A file in ``conf/augment/`` lists transforms by name.

A transform is any function of an input and a random generator; `Mix`, which makes one example of two, is the exception.
`augmented` puts them to work.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.data.images import rescale, turn
from experiments.data.playback import resample

Transform = Callable[[Tensor, np.random.Generator], Tensor]
Example = tuple[Tensor, Any]


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


class RandomCrop:
    """Cuts a piece out of a sound; one that is too short is put in silence, at a random place.

    What is zero at both ends, as around a recording that is shorter than the others, is cut off first.

    Args:
        seconds: Length of the piece, in seconds.
        sample_rate: Rate of the sound, in Hz.
    """

    def __init__(self, seconds: float, sample_rate: int) -> None:
        self.length = positive("seconds", round(seconds * sample_rate))

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Gives the piece."""
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
        """Gives the piece at another speed."""
        # A length that transforms fast; the factor is as random as before.
        length = scipy.fft.next_fast_len(max(2, round(self.length * log_uniform(self.low, self.high, rng))), real=True)
        return resample(crop(x, length, rng), self.length)


def crop(x: Tensor, length: int, rng: np.random.Generator) -> Tensor:
    """Gives a piece of a sound (C, T) from a random place; one that is too short is put in zeros at a random place.

    The zeros in which a short recording lies are no part of it: a piece of them would be of no class.
    """
    sounding = x.any(0).nonzero()
    if len(sounding):
        x = x[:, int(sounding[0]) : int(sounding[-1]) + 1]
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
        """Gives the input, louder or softer."""
        return x * 10 ** (rng.uniform(-self.db, self.db) / 20)


class Polarity:
    """Changes the sign of every second sound."""

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Gives the sound, or its negative."""
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
        """Gives the sum."""
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
        """Gives the image, its content rescaled."""
        return rescale(x, log_uniform(self.low, self.high, rng))


class Turn:
    """Turns an image (C, H, W) around its centre, by any angle; what comes in is black.

    Args:
        degrees: The largest angle to either side.
    """

    def __init__(self, degrees: float = 180.0) -> None:
        self.degrees = degrees

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Gives the image, turned."""
        return turn(x, rng.uniform(-self.degrees, self.degrees))


class Flip:
    """Mirrors every second image, left to right."""

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Gives the image, or its mirror image."""
        return x if rng.integers(2) else x.flip(-1)


class Shift:
    """Moves an image (C, H, W); what comes in is black.

    Args:
        pixels: How far at most, down or up and to either side.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Gives the image, moved."""
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
