"""Images and maps at another height and width, resampled piece by piece, equal to resampling all at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.data.image.slide import LargeImage

PIECE = 1024  # rows and columns of an image that are read at once
Read = Callable[[slice, slice], Tensor]  # rows, columns -> (C, h, w)
Weights = Callable[[slice], tuple[slice, Tensor]]  # positions of the result -> positions of the source, and weights


def bicubic(old: int, new: int) -> Weights:
    """Return the weights by which ``geometry.resize_to`` resizes an image along one axis: anti-aliased."""

    def kernel(t: Tensor) -> Tensor:
        t = t.abs()
        near, far = (1.5 * t - 2.5) * t**2 + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
        return torch.where(t < 1, near, torch.where(t < 2, far, 0.0))

    return _interpolation(old, new, kernel, 2)


def bilinear(old: int, new: int) -> Weights:
    """Return the weights of linear interpolation along one axis, anti-aliased where it shrinks."""
    return _interpolation(old, new, lambda t: (1 - t.abs()).clamp(min=0), 1)


def _interpolation(old: int, new: int, kernel: Callable[[Tensor], Tensor], reach: int) -> Weights:
    scale = old / new
    width = max(scale, 1.0)

    def weights(where: slice) -> tuple[slice, Tensor]:
        centres = (torch.arange(where.start, where.stop, dtype=torch.float64) + 0.5) * scale
        first = max(0, int(centres[0] - reach * width + 0.5))
        last = min(old, int(centres[-1] + reach * width + 0.5))
        matrix = kernel((torch.arange(first, last) + 0.5 - centres[:, None]) / width)
        return slice(first, last), (matrix / matrix.sum(1, keepdim=True)).float()

    return weights


def means(starts: Sequence[int], width: int, scale: float = 1.0) -> Weights:
    """Return the weights by which a position is the mean of the windows that cover it.

    Args:
        starts: Where the windows start.
        width: Their width.
        scale: Positions of the windows for one position of the result.

    Example:
        >>> means([0, 2], 4)(slice(1, 4))
        (slice(0, 2, None), tensor([[1.0000, 0.0000],
                [0.5000, 0.5000],
                [0.5000, 0.5000]]))
    """

    def weights(where: slice) -> tuple[slice, Tensor]:
        begins = torch.tensor(list(starts))
        place = (
            ((torch.arange(where.start, where.stop) + 0.5) * scale).long().clamp(max=starts[-1] + width - 1)[:, None]
        )
        covers = ((begins <= place) & (place < begins + width)).float()
        used = covers.any(0).nonzero()[:, 0]
        first, last = int(used[0]), int(used[-1]) + 1
        return slice(first, last), covers[:, first:last] / covers.sum(1, keepdim=True)

    return weights


def resample(read: Read, down: Weights, across: Weights, rows: slice, columns: slice) -> Tensor:
    """Return a piece (C, h, w) of what is resampled along both axes."""
    (source_rows, vertical), (source_columns, horizontal) = down(rows), across(columns)
    return vertical @ read(source_rows, source_columns) @ horizontal.T


class Scaled:
    """A large image at another height and width, sliced like an array as the image is.

    Of a pyramid, the smallest level that is large enough is read.

    Args:
        image: The image.
        size: Height and width.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(self, image: LargeImage, size: tuple[int, int]) -> None:
        enough = [level for level in image.levels if level.shape[1] >= size[0] and level.shape[2] >= size[1]]
        self.image = min(enough, key=lambda level: level.shape[1]) if enough else image
        self.shape = (image.shape[0], *size)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read a part of the image: ``image[:, 0:512, 512:1024]``."""
        channels, *spans = key
        rows, columns = (slice(*span.indices(n)[:2]) for span, n in zip(spans, self.shape[1:], strict=True))
        (_, *old), (_, *new) = self.image.shape, self.shape
        down, across = (bicubic(n, m) for n, m in zip(old, new, strict=True))
        piece = np.empty((self.shape[0], rows.stop - rows.start, columns.stop - columns.start), np.float32)
        for y, x in pieces(rows, columns, [max(1, PIECE * m // n) for n, m in zip(old, new, strict=True)]):
            values = resample(lambda y, x: torch.from_numpy(self.image[:, y, x]), down, across, y, x)
            top, left = y.start - rows.start, x.start - columns.start
            piece[:, top : top + values.shape[1], left : left + values.shape[2]] = values.clamp(0, 1).numpy()
        return piece[channels]


def pieces(rows: slice, columns: slice, size: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of the pieces of an area, which are at most so high and so wide."""
    for top in range(rows.start, rows.stop, size[0]):
        for left in range(columns.start, columns.stop, size[1]):
            yield slice(top, min(top + size[0], rows.stop)), slice(left, min(left + size[1], columns.stop))


def thumbnail(image: LargeImage, limit: int) -> np.ndarray:
    """Return an image (C, h, w) whose longer side is at most so many pixels."""
    height, width = image.shape[1:]
    factor = min(1.0, limit / max(height, width))
    return Scaled(image, (max(1, round(height * factor)), max(1, round(width * factor))))[:, :, :]
