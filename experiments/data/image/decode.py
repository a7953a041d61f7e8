"""The pixels of image files as they are stored: TIFF by tifffile, what Pillow would cut to 8 bits by imagecodecs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageCms, ImageOps
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffFrame, TiffPage, TiffPageSeries

log = logging.getLogger(__name__)

Page = TiffPage | TiffFrame
ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
TIFF = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
PLAIN = {PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB}  # values that need no conversion of colours
JPEG = {COMPRESSION.OJPEG, COMPRESSION.JPEG}

_warned: set[str] = set()

Image.MAX_IMAGE_PIXELS = None  # users read their own files: a large image is not an attack


@dataclass
class Pixels:
    """The pixels of an image as a file stores them.

    Args:
        values: Their values (H, W, C). The opacity is the last channel.
        bits: Number of bits of a value; 16 for wider integers.
        alpha: Whether there is an opacity.
        premultiplied: Whether the colours are multiplied by the opacity.
        inverted: Whether 0 is white.
    """

    values: np.ndarray
    bits: int
    alpha: bool = False
    premultiplied: bool = False
    inverted: bool = False


def decode(file: Path, page: int | None = None, channels: int | None = None, indices: bool = False) -> Pixels:
    """Read the pixels of an image file, upright as its EXIF data have it.

    Args:
        file: The file.
        page: Number of the page or frame. If ``None``, it is the first, with a warning if there are others.
        channels: Number of channels wanted. A TIFF that stores so many channels as pages is read as one image.
        indices: Whether the pixels of a palette are the numbers of its colours, and not these colours.

    Raises:
        ValueError: If the file cannot be decoded, or has no such page.
    """
    with named(file):
        if is_tiff(file):
            with TiffFile(file) as tiff:
                first = key(tiff_pages(tiff)[0])
                if is_plain(first):
                    return _decode_tiff(tiff, file, page, channels)
        if _is_deep_png(file):
            with Image.open(file) as image:
                orientation = image.getexif().get(274, 1)
            values = _upright(np.atleast_3d(imagecodecs.png_decode(file.read_bytes())), orientation)
            return Pixels(values, 16, alpha=values.shape[2] in (2, 4))
        with Image.open(file) as image:
            number = page_number(file, page, count_frames(image))
            if number:
                image.seek(number)
            return _decode_pillow(image, indices)


def is_tiff(file: Path) -> bool:
    """Return whether a file is a TIFF, whatever it is called."""
    with file.open("rb") as opened:
        return opened.read(4) in TIFF


def is_plain(page: TiffPage) -> bool:
    """Return whether tifffile reads grey values or RGB from a page; Pillow converts all other kinds of colours."""
    jpeg = page.photometric == PHOTOMETRIC.YCBCR and page.compression in JPEG
    return (page.photometric in PLAIN and page.bitspersample > 1) or jpeg


def tiff_pages(tiff: TiffFile) -> list[Page]:
    """Return the images of a TIFF, without the smaller levels of a pyramid, thumbnails and labels."""
    series = tiff.series[:1] if tiff.series[0].is_pyramidal or tiff.is_svs else tiff.series
    pages = [page for one in series for page in one.pages if page is not None]
    return [page for page in pages if not key(page).is_reduced] or pages[:1]


def has_page_per_channel(series: TiffPageSeries, channels: int) -> bool:
    """Return whether the pages of a series are the channels of one image."""
    return series.axes == "CYX" and series.shape[0] == channels > 1


def key(page: Page) -> TiffPage:
    """Return the page that has the tags of a page: tifffile reads them once for pages that are alike."""
    assert page.keyframe is not None
    return page.keyframe


def page_size(page: Page) -> tuple[int, int]:
    """Return height and width of a page as it is stored."""
    return key(page).imagelength, key(page).imagewidth


def orientation_of(page: Page) -> int:
    """Return the orientation of a page, from 1 (upright) to 8, as in EXIF data."""
    return int(key(page).tags.valueof(274, default=1))


def count_frames(image: Image.Image) -> int:
    """Return the number of frames of an animation or a stack; photos with a preview are one frame."""
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def tiff_pixels(page: TiffPage, values: np.ndarray) -> Pixels:
    """Return values (H, W, C) of a page with what the page says about them."""
    extra = page.extrasamples[-1] if page.extrasamples else 0  # 1: premultiplied opacity, 2: opacity
    if page.extrasamples and page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR) and not extra:
        values = values[..., :3]  # samples without a meaning
    return Pixels(
        values,
        min(page.bitspersample, 16),
        alpha=extra in (1, 2),
        premultiplied=extra == 1,
        inverted=page.photometric == PHOTOMETRIC.MINISWHITE,
    )


def check_whole(page: Page) -> None:
    """Check that all of a page is in its file; tifffile reads black where a file is cut off.

    Raises:
        ValueError: If the file is truncated.
    """
    size = key(page).parent.filehandle.size
    if any(start + count > size for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise ValueError("the file is truncated")


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Name the file that cannot be decoded, in one line.

    Raises:
        ValueError: If anything goes wrong but that the file is missing: decoders raise errors of many kinds.
    """
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except MemoryError as error:
        raise ValueError(f"{file} does not fit into memory; cut it into smaller images") from error
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} cannot be decoded ({reason}); replace it, or leave it out") from error


def warn_once(problem: str, file: Path) -> None:
    """Log a warning for the first file that has a problem: most sets have it in all of their files."""
    if problem not in _warned:
        _warned.add(problem)
        log.warning("%s %s (further files like this are not named)", file, problem)


def _decode_tiff(tiff: TiffFile, file: Path, page: int | None, channels: int | None) -> Pixels:
    pages, series = tiff_pages(tiff), tiff.series[0]
    if page is None and channels and has_page_per_channel(series, channels):
        pages = [one for one in series.pages if one is not None]
        values = np.stack([_page_values(one)[..., 0] for one in pages], -1)
    else:
        pages = pages[page_number(file, page, len(pages)) :]
        values = _page_values(pages[0])
    pixels = tiff_pixels(key(pages[0]), values)
    pixels.values = _upright(pixels.values, orientation_of(pages[0]))
    return pixels


def _page_values(page: Page) -> np.ndarray:
    """Return the values (H, W, C) of a page."""
    check_whole(page)
    values = page.asarray()
    return np.moveaxis(values, 0, -1) if key(page).axes == "SYX" else np.atleast_3d(values)


def _decode_pillow(image: Image.Image, indices: bool) -> Pixels:
    if indices and image.mode == "1" and getattr(image, "tag_v2", {}).get(262) == PHOTOMETRIC.MINISWHITE:
        values = np.asarray(ImageOps.exif_transpose(ImageOps.invert(image.convert("L"))))  # as the file stores them
        return Pixels(np.atleast_3d(values), 8, inverted=True)
    if indices and image.mode == "P":
        image = ImageOps.exif_transpose(image.convert("L") if _is_black_and_white(image) else image)
        return Pixels(np.atleast_3d(np.asarray(image)), 8)
    if image.mode in ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB") or image
    elif image.mode not in ("L", "RGB", "F") and not image.mode.startswith("I"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    image = ImageOps.exif_transpose(image)
    values = np.atleast_3d(np.asarray(image))
    return Pixels(values, 8 if values.dtype == np.uint8 else 16, alpha=image.mode == "RGBA")


def _is_black_and_white(image: Image.Image) -> bool:
    """Return whether a palette has no colours but black and white, and so tells apart the values that occur.

    White is then the larger value, wherever it stands in the palette. Formats fill palettes up with black.
    """
    palette = iter(image.getpalette() or [])
    colours = list(zip(palette, palette, palette, strict=True))
    used = [colours[i] for i in np.unique(np.asarray(image)) if i < len(colours)]
    return set(colours) <= {(0, 0, 0), (255, 255, 255)} and len(set(used)) == len(used)


def _is_deep_png(file: Path) -> bool:
    """Return whether a file is a PNG of 16 bits: Pillow cuts its colours to 8."""
    with file.open("rb") as opened:
        head = opened.read(25)
    return head.startswith(b"\x89PNG") and head[24:] == b"\x10"


def page_number(file: Path, page: int | None, pages: int) -> int:
    """Return the number of the page to read, of so many; without one the first, with a warning if there are others."""
    if page is None and pages > 1:
        warn_once("has several pages or frames, of which the first is read", file)
    if not 0 <= (page or 0) < pages:
        raise ValueError(f"there is no page {page}; the pages are numbered from 0 to {pages - 1}")
    return page or 0


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Return an image (H, W, C) as an orientation of EXIF data wants it."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
