"""Files as a network takes them: any file is read as the files were in training."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.card import Card
from experiments.data.image.fit import fit_to
from experiments.data.image.read import read_image
from experiments.data.image.scaled import Scaled
from experiments.data.image.slide import LargeImage, open_large
from experiments.data.inputs import Image, Waveform
from experiments.data.sound.decode import decode, to_int16
from experiments.data.sound.recordings import Window, read_windows

SECONDS = 5  # length of the windows for a network that was trained on sounds of any length

Preprocess = Callable[[Path | str], Tensor]


def preprocess(card: Card) -> Preprocess:
    """Return the function from a file to an input (1, C, …) of a network.

    An image is read and resized as in training. A sound that is too long is cropped to its middle.

    Args:
        card: The card of the network's checkpoint.

    Raises:
        ValueError: The network takes neither sounds nor images.
    """
    if isinstance(card.input, Waveform):
        return partial(_sound, card=card)
    if isinstance(card.input, Image):
        return partial(_image, card=card)
    raise ValueError(f"{card.config['name']} was trained neither on sounds nor on images, so it takes no files")


def size_of(card: Card) -> tuple[int, int] | None:
    """Return the height and width to which training resized images; ``None``: they were not resized."""
    assert isinstance(card.input, Image)
    size = card.config["data"].get("size", card.input.size)
    if isinstance(size, int):  # of sets of square images
        return size, size
    return (size[0], size[1]) if size else None


def open_image(file: Path | str, card: Card) -> LargeImage:
    """Open an image of any size, with the colours of the network's inputs."""
    assert isinstance(card.input, Image)
    data = card.config["data"]
    return open_large(Path(file), card.input.channels, data.get("background", 255), _range(card))


def at_training_mpp(image: LargeImage, card: Card, file: Path | str) -> tuple[int, int]:
    """Return the height and width that an image has at the microns per pixel of the training.

    Raises:
        ValueError: The microns per pixel of the training or of the image are unknown.
    """
    mpp = card.input.mpp if isinstance(card.input, Image) else None
    if mpp is None:
        raise ValueError("rescale_to_mpp=true: the training's microns per pixel are unknown; train with a column mpp")
    if image.mpp is None:
        raise ValueError(f"rescale_to_mpp=true: {file} does not state its microns per pixel; add them to its tags")
    height, width = (max(1, round(n * image.mpp / mpp)) for n in image.shape[1:])
    return height, width


def rescaled_image(file: Path | str, card: Card) -> Tensor:
    """Read an image at the microns per pixel of the training, (1, C, H, W); then as `preprocess` does."""
    with open_image(file, card) as image:
        x = torch.from_numpy(Scaled(image, at_training_mpp(image, card, file))[:, :, :])
    return _fitted(x, card)


def sound_windows(file: Path | str, card: Card, hop: float | None = None) -> Iterator[Window]:
    """Yield the windows of a recording of any length, as the network's inputs.

    Args:
        file: Audio file.
        card: The card of the network's checkpoint.
        hop: Distance of the windows, in seconds. ``None``: that of the data, or no overlap.
    """
    assert isinstance(card.input, Waveform)
    rate, data = card.input.sample_rate, card.config["data"]
    hop = data.get("hop") if hop is None else hop
    step = None if hop is None else max(1, round(hop * rate))
    return read_windows(file, rate, card.input.num_samples or SECONDS * rate, step, data.get("trim"))


def _sound(file: Path | str, card: Card) -> Tensor:
    assert isinstance(card.input, Waveform)
    rate = card.input.sample_rate
    clip = decode(file, rate, card.input.num_samples or SECONDS * rate, card.config["data"].get("trim"))
    return torch.from_numpy(to_int16(clip).astype(np.float32) / 32768)[None, None]


def _image(file: Path | str, card: Card) -> Tensor:
    assert isinstance(card.input, Image)
    data = card.config["data"]
    x = read_image(Path(file), card.input.channels, data.get("background", 255), range=_range(card))
    return _fitted(x, card)


def _fitted(x: Tensor, card: Card) -> Tensor:
    data, size = card.config["data"], size_of(card)
    return (fit_to(x, size, data.get("fit", "resize"), data.get("background", 255) / 255) if size else x)[None]


def _range(card: Card) -> tuple[float, float] | None:
    ends = card.config["data"].get("range")
    return (ends[0], ends[1]) if ends else None
