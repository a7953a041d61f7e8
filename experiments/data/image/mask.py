"""Masks: class numbers, instances, outlines, and the field of view of retinal images."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes
from skimage.draw import polygon
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.morphology import convex_hull_image
from torch import Tensor

from experiments.data.image.decode import decode, warn_once
from experiments.data.image.geometry import IGNORED

Size = tuple[int, int]
Outline = np.ndarray  # corners (N, 2): x and y, in pixels


def read_mask(
    file: Path,
    num_classes: int,
    size: Size,
    values: Sequence[int] | None = None,
    ignore: int | None = None,
    image: Path | None = None,
) -> Tensor:
    """Read the classes of the pixels of an image.

    Args:
        file: The mask: one channel or equal channels, or the numbers of the colours of a palette. Its numbers count,
            also where the file says that 0 is shown as white.
        num_classes: Number of classes.
        size: Height and width of its image.
        values: Value of each class in the file. If ``None``, values are class numbers; of two classes the first has the
            value 0, and the second may have any other, such as 255.
        ignore: Value of pixels that do not count.
        image: File of its image, for the error message.

    Returns:
        Class numbers (H, W), int64, and ``IGNORED`` where pixels do not count.

    Raises:
        ValueError: If the mask cannot be decoded, has another size, or has values of no class.
    """
    pixels = _read_labels(file, size, image)
    found, inverse = np.unique(pixels, return_inverse=True)
    classes = _class_of_value([value for value in found.tolist() if value != ignore], num_classes, values)
    if ignore is not None:
        classes[ignore] = IGNORED
    if unknown := [value for value in found.tolist() if value not in classes]:
        raise ValueError(
            f"{file} has the value {unknown[0]}, but the {num_classes} classes have the values "
            f"{', '.join(map(str, values or range(num_classes)))}; data.mask_values=[…] lists the value of each class, "
            f"and data.ignore={unknown[0]} leaves such pixels out"
        )
    return torch.tensor([classes[value] for value in found.tolist()])[torch.from_numpy(inverse.reshape(pixels.shape))]


def read_instances(file: Path, size: Size | None = None, image: Path | None = None) -> Tensor:
    """Read an image of instances: 0 is background, each other number is an object.

    Returns:
        Numbers of the instances (H, W), int64.

    Raises:
        ValueError: If the file cannot be decoded, has another size than its image, or has numbers below 0.
    """
    numbers = _read_labels(file, size, image).astype(np.int64)
    if numbers.min() < 0:
        raise ValueError(f"{file} has the value {numbers.min()}; objects are numbered from 1, and 0 is background")
    return torch.from_numpy(numbers)


def read_aperio_xml(file: Path, size: Size) -> Tensor:
    """Read outlines of objects as Aperio ImageScope writes them, and fill them.

    Args:
        file: XML file with regions of vertices, such as those of MoNuSeg.
        size: Height and width of the image.

    Returns:
        Numbers of the objects (H, W), int64, from 1 in the order of the file.

    Raises:
        ValueError: If the file is not such an XML file.
    """
    try:
        outlines = [
            np.array([(float(vertex.attrib["X"]), float(vertex.attrib["Y"])) for vertex in region.iter("Vertex")])
            for region in ElementTree.parse(file).iter("Region")
        ]
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise ValueError(
            f"{file} cannot be read as outlines of Aperio ImageScope ({error}); download it again"
        ) from error
    return rasterize(outlines, size)


def rasterize(outlines: Iterable[Outline], size: Size) -> Tensor:
    """Return a map of filled outlines, numbered from 1; where two overlap, the later one is on top.

    Example:
        >>> rasterize([np.array([(0, 0), (2, 0), (2, 1), (0, 1)])], (3, 4))
        tensor([[1, 1, 1, 0],
                [1, 1, 1, 0],
                [0, 0, 0, 0]])
    """
    instances = np.zeros(size, np.int64)
    for number, outline in enumerate(outlines, 1):
        if len(outline):
            instances[polygon(outline[:, 1], outline[:, 0], size)] = number
    return torch.from_numpy(instances)


def field_of_view(image: Tensor) -> Tensor:
    """Return where a retinal image shows the retina: a bright disc, which may be cut off, on black.

    Args:
        image: Image (C, H, W) within [0, 1].

    Returns:
        Field of view (H, W), bool.

    Raises:
        ValueError: If the image is of one colour.
    """
    brightness = image.amax(0).numpy()
    if brightness.min() == brightness.max():
        raise ValueError("an image of one colour has no field of view")
    decades = np.log10(brightness + 1 / 255)  # of brightness: the retina may be dark towards its edge
    regions = label(decades > threshold_otsu(decades))
    largest = np.bincount(regions.ravel())[1:].argmax() + 1
    return torch.from_numpy(convex_hull_image(binary_fill_holes(regions == largest)))


def _class_of_value(found: Sequence[int], num_classes: int, values: Sequence[int] | None) -> dict[int, int]:
    """Return the class of each value that a mask may have."""
    if values is not None:
        if len(values) != num_classes:
            raise ValueError(f"data.mask_values={list(values)} does not list a value for each of {num_classes} classes")
        return {value: number for number, value in enumerate(values)}
    if num_classes == 2 and max(found, default=0) > 1:
        if len(found) == 2 and found[0] == 0:
            return {0: 0, found[1]: 1}
        return {0: 0, 255: 1, 65_535: 1}
    return {number: number for number in range(num_classes)}


def _read_labels(file: Path, size: Size | None, image: Path | None) -> np.ndarray:
    """Read whole numbers (H, W) from a file, and check its size."""
    file = Path(file)
    pixels = decode(file, indices=True)
    if pixels.alpha and np.ptp(pixels.values[..., :-1]) == 0 < np.ptp(pixels.values[..., -1]):
        raise ValueError(f"{file} differs only in its opacity; save it with one number for each pixel, opaque")
    labels, *others = np.moveaxis(pixels.values[..., :-1] if pixels.alpha else pixels.values, -1, 0)
    if labels.dtype.kind not in "biu":
        with np.errstate(invalid="ignore"):  # of NaN and infinity
            whole = labels.astype(np.int64)
        if not np.array_equal(whole, labels):
            raise ValueError(f"{file} has values with decimals; a mask has whole numbers")
        labels = whole
    if file.suffix.lower() in (".jpg", ".jpeg") and len(np.unique(labels)) > 2:
        raise ValueError(f"{file} is a JPEG, which changes the numbers of a mask; save it as PNG")
    if any(not np.array_equal(labels, other) for other in others):
        raise ValueError(f"{file} has colours; save it with one number for each pixel, or with a palette")
    if size is not None and labels.shape != tuple(size):
        raise ValueError(
            f"{file} has {labels.shape[0]} × {labels.shape[1]} pixels, but its image {f'{image} ' if image else ''}has "
            f"{size[0]} × {size[1]}; choose the mask of this image, at its size"
        )
    if pixels.inverted:  # as tifffile writes arrays of bool
        warn_once("says that 0 is shown as white; the numbers count, so that 0 is the first class", file)
    return labels
