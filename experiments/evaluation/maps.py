"""Maps of the classes of images of any size, computed piece by piece."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.data.image.scaled import Read, Scaled, Weights, bilinear, means, pieces, resample, thumbnail
from experiments.data.image.slide import LargeImage
from experiments.data.image.write import GEOTIFF, write_map
from experiments.evaluation.device import NOT_FINITE
from experiments.evaluation.map_files import (
    Folder,
    array,
    count_components,
    count_pixels,
    mean_thickness,
    write_overlay,
    write_png,
)
from experiments.evaluation.measure import padded
from experiments.evaluation.prediction import MapPrediction
from experiments.evaluation.windows import Slide
from experiments.training.tasks.segmentation import Segmentation
from wavenets import tiles

LARGEST_PNG = 10_000  # pixels of the longer side; a larger map is a TIFF
OVERLAY = 2000  # pixels of the longer side of an overlay
PIECE = 1024, 1024  # pixels of a map that are interpolated at once
LEVELS = 255  # a probability p is written as round(255 p)

Put = Callable[[slice, slice, Tensor, Tensor], None]  # rows, columns, class numbers (h, w), probabilities (C, h, w)
PutValues = Callable[[slice, slice, Tensor], None]  # rows, columns, values (C, h, w)
Advance = Callable[[float], Any]  # is called with the share of the image that was computed since the last call


def predict_map(
    file: str, image: LargeImage, classes: Sequence[str], fill: Callable[[Put], None], folder: Folder | None = None
) -> tuple[MapPrediction, np.ndarray]:
    """Compute the map of an image, count its classes, and write it.

    Args:
        file: Name of the image.
        image: The image.
        classes: Names of the classes.
        fill: Function that calls ``put(rows, columns, numbers, probabilities)`` for pieces that cover the image.
        folder: Folder of the files. ``None``: nothing is written.

    Returns:
        The prediction, and the class numbers (H, W).
    """
    size = height, width = image.shape[1], image.shape[2]
    tiff = max(size) > LARGEST_PNG or any(tag[0] in GEOTIFF for tag in image.tags)
    suffixes = {"map": ".tif" if tiff else ".png"}
    if folder and folder.probabilities:
        suffixes["probabilities"] = "_probabilities.tif"
    if folder and folder.overlays:
        suffixes["overlay"] = "_overlay.png"
    written = dict(zip(suffixes, folder.name(file, list(suffixes.values())), strict=True)) if folder else {}
    with ExitStack() as stack:
        if tiff and folder:
            numbers = stack.enter_context(write_map(written["map"], size, np.uint8, image.tags))
        else:
            numbers = array(size, np.uint8)
        shares = None
        if "probabilities" in written:
            shape = len(classes), *size
            shares = stack.enter_context(write_map(written["probabilities"], shape, np.uint8, image.tags))

        def put(rows: slice, columns: slice, piece: Tensor, probabilities: Tensor) -> None:
            if not probabilities.isfinite().all():
                raise ValueError(NOT_FINITE)
            numbers[rows, columns] = piece.numpy()
            if shares is not None:
                shares[:, rows, columns] = (probabilities * LEVELS).round().numpy()

        fill(put)
        if folder and not tiff:
            write_png(written["map"], numbers)
        if "overlay" in written:
            write_overlay(written["overlay"], thumbnail(image, OVERLAY), numbers)
        share = (count_pixels(numbers, len(classes)) / (height * width)).tolist()
        components = [count_components(numbers, number) for number in range(len(classes))]
        thickness = mean_thickness(numbers)
    return MapPrediction(file, classes, height, width, share, components, thickness, written), numbers


def segment(
    network: nn.Module,
    task: Segmentation,
    x: LargeImage | Scaled,
    size: tuple[int, int],
    put: Put,
    tile: int = 1024,
    advance: Advance = lambda share: None,
) -> None:
    """Compute the probabilities of a segmentation over an image of any size, tile by tile.

    They are those of the whole image if the network can be tiled exactly. Otherwise tiles overlap and are blended, and
    a warning states how much they differ. What is smaller than the network's least size is zero-padded.

    Args:
        network: The network, from images to maps of their size.
        task: Has the probabilities.
        x: The image as the network takes it.
        size: Height and width of the map. If ``x`` has another size, the outputs are interpolated.
        put: Function that is called with the class numbers and the probabilities of each piece.
        tile: Size of the tiles.
        advance: Function that is called as the image is computed.
    """

    def finish(rows: slice, columns: slice, y: Tensor) -> None:
        put(rows, columns, task.classes_of(y[None])[0], task.probabilities(y[None].float())[0])

    shape = (task.num_outputs, *x.shape[1:])
    output = _Output(shape, finish if shape[1:] == size else None, advance)
    if min(shape[1:]) < getattr(network, "min_size", 1):
        everything = slice(None), slice(0, shape[1]), slice(0, shape[2])
        with torch.inference_mode():
            y = padded(network, torch.from_numpy(x[everything])[None].to(next(network.parameters()).device))
        output[everything] = y[0].float().cpu().numpy()
    else:
        tiles.predict(network, x, tile, output, margin=max(1, tile // 8))
    if output.array is not None:
        kept = output.array
        down, across = (bilinear(old, new) for old, new in zip(shape[1:], size, strict=True))
        spread(lambda y, x: torch.from_numpy(np.array(kept[:, y, x])), down, across, size, finish)


def average(slide: Slide, probabilities: np.ndarray, size: tuple[int, int], put: Put) -> None:
    """Compute for each pixel the mean probabilities of the windows that cover it.

    Args:
        slide: The windows, of an image that may be resampled.
        probabilities: Probabilities of each class and window, (num_classes, windows).
        size: Height and width of the image.
        put: Function that is called with the class numbers and the probabilities of each piece.
    """
    grid = torch.from_numpy(probabilities).view(-1, len(slide.tops), len(slide.lefts))
    scales = (old / new for old, new in zip(slide.shape[1:], size, strict=True))
    down, across = (
        means(starts, width, scale)
        for starts, width, scale in zip((slide.tops, slide.lefts), slide.window, scales, strict=True)
    )
    spread(lambda y, x: grid[:, y, x], down, across, size, lambda y, x, p: put(y, x, p.argmax(0), p))


def spread(read: Read, down: Weights, across: Weights, size: tuple[int, int], put: PutValues) -> None:
    """Call a function with the pieces of a map that is resampled to a height and a width."""
    for rows, columns in pieces(slice(0, size[0]), slice(0, size[1]), PIECE):
        put(rows, columns, resample(read, down, across, rows, columns))


class _Output:
    """The output of `tiles.predict`: a function, or an array without a function and for blended tiles."""

    dtype = np.dtype(np.float32)

    def __init__(self, shape: Sequence[int], put: PutValues | None, advance: Advance) -> None:
        self.shape, self.put, self.advance = tuple(shape), put, advance
        self.array = None if put else array(shape, np.float32)

    def __setitem__(self, key: tuple[slice, slice, slice], y: np.ndarray) -> None:
        if not y.ndim:  # blending begins with zeros
            self.array = array(self.shape, np.float32) if self.array is None else self.array
            return
        if self.array is not None:
            self.array[key] = y
        elif self.put:
            self.put(*key[1:], torch.from_numpy(y))
        self.advance(y[0].size / (self.shape[1] * self.shape[2]))

    def __getitem__(self, key: Any) -> np.ndarray:
        assert self.array is not None
        part: np.ndarray = self.array[key]
        return part
