"""Images as torch tensors, transformed and shrunk."""

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import zoom
from torch import Tensor
from torch.utils.data import Dataset

Range = tuple[float, float]


class Images(Dataset[tuple[Tensor, int]]):
    """Labelled images: item i is (image (1, H, W) float32 within [0, 1], label).

    Args:
        images: uint8 images, shape (N, H, W).
        labels: Labels, shape (N,).
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.images[item])[None].float() / 255
        return image, int(self.labels[item])


def shrink(image: np.ndarray, factor: float) -> np.ndarray:
    """Shrink an image with Pillow (bicubic, anti-aliased) and put it in the centre of a black one of the old size.

    Args:
        image: uint8 image, shape (H, W).
        factor: Factor, at most 1.

    >>> shrink(np.full((28, 28), 200, np.uint8), 0.5)[[0, 14], [14, 14]].tolist()
    [0, 200]
    """
    height, width = (max(1, round(n * factor)) for n in image.shape)
    return _centred(resize(image, (height, width)), image.shape)


def shrink_zoomed(image: np.ndarray, factor: float) -> np.ndarray:
    """Shrink an image as ``shrink`` does, but with a cubic spline (``scipy.ndimage.zoom``) and without anti-aliasing.

    Args:
        image: uint8 image, shape (H, W).
        factor: Factor, at most 1.

    >>> shrink_zoomed(np.full((28, 28), 200, np.uint8), 0.5)[[0, 14], [14, 14]].tolist()
    [0, 200]
    """
    small = zoom(image.astype(np.float64), factor, order=3)
    return _centred(small.round().clip(0, 255).astype(np.uint8), image.shape)


def _centred(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    canvas = np.zeros(shape, image.dtype)
    top, left = ((whole - part) // 2 for whole, part in zip(shape, image.shape, strict=True))
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas


def shrink_aliased(image: np.ndarray, factor: float, angle: float = 0.0) -> np.ndarray:
    """Shrink an image, and turn it, around its centre in one step with Pillow, bicubic and without anti-aliasing.

    Each pixel is looked up where it comes from, as torchvision's ``RandomAffine`` does with Pillow images.

    Args:
        image: uint8 image, shape (H, W).
        factor: Factor, above 0.
        angle: Angle, counterclockwise in degrees.
    """
    height, width = image.shape
    x, y = width / 2, height / 2
    cos, sin = np.cos(np.deg2rad(angle)) / factor, np.sin(np.deg2rad(angle)) / factor
    # p ↦ c + R⁻¹ (p - c) / factor around the centre c = (x, y), with rows counted downwards
    matrix = cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y
    moved = Image.fromarray(image).transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.asarray(moved)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image with Pillow (bicubic, anti-aliased).

    Args:
        image: uint8 image, shape (H, W) or (H, W, 3).
        size: New height and width, in pixels.
    """
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def rotate(image: np.ndarray, angle: float) -> np.ndarray:
    """Turn an image around its centre with Pillow (bicubic), counterclockwise; it is black beyond its edges.

    Args:
        image: uint8 image, shape (H, W) or (H, W, 3).
        angle: Angle, in degrees. Quarter turns of square images are exact.

    >>> rotate(np.array([[1, 2], [3, 4]], np.uint8), 90)
    array([[2, 4],
           [1, 3]], dtype=uint8)
    """
    return np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BICUBIC))
