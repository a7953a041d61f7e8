"""Images of all sizes, at one height and width."""

from collections.abc import Sequence

from torch import Tensor

from experiments.data.image import geometry

FITS = "resize", "pad", "crop"


def fit_to(x: Tensor, size: tuple[int, int], how: str = "resize", fill: float = 1.0) -> Tensor:
    """Return an image, or a mask, at a height and a width.

    Args:
        x: Image (C, H, W), or mask (H, W).
        size: The height and the width.
        how: "resize": both sides are resized, whatever the proportions. "pad": what is too large shrinks and keeps its
            proportions; the rest is padded. "crop": the middle is taken; what is too small is padded.
        fill: Colour of the padding, from 0 to 1. A mask is ``IGNORED`` there.

    Example:
        >>> import torch
        >>> fit_to(torch.zeros(1, 4, 2), (2, 2), "pad")
        tensor([[[1., 0.],
                 [1., 0.]]])
    """
    return geometry.fit(geometry.resize_to(x, size_before_padding(x.shape[-2:], size, how)), size, fill)


def size_before_padding(old: Sequence[int], new: Sequence[int], how: str) -> tuple[int, int]:
    """Return the height and width to which ``fit_to`` resizes an image, before it pads or crops it.

    Example:
        >>> [size_before_padding((100, 50), (20, 20), how) for how in FITS]
        [(20, 20), (20, 10), (100, 50)]
    """
    if how == "resize":
        return new[0], new[1]
    factor = min(1.0, new[0] / old[0], new[1] / old[1]) if how == "pad" else 1.0
    return max(1, round(old[0] * factor)), max(1, round(old[1] * factor))


def height_and_width(key: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Return the height and the width that a key of the data sets; one number of a crop is both.

    Raises:
        ValueError: The value is something else.
    """
    sides = [value, value] if isinstance(value, int) and key == "crop" else value
    if not isinstance(sides, Sequence) or len(sides) != 2 or not all(isinstance(n, int) and n > 0 for n in sides):
        one = "a number of pixels, or " if key == "crop" else ""
        raise ValueError(f"data.{key}={value} is not {one}a height and a width in pixels, such as data.{key}=[64,64]")
    return sides[0], sides[1]
