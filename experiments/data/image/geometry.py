"""Images and their masks, moved alike: resized, rotated, sheared, shifted and cropped.

An image is a tensor (C, H, W) of floats, which is interpolated. A mask is a tensor (H, W) of booleans or whole numbers:
the class, plus 256 × the number of the instance. A pixel of a moved mask has the value of the nearest pixel.
Beyond its edges an image is mirrored, or has the value ``fill`` if it is given. A mask is ``IGNORED`` there, or False.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.data.inputs import IGNORED

Matrix = tuple[tuple[float, float], tuple[float, float]]


def resize(x: Tensor, factor: float) -> Tensor:
    """Return an image, or a mask, with both sides multiplied by a factor and rounded.

    Example:
        >>> resize(torch.rand(3, 100, 80), 0.5).shape
        torch.Size([3, 50, 40])
    """
    height, width = (max(1, round(n * factor)) for n in x.shape[-2:])
    return resize_to(x, (height, width))


def resize_to(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return an image within [0, 1] (bicubic, anti-aliased, as by Pillow), or a mask, of another height and width."""
    if size == tuple(x.shape[-2:]):
        return x
    if not is_mask(x):
        return F.interpolate(x[None], size, mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)
    rows, columns = (((torch.arange(n) + 0.5) * old / n).long() for n, old in zip(size, x.shape, strict=True))
    return x[rows[:, None], columns]


def rotate(x: Tensor, degrees: float, fill: float | None = None) -> Tensor:
    """Return an image, or a mask, rotated counterclockwise around its centre.

    Quarter turns are exact and turn the size as well; at other angles the size stays.

    Example:
        >>> rotate(torch.tensor([[1, 2, 3], [4, 5, 6]]), 90)
        tensor([[3, 6],
                [2, 5],
                [1, 4]])
    """
    if degrees % 90 == 0:
        return torch.rot90(x, round(degrees / 90), (-2, -1))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return affine(x, ((cos, sin), (-sin, cos)), fill=fill)


def flip(x: Tensor) -> Tensor:
    """Return an image, or a mask, with left and right exchanged."""
    return x.flip(-1)


def crop(x: Tensor, top: int, left: int, height: int, width: int, fill: float | None = None) -> Tensor:
    """Return a window of an image, or of a mask. It may lie beyond the edges.

    Example:
        >>> crop(torch.tensor([[[1.0, 2.0, 3.0]]]), top=0, left=-2, height=1, width=4)
        tensor([[[2., 1., 1., 2.]]])
    """
    rows, columns = torch.arange(top, top + height), torch.arange(left, left + width)
    inside = [(i >= 0) & (i < n) for i, n in zip((rows, columns), x.shape[-2:], strict=True)]
    if all(part.all() for part in inside):
        return x[..., top : top + height, left : left + width]
    near = [_mirrored(i, n) for i, n in zip((rows, columns), x.shape[-2:], strict=True)]
    return _filled(x[..., near[0][:, None], near[1]], inside[0][:, None] & inside[1], fill)


def fit(x: Tensor, size: tuple[int, int], fill: float | None = None) -> Tensor:
    """Return an image, or a mask, cropped or padded around its centre to a height and a width."""
    top, left = ((old - new) // 2 for old, new in zip(x.shape[-2:], size, strict=True))
    return crop(x, top, left, *size, fill)


def affine(x: Tensor, matrix: Matrix, shift: tuple[float, float] = (0.0, 0.0), fill: float | None = None) -> Tensor:
    """Return an image, or a mask, whose pixel (row, column) comes from matrix · (row, column) + shift.

    Args:
        x: The image or the mask.
        matrix: Matrix from positions in the result to positions in ``x``, both relative to the centre.
        shift: What is added, in rows and columns.
        fill: Value of an image beyond its edges. If ``None``, it is mirrored there.
    """
    height, width = x.shape[-2:]
    centre = (height - 1) / 2, (width - 1) / 2
    row = torch.arange(height, dtype=torch.float64)[:, None] - centre[0]
    column = torch.arange(width, dtype=torch.float64) - centre[1]
    (a, b), (c, d) = matrix
    rows, columns = a * row + b * column + centre[0] + shift[0], c * row + d * column + centre[1] + shift[1]
    if not is_mask(x):
        # In the units of grid_sample an image reaches from -1 to 1.
        grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1).to(x.dtype)
        x = F.grid_sample(x[None], grid[None], "bicubic", "reflection", align_corners=False)[0].clamp(x.min(), x.max())
        if fill is None:
            return x
    rows, columns = rows.round().long(), columns.round().long()
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    if is_mask(x):
        x = x[rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return _filled(x, inside, fill)


def is_mask(x: Tensor) -> bool:
    """Return whether a tensor is a mask (H, W), and not an image (C, H, W)."""
    return x.ndim == 2


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Return the pixels that are seen at positions beyond the edges, such as 1 0 | 0 1 2 | 2 1."""
    index = index % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def _filled(x: Tensor, inside: Tensor, fill: float | None) -> Tensor:
    """Return an image, or a mask, with what lies beyond its edges filled."""
    if is_mask(x):
        return x.where(inside, torch.tensor(False if x.dtype == torch.bool else IGNORED, dtype=x.dtype))
    return x if fill is None else x.where(inside, torch.tensor(fill, dtype=x.dtype))
