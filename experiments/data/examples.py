"""A sound and images for a demonstration to begin with."""

from typing import Any

import numpy as np
from sklearn.datasets import load_sample_image

from experiments.data.sets.digit_images import resize
from experiments.data.sets.scaled_digits import small_digits
from experiments.data.sets.synthetic import rising_chirps


def example_sound(sample_rate: int, num_samples: int) -> np.ndarray:
    """Return chirps that rise again and again, (num_samples,)."""
    time = np.arange(num_samples) / sample_rate
    return (0.5 * rising_chirps(np.random.default_rng(0), time)).astype(np.float32)


def example_image(channels: int) -> np.ndarray:
    """Return a digit (H, W), or a photograph of a flower (H, W, 3)."""
    if channels == 1:
        images, labels, _ = small_digits()
        return resize(images[np.flatnonzero(labels == 4)[0]], (280, 280))
    flower: Any = load_sample_image("flower.jpg")
    return np.asarray(flower)
