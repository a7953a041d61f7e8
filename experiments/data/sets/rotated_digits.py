"""Digits at random angles: rotated MNIST, the same transformed too, and scikit-learn's digits treated likewise."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.sets.digit_images import Images, Range, resize, rotate, shrink, shrink_aliased
from experiments.data.sets.scaled_digits import SIDE, Digits, mnist, of_protocol, small_digits
from experiments.data.source import Stage
from experiments.data.transformation import TESTED, Rotation


def turn_and_shrink(image: np.ndarray, factor: float, angle: float) -> np.ndarray:
    """Turn an image, and then shrink it, see ``rotate`` and ``shrink``."""
    return shrink(rotate(image, angle), factor)


MOVE = {"smooth": turn_and_shrink, "sesn": shrink_aliased}  # how images are turned and shrunk, by protocol


class TurnedDigits(Digits):
    """Digits turned by random angles and, if ``scales`` is set, shrunk by random factors. A subclass has the images.

    Args:
        images: uint8 images, shape (N, 28, 28).
        labels: Labels, shape (N,).
        counts: Number of images of "train", "val" and "test".
        seed: Seed of the partition into these, of the angles and of the factors.
        size: Side of the images, in pixels. Above 28, images are enlarged after they are turned and shrunk.
        angles: Range of the angles, counterclockwise in degrees, which are uniform in it.
        train_angles: Range for training and validation. ``None``: that of ``angles``. (0, 0) trains on upright digits.
        scales: Range of the factors, which are uniform in it. ``None``: nothing is shrunk.
        train_scales: Range for training and validation. ``None``: that of ``scales``.
        protocol: "smooth" turns digits, and then shrinks them with anti-aliasing; "sesn" turns and shrinks them in one
            step, without it, as published sets of digits at all angles and sizes do.

    Attributes:
        classes: The ten digits.

    Raises:
        ValueError: An argument is out of range.
    """

    transformation = Rotation()
    test_factors = TESTED[Rotation]

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
        protocol: str = "smooth",
    ) -> None:
        super().__init__(images, labels, counts, seed, size)
        self.move = of_protocol(protocol, MOVE)
        self.angles = self.draw("angles", angles, train_angles, -360, 360)
        self.factors = self.draw("scales", (1, 1) if scales is None else scales, train_scales, 0.1, 1)

    def split(self, stage: Stage) -> Images:
        """Return the images of a stage."""
        return self._turned(stage, self.angles[stage])

    def transformed(self, stage: Stage, factor: float) -> Images:
        """Return the images of a stage, all turned by one angle in degrees, each of its own size.

        Raises:
            ValueError: The angle is not from -360° to 360°.
        """
        self.check_factor(factor)
        return self._turned(stage, np.full(len(self.rows[stage]), factor))

    def _turned(self, stage: Stage, angles: np.ndarray) -> Images:
        rows = self.rows[stage]
        drawn = zip(self.images[rows], angles, self.factors[stage], strict=True)
        images = [self.move(image, factor, angle) for image, angle, factor in drawn]
        if self.size > SIDE:
            images = [resize(image, (self.size, self.size)) for image in images]
        return Images(np.stack(images), self.labels[rows])


class MNISTRotated(TurnedDigits):
    """Rotated MNIST: 10,000 training, 2,000 validation and 50,000 test images of MNIST's 70,000, each at its own angle.

    H. Larochelle et al., An Empirical Evaluation of Deep Architectures on Problems with Many Factors of Variation,
    ICML 2007; made here from the images of MNIST, with Pillow's bicubic interpolation.

    Args:
        root: See `mnist`.
        **options: See `TurnedDigits`.
    """

    def __init__(self, root: Path | str, **options: Any) -> None:
        super().__init__(*mnist(root), **options)


class DigitsRotated(TurnedDigits):
    """scikit-learn's digits, treated like rotated MNIST; no download.

    Args:
        **options: See `TurnedDigits`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(*small_digits(), **options)
