"""Sets of images: a table of files with their stages and targets, read when they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import ceil, hypot
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.audio import Recordings
from experiments.data.images import ANGLES, check_angle, resize, rotate
from experiments.data.source import Stage

Change = Callable[[np.ndarray], np.ndarray]
QUANTITIES = {"size": "size of the test images", "angle": "angle"}


class ImageSet:
    """A set of labelled images of one size, read from their files item by item.

    Args:
        listed: The files, their stages and their targets.
        classes: Names of the classes.
        size: Height and width to which images are resized, in pixels; None leaves them as they are.
        channels: 3, or 1 for grey.
        quantity: What `rescaled` changes, "size" or "angle" (in degrees).

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        listed: Recordings,
        classes: Sequence[str],
        size: Sequence[int] | None = None,
        channels: int = 3,
        quantity: str = "size",
    ) -> None:
        if channels not in (1, 3):
            raise ValueError(f"data.channels={channels} is unknown; choose 3, or 1 for grey")
        if quantity not in QUANTITIES:
            raise ValueError(f"data.quantity={quantity} is unknown; choose size or angle")
        if missing := [path for path in listed.path if not path.is_file()]:
            raise FileNotFoundError(
                f"{missing[0]} is in the metadata but not on disk ({len(missing)} of {len(listed.path)} files are "
                "missing); data.root is the folder that they are in"
            )
        self.classes, self.listed, self.channels = list(classes), listed, channels
        self.size = None if size is None else _checked_size(size)
        if self.size is None:
            _check_alike(listed.path)
        self.quantity, self.turns = QUANTITIES[quantity], quantity == "angle"
        self.test_factors: Sequence[float] = ANGLES if self.turns else (0.5, 0.71, 1, 1.41, 2)

    def split(self, stage: Stage) -> "Pictures":
        """Gives the images of a stage.

        Raises:
            ValueError: There is none.
        """
        return self._pictures(stage, None)

    def rescaled(self, stage: Stage, factor: float) -> "Pictures":
        """Gives the images of a stage, resized by a factor or turned by an angle; none is padded or cut to be resized.

        Raises:
            ValueError: The factor is out of range.
        """
        self.check_factor(factor)
        return self._pictures(stage, partial(_turn, angle=factor) if self.turns else partial(_resize, factor=factor))

    def check_factor(self, factor: float) -> None:
        """Raises ValueError unless a factor is from 1/4 to 4, or an angle from -360° to 360°."""
        if self.turns:
            check_angle(factor)
        elif not 0.25 <= factor <= 4:
            raise ValueError(f"rescale={factor:g} is out of range; images can be resized by factors from 0.25 to 4")

    def files(self, stage: Stage) -> list[Path]:
        """Gives the files of a stage, in the order of the items of `split`."""
        return [path for path, where in zip(self.listed.path, self.listed.stage, strict=True) if where == stage]

    def _pictures(self, stage: Stage, change: Change | None) -> "Pictures":
        rows = (np.array(self.listed.stage) == stage).nonzero()[0]
        if len(rows) == 0:
            raise ValueError(f"no image is in {stage}; choose other folds or mend the set")
        return Pictures(self.files(stage), self.listed.target[rows], self.channels, self.size, change)


def _checked_size(size: Any) -> tuple[int, int]:
    if not isinstance(size, Sequence) or len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
        raise ValueError(f"data.size={size} is no height and width in pixels, such as data.size=[64,64]")
    return size[0], size[1]


def _check_alike(files: Sequence[Path]) -> None:
    """Looks at the heads of all files: an odd one in the test part would be met after training."""
    first: tuple[int, int] | None = None
    for file in files:
        with _named(file), Image.open(file) as image:
            size = image.height, image.width
        first = first or size
        if size != first:
            raise ValueError(
                f"{file} has {size[0]} × {size[1]} pixels, {files[0]} has {first[0]} × {first[1]}; "
                f"data.size=[{first[0]},{first[1]}] resizes all"
            )


class Pictures(Dataset[tuple[Tensor, Any]]):
    """Image files: item i is (image (channels, H, W) float32 within [0, 1], target).

    Args:
        files: The files.
        labels: Labels (N,), or 0 and 1 for every class (N, num_classes).
        channels: 3, or 1 for grey.
        size: Height and width to which they are resized, in pixels; None: all are of one size.
        change: What is done to each then; None: nothing.
    """

    def __init__(
        self,
        files: Sequence[Path],
        labels: np.ndarray,
        channels: int,
        size: tuple[int, int] | None = None,
        change: Change | None = None,
    ) -> None:
        self.files, self.labels, self.channels, self.size, self.change = files, labels, channels, size, change

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, item: int) -> tuple[Tensor, Any]:
        image, label = read_image(self.files[item], self.channels), self.labels[item]
        if self.size:
            image = resize(image, self.size)
        if self.change:
            image = self.change(image)
        x = torch.from_numpy(np.atleast_3d(image).copy()).movedim(2, 0).float() / 255
        return x, torch.from_numpy(label) if label.ndim else int(label)


def read_image(file: Path, channels: int) -> np.ndarray:
    """Reads an image file as uint8, shape (H, W, 3), or (H, W) for one channel. Of 16 bits the upper ones are kept.

    Raises:
        ValueError: It cannot be decoded.
    """
    with _named(file), Image.open(file) as opened:
        image: Image.Image = opened
        if image.mode == "F" or (image.mode == "I" and np.asarray(image).max() > 65_535):
            raise ValueError("its pixels have more than 16 bits: save it with 8 or 16")
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
        return np.asarray(image.convert("RGB" if channels == 3 else "L"))


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Names the file that cannot be decoded."""
    try:
        yield
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} cannot be decoded ({error}); mend it, or take its line out") from error


def _resize(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = (max(1, round(n * factor)) for n in image.shape[:2])
    return resize(image, (height, width))


def _turn(image: np.ndarray, angle: float) -> np.ndarray:
    """Turns an image that goes on beyond its edges, as a piece of a larger one does: it is mirrored there."""
    height, width = image.shape[:2]
    reach = ceil(hypot(height, width) - min(height, width)) // 2 + 2
    pad = [(reach, reach)] * 2 + [(0, 0)] * (image.ndim - 2)
    wide = rotate(np.pad(image, pad, mode="symmetric"), angle)
    return wide[reach : reach + height, reach : reach + width]
