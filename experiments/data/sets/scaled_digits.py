"""Digits at random scales: MNIST-scale, and the same treatment of scikit-learn's small digits."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from experiments.data.inputs import Image
from experiments.data.sets.digit_images import Images, Range, resize, shrink, shrink_aliased, shrink_zoomed
from experiments.data.sets.idx import PARTS, read_mnist
from experiments.data.source import Source, Stage
from experiments.data.transformation import Rescaling

Move = Callable[..., np.ndarray]  # (image, factor) or (image, factor, angle) -> image
SIDE = 28  # side of the images, in pixels
SHRINK = {"smooth": shrink, "sesn": shrink_aliased, "ghosh": shrink_zoomed}  # how images are shrunk, by protocol


def is_range(values: Any, least: float, greatest: float) -> bool:
    """Return whether a value of the configuration is a range within bounds.

    Example:
        >>> is_range([0.5, 1], 0.1, 1), is_range([1, 0.5], 0.1, 1), is_range([0.5], 0.1, 1), is_range("0.5", 0.1, 1)
        (True, False, False, False)
    """
    try:
        low, high = values
        return bool(least <= low <= high <= greatest)
    except (TypeError, ValueError):
        return False


def of_protocol(protocol: str, ways: Mapping[str, Move]) -> Move:
    """Return how images are moved in a protocol.

    Raises:
        ValueError: The protocol is unknown.
    """
    if protocol not in ways:
        raise ValueError(f"data.protocol={protocol} is unknown; choose {', '.join(ways)}")
    return ways[protocol]


class Digits(Source):
    """Digits in three parts, which are drawn by a seed.

    Args:
        images: uint8 images, shape (N, 28, 28).
        labels: Labels, shape (N,).
        counts: Number of images of "train", "val" and "test".
        seed: Seed of the partition into these, and of what `draw` returns.
        size: Side of the images in pixels, at least 28.

    Attributes:
        classes: The ten digits.
        rows: The images of each part.

    Raises:
        ValueError: The size is out of range.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, counts: dict[Stage, int], seed: int = 0, size: int = SIDE
    ) -> None:
        if not isinstance(size, int) or size < SIDE:
            raise ValueError(f"data.size={size} is not a whole number of at least the {SIDE} pixels of the images")
        self.images, self.labels, self.size = images, labels, size
        self.classes = [str(digit) for digit in range(10)]
        self.input = Image(1, (size, size))
        self.rng = np.random.default_rng(seed)
        ends = np.cumsum(list(counts.values()))
        self.rows = dict(zip(counts, np.split(self.rng.permutation(len(images))[: ends[-1]], ends[:-1]), strict=True))

    def draw(self, name: str, tested: Range, trained: Range | None, least: float, greatest: float) -> dict[Stage, Any]:
        """Draw a number for every image, uniform in a range.

        Args:
            name: Name of the ranges in the configuration.
            tested: Range of the test images.
            trained: Range for training and validation. ``None``: that of ``tested``.
            least: Lower bound of both.
            greatest: Upper bound of both.

        Raises:
            ValueError: A range is not within the bounds.
        """
        trained = tested if trained is None else trained
        for key, values in (name, tested), (f"train_{name}", trained):
            if not is_range(values, least, greatest):
                raise ValueError(f"data.{key}={values} is not a range within [{least:g}, {greatest:g}]")
        ranges = {"test": tested}
        return {stage: self.rng.uniform(*ranges.get(stage, trained), len(rows)) for stage, rows in self.rows.items()}


def mnist(root: Path | str) -> tuple[np.ndarray, np.ndarray, dict[Stage, int]]:
    """Return the 70,000 images and labels of MNIST, and the sizes of the parts of its variants, 62,000 in all.

    Args:
        root: Folder of the four idx files, packed (.gz) or not, or a folder in which they are in MNIST/raw.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or is not the one that its name says.
    """
    folder = Path(root).expanduser()
    images, labels = map(np.concatenate, zip(*(read_mnist(folder, part) for part in PARTS), strict=True))
    return images, labels, {"train": 10_000, "val": 2_000, "test": 50_000}


def small_digits() -> tuple[np.ndarray, np.ndarray, dict[Stage, int]]:
    """Return scikit-learn's 1,797 digits, enlarged from 8×8 to 28×28 pixels, and the sizes of three parts."""
    digits = load_digits()
    grey = (digits.images * (255 / 16)).astype(np.uint8)
    images = np.stack([resize(image, (SIDE, SIDE)) for image in grey])
    return images, digits.target, {"train": 1_000, "val": 197, "test": 600}


class ScaledDigits(Digits):
    """Digits shrunk by random factors. A subclass has the images.

    Args:
        images: uint8 images, shape (N, 28, 28).
        labels: Labels, shape (N,).
        counts: Number of images of "train", "val" and "test".
        seed: Seed of the partition into these, and of the factors.
        size: Side of the images, in pixels. Above 28, images are enlarged after they are shrunk.
        scales: Range of the factors, which are uniform in it.
        train_scales: Range for training and validation. ``None``: that of ``scales``.
        protocol: "smooth" shrinks with anti-aliasing and enlarges bicubically; "sesn" does as the generator of the
            published set does: `RandomAffine(0, scale=scales)` of torchvision on Pillow images, bicubic without
            anti-aliasing, enlarged by repeating pixels.
        enlarge: Whole number by which every image is enlarged bicubically at the end, also after a transformation. The
            finest levels of a network are then finer than the data, and small things are large enough for them.

    Attributes:
        classes: The ten digits.
        test_factors: Sizes of the digits to test at.

    Raises:
        ValueError: An argument is out of range.
    """

    transformation = Rescaling("size of the test images", 0.1, 4)
    test_factors = 0.35, 0.5, 0.71, 1

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        counts: dict[Stage, int],
        seed: int = 0,
        size: int = SIDE,
        scales: Range = (0.3, 1.0),
        train_scales: Range | None = None,
        protocol: str = "smooth",
        enlarge: int = 1,
    ) -> None:
        super().__init__(images, labels, counts, seed, size)
        if not isinstance(enlarge, int) or enlarge < 1:
            raise ValueError(f"data.enlarge={enlarge} is not a whole number of at least 1")
        self.shrink = of_protocol(protocol, SHRINK)
        if protocol == "sesn" and size % SIDE:
            raise ValueError(f"data.size={size} is not a multiple of {SIDE}; data.protocol=sesn repeats pixels")
        self.protocol, self.enlarge, self.input = protocol, enlarge, Image(1, (size * enlarge, size * enlarge))
        self.factors = self.draw("scales", scales, train_scales, 0.1, 1)

    def split(self, stage: Stage) -> Images:
        """Return the images of a stage."""
        return self._shrunk(stage, self.factors[stage])

    def transformed(self, stage: Stage, factor: float) -> Images:
        """Return the original images of a stage, all resized by one factor.

        Raises:
            ValueError: The factor is not from 0.1 to 4.
        """
        self.check_factor(factor)
        rows = self.rows[stage]
        side = round(self.size * factor)
        return self._enlarged(_resized(self.images[rows], side), stage)

    def _shrunk(self, stage: Stage, factors: np.ndarray) -> Images:
        drawn = zip(self.images[self.rows[stage]], factors, strict=True)
        images = np.stack([self.shrink(image, factor) for image, factor in drawn])
        if self.protocol == "sesn":
            images = images.repeat(self.size // SIDE, axis=1).repeat(self.size // SIDE, axis=2)
        elif self.size > SIDE:
            images = _resized(images, self.size)
        return self._enlarged(images, stage)

    def _enlarged(self, images: np.ndarray, stage: Stage) -> Images:
        if self.enlarge > 1:
            images = _resized(images, images.shape[1] * self.enlarge)
        return Images(images, self.labels[self.rows[stage]])


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    return np.stack([resize(image, (side, side)) for image in images])


class MNISTScale(ScaledDigits):
    """MNIST-scale: 10,000 training, 2,000 validation and 50,000 test images of MNIST's 70,000.

    I. Sosnovik, M. Szmaja, A. Smeulders, Scale-Equivariant Steerable Networks, ICLR 2020.

    Args:
        root: See `mnist`.
        num_test: Number of test images; fewer are enough where they are resized by many factors.
        **options: See `ScaledDigits`.

    Raises:
        ValueError: The set has fewer test images.
    """

    def __init__(self, root: Path | str, num_test: int = 50_000, **options: Any) -> None:
        images, labels, counts = mnist(root)
        if not isinstance(num_test, int) or not 1 <= num_test <= counts["test"]:
            raise ValueError(f"data.num_test={num_test} is not a whole number from 1 to {counts['test']}")
        super().__init__(images, labels, counts | {"test": num_test}, **options)


class DigitsScale(ScaledDigits):
    """scikit-learn's digits, treated like MNIST-scale; no download.

    Args:
        **options: See `ScaledDigits`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(*small_digits(), **options)
