"""Random transforms of training images, which move an image and its mask alike.

Each is called with an image (C, H, W) within [0, 1] and a random generator, from which alone it draws. ``both`` takes a
mask (H, W) as well. A file in ``conf/augment/`` lists transforms by name.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from torch import Tensor

from experiments.data.image import geometry
from experiments.data.inputs import IGNORED
from experiments.data.transforms import log_uniform, ordered

Move = Callable[[Tensor], Tensor]
Rng = np.random.Generator


class Geometric:
    """Base class of transforms that move pixels; a subclass draws the move."""

    def draw(self, size: tuple[int, int], rng: Rng) -> Move:
        """Draw what is done to an image of a height and a width, and to its mask."""
        raise NotImplementedError

    def __call__(self, x: Tensor, rng: Rng) -> Tensor:
        """Return an image, moved at random."""
        return self.draw((x.shape[-2], x.shape[-1]), rng)(x)

    def both(self, x: Tensor, mask: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
        """Return an image and its mask, moved alike at random."""
        move = self.draw((x.shape[-2], x.shape[-1]), rng)
        return move(x), move(mask)


class Crop(Geometric):
    """Random windows. An image that is smaller is mirrored beyond its edges; its mask is ``IGNORED`` there.

    Args:
        size: Height and width of the window, or one number for both.
        foreground: Share of the windows around a random pixel of the foreground (of any class but the first), of images
            with masks.
    """

    def __init__(self, size: int | Sequence[int], foreground: float = 0.0) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 1:
            raise ValueError(f"augment: a crop of {height} × {width} pixels is empty")
        if not 0 <= foreground <= 1:
            raise ValueError(f"augment: foreground={foreground} is not a share from 0 to 1")
        self.size, self.foreground = (height, width), foreground

    def draw(self, size: tuple[int, int], rng: Rng) -> Move:
        """Draw a window; all positions are equally likely."""
        spare = [old - new for old, new in zip(size, self.size, strict=True)]
        top, left = (int(rng.integers(min(0, n), max(0, n), endpoint=True)) for n in spare)
        return partial(geometry.crop, top=top, left=left, height=self.size[0], width=self.size[1])

    def both(self, x: Tensor, mask: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
        """Return a window of an image and of its mask."""
        if rng.uniform() >= self.foreground or (number := _pixel_of_foreground(mask, rng)) is None:
            return super().both(x, mask, rng)
        pixel = np.unravel_index(number, mask.shape)
        top, left = (
            int(np.clip(i - new // 2, min(0, old - new), max(0, old - new)))
            for i, new, old in zip(pixel, self.size, mask.shape, strict=True)
        )
        return geometry.crop(x, top, left, *self.size), geometry.crop(mask, top, left, *self.size)


class Flip(Geometric):
    """Reflections and quarter turns, equally likely and exact; what is not square is turned by 180° only."""

    def draw(self, size: tuple[int, int], rng: Rng) -> Move:
        """Draw one of the eight symmetries of a square, or of the four of a rectangle."""
        turns = int(rng.integers(4)) if size[0] == size[1] else 2 * int(rng.integers(2))
        mirror = bool(rng.integers(2))
        return lambda x: geometry.rotate(geometry.flip(x) if mirror else x, 90 * turns)


class Rotate(Geometric):
    """Rotations around the centre, by angles that are uniform in a range.

    Args:
        degrees: The largest angle to either side.
        fill: Value beyond the edges of an image. If ``None``, it is mirrored there.
    """

    def __init__(self, degrees: float = 180.0, fill: float | None = None) -> None:
        self.degrees, self.fill = degrees, fill

    def draw(self, size: tuple[int, int], rng: Rng) -> Move:
        """Draw an angle."""
        return partial(geometry.rotate, degrees=rng.uniform(-self.degrees, self.degrees), fill=self.fill)


class Rescale(Geometric):
    """Things in the image larger or smaller, by factors that are log-uniform in a range; the size stays.

    Args:
        low: The lowest factor.
        high: The highest factor; 2 is twice as large.
        fill: Value beyond the edges of an image. If ``None``, it is mirrored there.
    """

    def __init__(self, low: float, high: float, fill: float | None = None) -> None:
        self.low, self.high = ordered("size", low, high)
        self.fill = fill

    def draw(self, size: tuple[int, int], rng: Rng) -> Move:
        """Draw a factor."""
        factor = log_uniform(self.low, self.high, rng)
        return lambda x: geometry.fit(geometry.resize(x, factor), size, self.fill)


class Shear(Geometric):
    """Rows shifted against each other, or columns, by angles that are uniform in a range.

    Args:
        degrees: The largest angle to either side.
        fill: Value beyond the edges of an image. If ``None``, it is mirrored there.
    """

    def __init__(self, degrees: float = 10.0, fill: float | None = None) -> None:
        if not 0 <= degrees < 90:
            raise ValueError(f"augment: a shear of {degrees:g}° is not from 0 to 90")
        self.degrees, self.fill = degrees, fill

    def draw(self, size: tuple[int, int], rng: Rng) -> Move:
        """Draw an angle and a direction."""
        slope = math.tan(math.radians(rng.uniform(-self.degrees, self.degrees)))
        matrix = ((1.0, slope), (0.0, 1.0)) if rng.integers(2) else ((1.0, 0.0), (slope, 1.0))
        return partial(geometry.affine, matrix=matrix, fill=self.fill)


class Shift(Geometric):
    """Images moved by whole pixels.

    Args:
        pixels: The largest distance, up or down and to either side.
        fill: Value beyond the edges of an image. If ``None``, it is mirrored there.
    """

    def __init__(self, pixels: int, fill: float | None = None) -> None:
        self.pixels, self.fill = pixels, fill

    def draw(self, size: tuple[int, int], rng: Rng) -> Move:
        """Draw a distance."""
        down, right = rng.integers(-self.pixels, self.pixels, 2, endpoint=True).tolist()
        return partial(geometry.crop, top=-down, left=-right, height=size[0], width=size[1], fill=self.fill)


def _pixel_of_foreground(mask: Tensor, rng: Rng) -> int | None:
    """Draw a pixel of any class but the first: its index in the flattened mask, or ``None`` if there is none."""
    values = mask.flatten().numpy()
    some = rng.integers(len(values), size=64)
    pixels = some[_is_foreground(values[some])]
    if not len(pixels):  # rare enough to list all pixels, which takes longer
        pixels = np.flatnonzero(_is_foreground(values))
    return int(rng.choice(pixels)) if len(pixels) else None


def _is_foreground(values: np.ndarray) -> np.ndarray:
    classes = values % 256
    foreground: np.ndarray = (classes != 0) & (classes != IGNORED)
    return foreground
