"""Digits at random scales: MNIST-scale, and the same treatment of scikit-learn's small digits."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from experiments.data.idx import PARTS, read_mnist
from experiments.data.images import Images, Range, resize, shrink, shrink_aliased
from experiments.data.source import Stage

SIDE = 28  # of the images, in pixels


def is_range(values: Any, least: float, greatest: float) -> bool:
    """Whether a value of the configuration is a range within bounds.

    Example:
        >>> is_range([0.5, 1], 0.1, 1), is_range([1, 0.5], 0.1, 1), is_range([0.5], 0.1, 1), is_range("0.5", 0.1, 1)
        (True, False, False, False)
    """
    try:
        low, high = values
        return bool(least <= low <= high <= greatest)
    except (TypeError, ValueError):
        return False


class Digits:
    """Digits in three parts, drawn anew with each seed.

    Args:
        images: uint8 images, shape (N, 28, 28).
        labels: labels, shape (N,).
        counts: number of images of "train", "val" and "test".
        seed: of the partition into these, and of what `draw` gives.
        size: side of the images in pixels, at least 28.

    Attributes:
        classes: the ten digits.
        rows: the images of each part.

    Raises:
        ValueError: the size is out of range.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, counts: dict[Stage, int], seed: int = 0, size: int = SIDE
    ) -> None:
        if not isinstance(size, int) or size < SIDE:
            raise ValueError(f"data.size={size} is no whole number of at least the {SIDE} pixels of the images")
        self.images, self.labels, self.size = images, labels, size
        self.classes = [str(digit) for digit in range(10)]
        self.rng = np.random.default_rng(seed)
        ends = np.cumsum(list(counts.values()))
        self.rows = dict(zip(counts, np.split(self.rng.permutation(len(images))[: ends[-1]], ends[:-1]), strict=True))

    def draw(self, name: str, tested: Range, trained: Range | None, least: float, greatest: float) -> dict[Stage, Any]:
        """Draws a number for every image, uniform in a range.

        Args:
            name: what the ranges are called in the configuration.
            tested: the range of the test images.
            trained: the same for training and validation; None is `tested`.
            least: lower bound of both.
            greatest: upper bound of both.

        Raises:
            ValueError: a range is not within the bounds.
        """
        trained = tested if trained is None else trained
        for key, values in (name, tested), (f"train_{name}", trained):
            if not is_range(values, least, greatest):
                raise ValueError(f"data.{key}={values} is not a range within [{least:g}, {greatest:g}]")
        ranges = {"test": tested}
        return {stage: self.rng.uniform(*ranges.get(stage, trained), len(rows)) for stage, rows in self.rows.items()}


def mnist(root: Path | str) -> tuple[np.ndarray, np.ndarray, dict[Stage, int]]:
    """Gives MNIST's 70,000 images and labels, and the parts that their published variants have: 62,000 of them.

    Args:
        root: folder of the four idx files, packed (.gz) or not; MNIST/raw below it is looked into as well.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is not what it should be.
    """
    images, labels = map(np.concatenate, zip(*(read_mnist(Path(root), part) for part in PARTS), strict=True))
    return images, labels, {"train": 10_000, "val": 2_000, "test": 50_000}


def small_digits() -> tuple[np.ndarray, np.ndarray, dict[Stage, int]]:
    """Gives scikit-learn's 1,797 digits, enlarged from 8×8 to 28×28 pixels, and the sizes of three parts."""
    digits = load_digits()
    grey = (digits.images * (255 / 16)).astype(np.uint8)
    images = np.stack([resize(image, (SIDE, SIDE)) for image in grey])
    return images, digits.target, {"train": 1_000, "val": 197, "test": 600}


class ScaledDigits(Digits):
    """Digits shrunk by random factors. A set is a subclass that brings the images.

    Args:
        images: uint8 images, shape (N, 28, 28).
        labels: labels, shape (N,).
        counts: number of images of "train", "val" and "test".
        seed: of the partition into these, and of the factors.
        size: side of the images in pixels; if above 28 they are enlarged after they were shrunk.
        scales: range of the factors, which are uniform in it.
        train_scales: the same for training and validation; None is `scales`.
        protocol: "smooth" shrinks with anti-aliasing and enlarges bicubically; "sesn" does as the generator of the
            published set does: `RandomAffine(0, scale=scales)` of torchvision on Pillow images, bicubic without
            anti-aliasing, enlarged by repeating pixels.
        fit_rescaled: put rescaled digits on a black canvas of the old size, for comparison with older results.
        enlarge: whole number by which every image, a rescaled one too, is enlarged bicubically at last: the finest
            levels of a network are then finer than the data, and what is small is large enough for them.

    Attributes:
        classes: the ten digits.
        quantity: what `rescaled` changes.
        test_factors: sizes of the digits to test at.

    Raises:
        ValueError: an argument is out of range.
    """

    quantity = "size of the test images"
    test_factors = 0.35, 0.5, 0.71, 1
    fit_rescaled = False

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
        fit_rescaled: bool = False,
        enlarge: int = 1,
    ) -> None:
        super().__init__(images, labels, counts, seed, size)
        if not isinstance(enlarge, int) or enlarge < 1:
            raise ValueError(f"data.enlarge={enlarge} is no whole number of at least 1")
        if protocol not in ("smooth", "sesn"):
            raise ValueError(f"data.protocol={protocol} is unknown; choose smooth or sesn")
        if protocol == "sesn" and size % SIDE:
            raise ValueError(f"data.size={size} is no multiple of {SIDE}; data.protocol=sesn repeats pixels")
        self.protocol, self.fit_rescaled, self.enlarge = protocol, fit_rescaled, enlarge
        self.factors = self.draw("scales", scales, train_scales, 0.1, 1)

    def split(self, stage: Stage) -> Images:
        """Gives the images of a stage."""
        return self._shrunk(stage, self.factors[stage])

    def rescaled(self, stage: Stage, factor: float) -> Images:
        """Gives the original images of a stage, all resized by one factor.

        Raises:
            ValueError: the factor is not from 0.1 to 4; with `fit_rescaled` not from 0.1 to 1.
        """
        self.check_factor(factor)
        rows = self.rows[stage]
        if self.fit_rescaled:
            return self._shrunk(stage, np.full(len(rows), factor))
        side = round(self.size * factor)
        return self._enlarged(_resized(self.images[rows], side), stage)

    def check_factor(self, factor: float) -> None:
        """Raises ValueError unless a factor is from 0.1 to 4; with `fit_rescaled` to 1."""
        largest = 1 if self.fit_rescaled else 4
        if not 0.1 <= factor <= largest:
            raise ValueError(
                f"rescale={factor:g} is out of range; digits can be resized by factors from 0.1 to {largest}"
            )

    def _shrunk(self, stage: Stage, factors: np.ndarray) -> Images:
        rows, sesn = self.rows[stage], self.protocol == "sesn"
        make = shrink_aliased if sesn else shrink
        images = np.stack([make(image, factor) for image, factor in zip(self.images[rows], factors, strict=True)])
        if sesn:
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
        root: see `mnist`.
        num_test: number of test images; fewer are enough where they are resized by many factors.
        **options: see `ScaledDigits`.

    Raises:
        ValueError: there are not so many test images.
    """

    def __init__(self, root: Path | str, num_test: int = 50_000, **options: Any) -> None:
        images, labels, counts = mnist(root)
        if not isinstance(num_test, int) or not 1 <= num_test <= counts["test"]:
            raise ValueError(f"data.num_test={num_test} is no whole number from 1 to {counts['test']}")
        super().__init__(images, labels, counts | {"test": num_test}, **options)


class DigitsScale(ScaledDigits):
    """scikit-learn's digits, treated like MNIST-scale; no download.

    Args:
        **options: see `ScaledDigits`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(*small_digits(), **options)
