"""Image files as tensors within [0, 1], whatever their format, their colours and their number of bits."""

from functools import cache
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image
from torch import Tensor

from experiments.data.image.decode import (
    Pixels,
    decode,
    is_tiff,
    named,
    orientation_of,
    page_size,
    tiff_pages,
    warn_once,
)

Range = tuple[float, float]
SLIDES = {".mrxs", ".svslide", ".vms", ".vmu"}  # which OpenSlide alone reads
UNDECODABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # formats that Pillow recognises and does not decode
LUMA = 0.299, 0.587, 0.114  # grey from red, green and blue (ITU-R BT.601), as in Pillow


def read_image(
    file: Path, channels: int, background: float = 255, page: int | None = None, range: Range | None = None
) -> Tensor:
    """Read an image file, upright as its EXIF data have it, with transparent pixels on a background.

    Args:
        file: An image in a format of Pillow or tifffile.
        channels: Number of channels. Grey images become colour images of three channels, and the other way round.
        background: Colour behind transparent pixels, from 0 (black) to 255 (white).
        page: Number of the page of a stack or of the frame of an animation. If ``None``, it is the first, with a
            warning if there are others.
        range: Values that become 0 and 1; values beyond are clipped. If ``None``, the type of the values decides: 0 and
            255, 0 and 65,535, or 0.0 and 1.0.

    Returns:
        Image (channels, H, W), float32 within [0, 1].

    Raises:
        ValueError: If the file cannot be decoded, if its values do not fit into the range of their type, or if its
            channels are not those wanted. The message names the file and the remedy.
    """
    file = Path(file)
    if file.suffix.lower() in SLIDES:
        raise ValueError(f"{file} is a slide; export regions of it as TIFF")
    pixels = decode(file, page, channels)
    try:
        x = normalized(pixels, file, channels, background, range)
    except MemoryError as error:
        raise ValueError(f"{file} does not fit into memory; cut it into smaller images") from error
    if range is None and pixels.bits == 16 and pixels.values.dtype.kind in "iu" and (highest := pixels.values.max()):
        if highest < 256:
            warn_once("has 16 bits and no value above 255; data.range=[0,255] reads it as an image of 8 bits", file)
        elif highest < 4096:
            warn_once("has 16 bits and no value above 4095; if its camera has 12 bits, set data.range=[0,4095]", file)
    return x


def image_size(file: Path) -> tuple[int, int]:
    """Return height and width of an image, upright as its EXIF data have it, without decoding it.

    Raises:
        ValueError: If the file is not an image.
    """
    with named(file):
        if is_tiff(file):
            with tifffile.TiffFile(file) as tiff:
                page = tiff_pages(tiff)[0]
                (height, width), orientation = page_size(page), orientation_of(page)
        else:
            with Image.open(file) as image:
                width, height = image.size
                orientation = image.getexif().get(274, 1)
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def is_image(path: Path) -> bool:
    """Return whether a file is an image, by the end of its name.

    Example:
        >>> [is_image(Path(name)) for name in ("a.JPG", "b.ome.tif", "c.svs", "d.wav")]
        [True, True, True, False]
    """
    return path.suffix.lower() in _suffixes()


@cache
def _suffixes() -> set[str]:
    known = Image.registered_extensions()  # loads the formats
    pillow = {suffix for suffix, name in known.items() if name in Image.OPEN and name not in UNDECODABLE}
    return pillow | SLIDES | {f".{suffix.split('.')[-1]}" for suffix in tifffile.TIFF.FILE_EXTENSIONS}


def normalized(
    pixels: Pixels, file: Path, channels: int, background: float = 255, range: Range | None = None
) -> Tensor:
    """Return pixels as a tensor (channels, H, W) within [0, 1]; see ``read_image``."""
    colours, opacity = pixels.values, None
    if pixels.alpha:
        colours, opacity = np.split(pixels.values, [-1], axis=-1)
    x = _unit(colours, pixels.bits, file, range)
    if pixels.inverted:
        x = 1 - x
    if opacity is not None:
        alpha = _unit(opacity, pixels.bits, file)
        x = (x if pixels.premultiplied else x * alpha) + background / 255 * (1 - alpha)
    if channels == 1 and len(x) == 3:
        x = torch.einsum("chw,c->hw", x, torch.tensor(LUMA))[None].clamp(0, 1)
    elif channels == 3 and len(x) == 1:
        x = x.repeat(3, 1, 1)
    if len(x) != channels:
        raise ValueError(f"{file} has {len(x)} channels instead of {channels}; data.channels={len(x)} keeps them all")
    return x.contiguous()


def _unit(values: np.ndarray, bits: int, file: Path, range: Range | None = None) -> Tensor:
    """Return values (H, W, C) as a tensor (C, H, W) within [0, 1]."""
    if range is None:
        _check_values(values, file)
        low, high = (0.0, 1.0) if values.dtype.kind in "bf" else (0.0, 2.0**bits - 1)
    else:
        low, high = range
        if not low < high:
            raise ValueError(f"data.range=[{low:g},{high:g}] is not a range; the first number has to be the lower one")
    exact = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    x = torch.from_numpy(exact).movedim(-1, 0)
    x = ((x - low) / (high - low)).clamp(0, 1).float()
    if x.isnan().any():
        raise ValueError(f"{file} has pixels that are not numbers (NaN); replace them")
    return x


def _check_values(values: np.ndarray, file: Path) -> None:
    """Check that values can be put into [0, 1] by their type."""
    low, high = values.min(), values.max()
    if np.isinf([low, high]).any():
        raise ValueError(
            f"{file} has infinite values; replace them, or set data.range=[LOWEST,HIGHEST], which clips them"
        )
    if low < 0 or high > (1 if values.dtype.kind in "bf" else 65_535):
        raise ValueError(
            f"{file} has values from {low} to {high}; data.range=[{low},{high}] maps them to black and white"
        )
