"""Images of digits at random scales: MNIST-scale, and the same treatment of scikit-learn's small digits."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.audio import Stage

SIDE = 28  # of the images, in pixels

Range = tuple[float, float]


class Digits(Dataset[tuple[Tensor, int]]):
    """Images of digits: item i is (image (1, H, W) float32 within [0, 1], label).

    Args:
        images: uint8 images, shape (N, H, W).
        labels: labels, shape (N,).
        augment: range of a random rescaling of each image, as factors; None for none. It draws torch's random numbers.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, augment: Range | None = None) -> None:
        self.images, self.labels, self.augment = images, labels, augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.images[item])[None].float() / 255
        if self.augment:
            low, high = self.augment
            image = rescale(image, low * (high / low) ** torch.rand(()).item())
        return image, int(self.labels[item])


def rescale(image: Tensor, factor: float) -> Tensor:
    """Resize an image, and cut or zero-pad it around its centre to its old size.

    Args:
        image: image (C, H, W).
        factor: 2 makes things twice as large.

    Returns:
        Image (C, H, W).

    >>> rescale(torch.ones(1, 28, 28), 0.5).sum()
    tensor(196.)
    """
    height, width = image.shape[1:]
    size = max(1, round(height * factor)), max(1, round(width * factor))
    resized = F.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return F.pad(resized, (left, width - size[1] - left, top, height - size[0] - top))  # negative: cut


def shrink(image: np.ndarray, factor: float) -> np.ndarray:
    """Shrink an image with Pillow (bicubic, anti-aliased) and put it in the centre of a black one of the old size.

    Args:
        image: uint8 image, shape (H, W).
        factor: at most 1.

    >>> shrink(np.full((28, 28), 200, np.uint8), 0.5)[[0, 14], [14, 14]].tolist()
    [0, 200]
    """
    height, width = (max(1, round(n * factor)) for n in image.shape)
    canvas = np.zeros_like(image)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    canvas[top : top + height, left : left + width] = _resize(image, (height, width))
    return canvas


class ScaledDigits:
    """Digits shrunk by random factors, both drawn anew with each seed. A set is a subclass that brings the images.

    Args:
        images: uint8 images, shape (N, 28, 28).
        labels: labels, shape (N,).
        counts: number of images of "train", "val" and "test".
        seed: of the partition into these, and of the factors.
        size: side of the images in pixels; if above 28 they are enlarged after they were shrunk.
        scales: range of the factors, which are uniform in it.
        train_scales: the same for training and validation; None is `scales`.
        augment: range of a random rescaling of training images, as factors; None for none.

    Attributes:
        classes: the ten digits.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        counts: dict[Stage, int],
        seed: int = 0,
        size: int = SIDE,
        scales: Range = (0.3, 1.0),
        train_scales: Range | None = None,
        augment: Range | None = None,
    ) -> None:
        train_scales = train_scales or scales
        for name, (low, high) in ("scales", scales), ("train_scales", train_scales):
            if not 0.1 <= low <= high <= 1:
                raise ValueError(f"data.{name}=[{low}, {high}] is not a range within [0.1, 1]")
        if augment and not 0.25 <= augment[0] <= augment[1] <= 4:
            raise ValueError(f"data.augment={list(augment)} is not a range within [0.25, 4]; null is no augmentation")
        if size < SIDE:
            raise ValueError(f"data.size={size} is less than the {SIDE} pixels of the images")
        self.images, self.labels, self.size, self.augment = images, labels, size, augment
        self.classes = [str(digit) for digit in range(10)]
        rng = np.random.default_rng(seed)
        ends = np.cumsum(list(counts.values()))
        self.rows = dict(zip(counts, np.split(rng.permutation(len(images))[: ends[-1]], ends[:-1]), strict=True))
        self.factors = {
            stage: rng.uniform(*(scales if stage == "test" else train_scales), len(self.rows[stage]))
            for stage in counts
        }

    def split(self, stage: Stage) -> Digits:
        """Give the images of a stage."""
        return self._shrunk(stage, self.factors[stage])

    def rescaled(self, stage: Stage, factor: float) -> Digits:
        """Give the images of a stage, all shrunk by one factor.

        Raises:
            ValueError: the factor is not from 0.1 to 1.
        """
        self.check_factor(factor)
        return self._shrunk(stage, np.full(len(self.rows[stage]), factor))

    def check_factor(self, factor: float) -> None:
        """Raise ValueError unless a factor is from 0.1 to 1."""
        if not 0.1 <= factor <= 1:
            raise ValueError(f"rescale={factor:g} is out of range; digits can be shrunk by factors from 0.1 to 1")

    def _shrunk(self, stage: Stage, factors: np.ndarray) -> Digits:
        rows = self.rows[stage]
        images = np.stack([shrink(image, factor) for image, factor in zip(self.images[rows], factors, strict=True)])
        if self.size > SIDE:
            images = np.stack([_resize(image, (self.size, self.size)) for image in images])
        return Digits(images, self.labels[rows], self.augment if stage == "train" else None)


class MNISTScale(ScaledDigits):
    """MNIST-scale: 10,000 training, 2,000 validation and 50,000 test images of MNIST's 70,000.

    I. Sosnovik, M. Szmaja, A. Smeulders, Scale-Equivariant Steerable Networks, ICLR 2020.

    Args:
        root: folder of the four idx files, packed (.gz) or not; MNIST/raw below it is looked into as well.
        **options: see `ScaledDigits`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is not what it should be.
    """

    def __init__(self, root: Path | str, **options: Any) -> None:
        parts = "train", "t10k"
        images, labels = (
            np.concatenate([read_idx(Path(root), f"{part}-{kind}-ubyte") for part in parts])
            for kind in ("images-idx3", "labels-idx1")
        )
        super().__init__(images, labels, {"train": 10_000, "val": 2_000, "test": 50_000}, **options)


class DigitsScale(ScaledDigits):
    """scikit-learn's 1,797 digits, enlarged from 8×8 to 28×28 pixels and then treated like MNIST-scale; no download.

    Args:
        **options: see `ScaledDigits`.
    """

    def __init__(self, **options: Any) -> None:
        digits = load_digits()
        grey = (digits.images * (255 / 16)).astype(np.uint8)
        images = np.stack([_resize(image, (SIDE, SIDE)) for image in grey])
        super().__init__(images, digits.target, {"train": 1_000, "val": 197, "test": 600}, **options)


def read_idx(root: Path, name: str) -> np.ndarray:
    """Read one file of MNIST.

    Args:
        root: folder of the file, or of torchvision's MNIST/raw.
        name: its name, such as train-images-idx3-ubyte.

    Returns:
        uint8 array, of the shape that the file's head says.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is not an idx file of bytes, or is not whole.
    """
    files = [folder / f"{name}{suffix}" for folder in (root, root / "MNIST" / "raw") for suffix in ("", ".gz")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"{files[0]}[.gz] not found, nor in MNIST/raw below: data.root must hold MNIST's four idx files; "
            "download them from https://ossci-datasets.s3.amazonaws.com/mnist/"
        )
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        zeros, kind, ndim = struct.unpack(">HBB", content[:4])
        if (zeros, kind) != (0, 8):
            raise ValueError("not an idx file of bytes")
        shape = struct.unpack(f">{ndim}I", content[4 : 4 + 4 * ndim])
        return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)
    except (EOFError, OSError, ValueError, struct.error, zlib.error) as error:
        raise ValueError(f"{file} is no good ({error}); download it again") from error


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
