"""Random transforms of training examples. A file in ``conf/augment/`` lists them by name.

A transform is any function of an input and a random generator. One that moves an image has a method ``both`` as well,
which moves a mask alike. `Mix`, which makes one example of two, is the exception. `wrappers.Augmented` applies them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

Transform = Callable[[Tensor, np.random.Generator], Tensor]
Example = tuple[Tensor, Any]


class Mix:
    """Mixtures of two examples of different classes: (r·x₁ + (1 − r)·x₂) / √(r² + (1 − r)²), r uniform in [0, 1].

    The labels become soft, in the same proportion. The root keeps the power of sounds that have nothing in common.
    Y. Tokozume, Y. Ushiku, T. Harada, Learning from Between-class Examples for Deep Sound Recognition, ICLR 2018.
    """

    def __call__(self, one: Example, other: Example, rng: np.random.Generator) -> Example:
        """Return the mixture of two examples with soft labels."""
        r = rng.uniform()
        mixed = (r * one[0] + (1 - r) * other[0]) / (r**2 + (1 - r) ** 2) ** 0.5
        return mixed, r * one[1] + (1 - r) * other[1]

    def partner(self, labels: Any, item: int, rng: np.random.Generator) -> int:
        """Draw an example of another class.

        Raises:
            ValueError: All examples are of one class.
        """
        others = (labels != labels[item]).reshape(len(labels), -1).any(1).nonzero()[0]
        if len(others) == 0:
            raise ValueError("the training examples are all of one class and cannot be mixed; set ~augment.mix")
        return int(rng.choice(others))


def log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    """Draw a factor. Twice as much is as likely as half."""
    return float(low * (high / low) ** rng.uniform())


def ordered(name: str, low: float, high: float) -> tuple[float, float]:
    """Return a range of numbers above 0.

    Raises:
        ValueError: It is not such a range.
    """
    if not 0 < low <= high:
        raise ValueError(f"augment: {name} from {low:g} to {high:g} is not a range above 0")
    return low, high


def positive(name: str, samples: int) -> int:
    """Return a length in samples.

    Raises:
        ValueError: It is less than one sample.
    """
    if samples < 1:
        raise ValueError(f"augment: {name} is less than one sample")
    return samples
