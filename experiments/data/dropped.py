"""What somebody drops into the demonstration, as a network's inputs; and examples to begin with."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image
from torch import Tensor

from experiments.data.decode import decode, to_int16
from experiments.data.digits import small_digits
from experiments.data.images import resize
from experiments.data.synthetic import rising_chirps

LARGEST = 224  # pixels a side, of images for networks that were trained on images of any size


def sound(file: Path | str, sample_rate: int, num_samples: int, trim: float | None = None) -> Tensor:
    """Reads the middle of a sound, as long as those that the network was trained on: (1, 1, num_samples).

    Args:
        file: Audio file.
        sample_rate: See `decode`.
        num_samples: See `decode`.
        trim: See `decode`.

    Raises:
        AudioError: It is not usable audio.
        OSError: It cannot be read.
    """
    samples = to_int16(decode(file, sample_rate, num_samples, trim))
    return torch.from_numpy(samples.astype(np.float32) / 32768)[None, None]


def image(picture: np.ndarray, channels: int, size: tuple[int, int] | None = None) -> Tensor:
    """Fits an image to the inputs of a network: (1, channels, H, W) within [0, 1].

    Digits are light on dark. A grey image that is light along its edges is taken for the negative.

    Args:
        picture: uint8 image, (H, W) or (H, W, 3).
        channels: 1 or 3.
        size: Height and width, into which it is fitted on black; None leaves it as it is, up to `LARGEST`.

    Example:
        >>> image(np.zeros((40, 20, 3), np.uint8), channels=1, size=(28, 28)).mean()
        tensor(0.)
    """
    drawn = Image.fromarray(picture).convert("L" if channels == 1 else "RGB")
    if channels == 1:
        edges = np.asarray(drawn)
        if np.concatenate([edges[0], edges[-1], edges[:, 0], edges[:, -1]]).mean() > 127:
            drawn = ImageOps.invert(drawn)
    if size is not None:
        drawn = ImageOps.pad(drawn, size[::-1], Image.Resampling.BICUBIC)
    elif max(drawn.size) > LARGEST:
        drawn = ImageOps.contain(drawn, (LARGEST, LARGEST), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(drawn)).float() / 255
    return (pixels[None] if channels == 1 else pixels.permute(2, 0, 1))[None]


def example_sound(sample_rate: int, num_samples: int) -> np.ndarray:
    """Gives a sound to begin with: chirps that rise again and again, (num_samples,)."""
    time = np.arange(num_samples) / sample_rate
    return (0.5 * rising_chirps(np.random.default_rng(0), time)).astype(np.float32)


def example_image(channels: int) -> np.ndarray:
    """Gives an image to begin with: a digit, or a photograph of a flower."""
    if channels == 1:
        images, labels, _ = small_digits()
        return resize(images[np.flatnonzero(labels == 4)[0]], (280, 280))
    flower: Any = load_sample_image("flower.jpg")
    return np.asarray(flower)
