"""Maps of class numbers as files and pictures, and what is counted in them."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from PIL import Image
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from experiments.files import whole

IN_MEMORY = 2**28  # bytes of an array; a larger one is in a temporary file
BAND = 2**21  # pixels that are counted at once


@dataclass
class Folder:
    """A folder of maps, and what to write there.

    Attributes:
        path: The folder.
        inputs: Files that are not to be overwritten.
        probabilities: Whether to write STEM_probabilities.tif as well.
        overlays: Whether to write STEM_overlay.png as well.
    """

    path: Path
    inputs: Sequence[str] = ()
    probabilities: bool = False
    overlays: bool = False
    taken: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.path = Path(self.path).expanduser()
        self.path.mkdir(parents=True, exist_ok=True)
        self._kept = {Path(file).resolve() for file in self.inputs}

    def name(self, file: str, suffixes: Sequence[str]) -> list[Path]:
        """Return the files of a name with some suffixes, and a number if one is taken or would overwrite an input."""
        stem, number = Path(file).stem, 1
        paths = [self.path / f"{stem}{suffix}" for suffix in suffixes]
        while not self.taken.isdisjoint(paths) or not self._kept.isdisjoint(path.resolve() for path in paths):
            number += 1
            paths = [self.path / f"{stem}_{number}{suffix}" for suffix in suffixes]
        self.taken.update(paths)
        return paths


def array(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Return zeros, in a temporary file if they are large."""
    if np.prod(shape, dtype=np.int64) * np.dtype(dtype).itemsize <= IN_MEMORY:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:  # the map of it stays
        return np.memmap(file, dtype, "w+", shape=tuple(shape))


def palette() -> np.ndarray:
    """Return the colours of the class numbers, (256, 3): black, and then ten in turn."""
    colours = np.array([colormaps["tab10"](number % 10)[:3] for number in range(-1, 255)])
    colours[0] = 0
    return (255 * colours).round().astype(np.uint8)


def write_png(file: Path, numbers: np.ndarray) -> None:
    """Write class numbers (H, W) as a PNG with a palette: its pixels are the numbers, and viewers show colours."""
    picture = Image.fromarray(np.asarray(numbers))
    picture.putpalette(palette().tobytes())
    with whole(file) as unfinished:
        picture.save(unfinished, "PNG")


def write_overlay(file: Path, image: np.ndarray, numbers: np.ndarray) -> None:
    """Write an image (C, h, w) within [0, 1], coloured where a larger map (H, W) has another class than the first."""
    grey = image if len(image) == 3 else np.broadcast_to(image.mean(0), (3, *image.shape[1:]))
    rows, columns = (
        ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(grey.shape[1:], numbers.shape, strict=True)
    )
    seen = np.asarray(numbers[rows[:, None], columns])
    pixels = np.moveaxis(np.rint(255 * grey).astype(np.uint8), 0, -1).copy()
    coloured = seen > 0
    pixels[coloured] = (pixels[coloured].astype(int) + palette()[seen[coloured]]) // 2
    with whole(file) as unfinished:
        Image.fromarray(pixels).save(unfinished, "PNG")


def bands(numbers: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of a map, some at a time."""
    rows = max(1, BAND // numbers.shape[1])
    for top in range(0, len(numbers), rows):
        yield np.asarray(numbers[top : top + rows])


def count_pixels(numbers: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of each class, (num_classes,)."""
    return np.sum([np.bincount(band.ravel(), minlength=num_classes) for band in bands(numbers)], axis=0)


def count_components(numbers: np.ndarray, number: int) -> int:
    """Count the connected components of a class; pixels that share an edge or a corner are connected.

    Example:
        >>> count_components(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]]), 1)
        2
    """
    total, links = 0, []  # pairs of components of neighbouring bands that touch
    above = np.zeros(numbers.shape[1], np.int64)
    for band in bands(numbers):
        labels, found = ndimage.label(band == number, np.ones((3, 3)))
        below = np.where(labels[0] > 0, labels[0] + total, 0)
        for a, b in (above, below), (above[1:], below[:-1]), (above[:-1], below[1:]):
            links.append(np.unique(np.stack([a, b])[:, (a > 0) & (b > 0)], axis=1))
        above = np.where(labels[-1] > 0, labels[-1] + total, 0)
        total += found
    ends = np.concatenate(links, axis=1) - 1
    graph = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(total, total))
    return int(connected_components(graph, directed=False, return_labels=False)) if total else 0


def mean_thickness(numbers: np.ndarray) -> float | None:
    """Return how thick what is not class 0 is, in pixels, see ``wavenets.nn.mean_thickness``; None without boundary."""
    area = sides = 0
    above = numbers[:1] > 0
    for band in bands(numbers):
        found = np.concatenate([above, band > 0])
        area += int(np.count_nonzero(band))
        for here, there in (found[1:], found[:-1]), (found[1:, 1:], found[1:, :-1]):
            sides += int(np.count_nonzero(here != there))
        above = found[-1:]
    return 2 * area / sides if sides else None
