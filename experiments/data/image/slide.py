"""Images that are larger than memory, such as TIFF pyramids and slides, read piece by piece."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
from tifffile import TiffFile
from torch import Tensor

from experiments.data.image.decode import (
    Pixels,
    has_page_per_channel,
    is_plain,
    is_tiff,
    key,
    named,
    orientation_of,
    page_number,
    tiff_pages,
    tiff_pixels,
)
from experiments.data.image.pieces import Pieces, kept_tags, microns_per_pixel
from experiments.data.image.read import SLIDES, Range, normalized, read_image
from experiments.data.image.write import Tags

Size = tuple[int, int]
Region = Callable[[slice, slice], Tensor]  # rows, columns -> (C, h, w)


class LargeImage:
    """An image that is sliced like an array (C, H, W) of float32 within [0, 1], and read only where it is sliced.

    Args:
        region: Function that reads rows and columns.
        channels: Number of channels.
        size: Height and width.
        mpp: Microns per pixel, if they are known.
        tags: Tags of its TIFF that state its resolution and its place, for ``write_map``.
        levels: Smaller versions of it, if it is a pyramid.
        close: Function that closes its file.

    Attributes:
        levels: The image itself, and its smaller versions.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(
        self,
        region: Region,
        channels: int,
        size: Size,
        mpp: float | None = None,
        tags: Tags = (),
        levels: "Sequence[LargeImage]" = (),
        close: Callable[[], None] | None = None,
    ) -> None:
        self.region, self.shape, self.mpp, self.tags = region, (channels, *size), mpp, tags
        self.levels, self._close = (self, *levels), close

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read a part of the image: ``image[:, 0:512, 512:1024]``.

        Raises:
            ValueError: If rows or columns are not slices of step 1.
        """
        channels, *spans = key if isinstance(key, tuple) else (key,)
        spans += [slice(None)] * (2 - len(spans))
        if len(spans) > 2 or any(not isinstance(span, slice) or span.step not in (None, 1) for span in spans):
            raise ValueError(f"large images are cut like image[:, 0:512, 512:1024], not by {key}")
        rows, columns = (slice(*span.indices(n)) for span, n in zip(spans, self.shape[1:], strict=True))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise ValueError(f"{key} is empty in a large image of the shape {self.shape}")
        return self.region(rows, columns).numpy()[channels]

    def close(self) -> None:
        """Close the file."""
        if self._close:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_large(file: Path, channels: int = 3, background: float = 255, range: Range | None = None) -> LargeImage:
    """Open an image of any size, to be read piece by piece.

    TIFF is read by its tiles and strips, or through a memory map, and so is each level of a pyramid. Slides in the
    formats of scanners are read by OpenSlide. Images in other formats are read into memory.

    Args:
        file: The file.
        channels: Number of channels.
        background: Colour behind transparent pixels, from 0 to 255.
        range: Values that become 0 and 1; see ``read_image``.

    Raises:
        ImportError: If the file needs OpenSlide, and it is not installed.
        ValueError: If the file cannot be decoded.
    """
    file = Path(file)
    convert = partial(normalized, file=file, channels=channels, background=background, range=range)
    if _needs_openslide(file):
        return _open_slide(file, channels, convert)
    mpp: float | None = None
    tags: Tags = ()
    if is_tiff(file):
        with ExitStack() as opened, named(file):
            tiff = opened.enter_context(TiffFile(file))
            page = key(tiff_pages(tiff)[0])
            mpp, tags = microns_per_pixel(tiff, page), kept_tags(page)
            if is_plain(page) and orientation_of(page) == 1:
                large = _open_tiff(tiff, file, channels, convert, mpp, tags)
                opened.pop_all()  # the image closes the file
                return large
    x = read_image(file, channels, background, range=range)
    return LargeImage(lambda rows, columns: x[:, rows, columns], channels, (x.shape[1], x.shape[2]), mpp, tags)


def _open_tiff(
    tiff: TiffFile, file: Path, channels: int, convert: Callable[[Pixels], Tensor], mpp: float | None, tags: Tags
) -> LargeImage:
    series = tiff.series[0]
    stacked = has_page_per_channel(series, channels)
    if not stacked:
        page_number(file, None, len(tiff_pages(tiff)))  # warns of other pages

    def level(number: int) -> tuple[Region, Size]:
        one = series.levels[number]
        pages = [page for page in one.pages if page is not None][: None if stacked else 1]
        pieces = [Pieces(page) for page in pages]

        def region(rows: slice, columns: slice) -> Tensor:
            with named(file):
                values = np.concatenate([piece(rows, columns) for piece in pieces], -1)
            return convert(tiff_pixels(key(pages[0]), values))

        return region, (pieces[0].height, pieces[0].width)

    (region, size), *rest = (level(number) for number in range(len(series.levels)))
    smaller = [LargeImage(part, channels, one, mpp and mpp * size[1] / one[1]) for part, one in rest]
    return LargeImage(region, channels, size, mpp, tags, smaller, tiff.close)


def _needs_openslide(file: Path) -> bool:
    """Return whether a file is a slide in the format of a scanner, other than the TIFF that tifffile reads as well."""
    if file.suffix.lower() in SLIDES:
        if find_spec("openslide") is None:
            raise ImportError(f"{file} is a slide that OpenSlide reads; run pip install 'wavenets[slides]'")
        return True
    if find_spec("openslide") is None:
        return False
    import openslide

    return openslide.OpenSlide.detect_format(file) not in (None, "generic-tiff")


def _open_slide(file: Path, channels: int, convert: Callable[[Pixels], Tensor]) -> LargeImage:
    import openslide

    with named(file):
        slide = openslide.OpenSlide(file)
    mpp = float(slide.properties.get(openslide.PROPERTY_NAME_MPP_X, 0)) or None

    def level(number: int) -> tuple[Region, Size]:
        factor, (width, height) = slide.level_downsamples[number], slide.level_dimensions[number]

        def region(rows: slice, columns: slice) -> Tensor:
            corner = round(columns.start * factor), round(rows.start * factor)
            with named(file):
                piece = slide.read_region(corner, number, (columns.stop - columns.start, rows.stop - rows.start))
            return convert(Pixels(np.asarray(piece), 8, alpha=True))

        return region, (height, width)

    (region, size), *rest = (level(number) for number in range(slide.level_count))
    smaller = [LargeImage(part, channels, one, mpp and mpp * size[1] / one[1]) for part, one in rest]
    return LargeImage(region, channels, size, mpp, (), smaller, slide.close)
