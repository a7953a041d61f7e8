"""Digits at random angles: rotated MNIST, the same rescaled too, and scikit-learn's digits treated likewise."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.digits import SIDE, Digits, mnist, small_digits
from experiments.data.images import ANGLES, Images, Range, check_angle, resize, rotate, shrink
from experiments.data.source import Stage


class TurnedDigits(Digits):
    """Digits turned by random angles, and shrunk by random factors if asked for. A subclass brings the images.

    Args:
        images: uint8 images, shape (N, 28, 28).
        labels: labels, shape (N,).
        counts: number of images of "train", "val" and "test".
        seed: of the partition into these, of the angles and of the factors.
        size: side of the images in pixels; if above 28 they are enlarged after they were turned and shrunk.
        angles: range of the angles, counterclockwise in degrees, which are uniform in it.
        train_angles: the same for training and validation; None is `angles`. (0, 0) trains on upright digits.
        scales: range of the factors, which are uniform in it; None shrinks nothing.
        train_scales: the same for training and validation; None is `scales`.

    Attributes:
        classes: the ten digits.
        quantity: what `rescaled` changes.
        test_factors: angles to test at, in degrees.

    Raises:
        ValueError: an argument is out of range.
    """

    quantity = "angle"
    test_factors = ANGLES

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        counts: dict[Stage, int],
        seed: int = 0,
        size: int = SIDE,
        angles: Range = (0.0, 360.0),
        train_angles: Range | None = None,
        scales: Range | None = None,
        train_scales: Range | None = None,
    ) -> None:
        super().__init__(images, labels, counts, seed, size)
        self.angles = self.draw("angles", angles, train_angles, -360, 360)
        self.factors = self.draw("scales", (1, 1) if scales is None else scales, train_scales, 0.1, 1)

    def split(self, stage: Stage) -> Images:
        """Gives the images of a stage."""
        return self._turned(stage, self.angles[stage])

    def rescaled(self, stage: Stage, factor: float) -> Images:
        """Gives the images of a stage, all turned by one angle in degrees, each of its own size.

        Raises:
            ValueError: the angle is not from -360° to 360°.
        """
        self.check_factor(factor)
        return self._turned(stage, np.full(len(self.rows[stage]), factor))

    def check_factor(self, factor: float) -> None:
        """Raises ValueError unless an angle is from -360° to 360°."""
        check_angle(factor)

    def _turned(self, stage: Stage, angles: np.ndarray) -> Images:
        rows = self.rows[stage]
        drawn = zip(self.images[rows], angles, self.factors[stage], strict=True)
        images = [shrink(rotate(image, angle), factor) for image, angle, factor in drawn]
        if self.size > SIDE:
            images = [resize(image, (self.size, self.size)) for image in images]
        return Images(np.stack(images), self.labels[rows])


class MNISTRotated(TurnedDigits):
    """Rotated MNIST: 10,000 training, 2,000 validation and 50,000 test images of MNIST's 70,000, each at its own angle.

    H. Larochelle et al., An Empirical Evaluation of Deep Architectures on Problems with Many Factors of Variation,
    ICML 2007; made anew of MNIST's images, with Pillow's bicubic interpolation.

    Args:
        root: see `mnist`.
        **options: see `TurnedDigits`.
    """

    def __init__(self, root: Path | str, **options: Any) -> None:
        super().__init__(*mnist(root), **options)


class DigitsRotated(TurnedDigits):
    """scikit-learn's digits, treated like rotated MNIST; no download.

    Args:
        **options: see `TurnedDigits`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(*small_digits(), **options)
