"""Random transforms of training sounds."""

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.data.sound.playback import resample
from experiments.data.transforms import log_uniform, ordered, positive


class RandomCrop:
    """Random pieces of sounds. A sound that is too short is put in silence, at a random place.

    What is zero at both ends, as around a recording that is shorter than the others, is cut off first.

    Args:
        seconds: Length of the piece, in seconds.
        sample_rate: Rate of the sound, in Hz.
    """

    def __init__(self, seconds: float, sample_rate: int) -> None:
        self.length = positive("seconds", round(seconds * sample_rate))

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Return a piece of a sound."""
        return crop(x, self.length, rng)


class Speed:
    """Random pieces of sounds, played faster or slower by a factor that is log-uniform in a range.

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
        """Return a piece of a sound at another speed."""
        # A length that transforms fast; the factor is as random as before.
        length = scipy.fft.next_fast_len(max(2, round(self.length * log_uniform(self.low, self.high, rng))), real=True)
        return resample(crop(x, length, rng), self.length)


def crop(x: Tensor, length: int, rng: np.random.Generator) -> Tensor:
    """Return a piece of a sound (C, T) from a random place. A short sound is put in zeros at a random place.

    The zeros around a short recording do not belong to it: a piece of zeros would be of no class.
    """
    sounding = x.any(0).nonzero()
    if len(sounding):
        x = x[:, int(sounding[0]) : int(sounding[-1]) + 1]
    start = int(rng.integers(abs(x.shape[-1] - length) + 1))
    if x.shape[-1] >= length:
        return x[..., start : start + length]
    return F.pad(x, (start, length - x.shape[-1] - start))


class Gain:
    """Random loudness.

    Args:
        db: The largest change, in decibels.
    """

    def __init__(self, db: float) -> None:
        self.db = db

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Return an input, louder or softer."""
        return x * 10 ** (rng.uniform(-self.db, self.db) / 20)


class Polarity:
    """Random signs: on average, every second sound is negated."""

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Return a sound, or its negative."""
        return x if rng.integers(2) else -x


class Noise:
    """White noise.

    Args:
        low: Least ratio of signal to noise, in decibels.
        high: Largest ratio, in decibels.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Return a sound with noise."""
        noise = torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32))
        return x + noise * x.square().mean().sqrt() * 10 ** (-rng.uniform(self.low, self.high) / 20)
