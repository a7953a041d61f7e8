"""Pieces of the pages of a TIFF: through a memory map, or by the tiles and strips that a piece touches."""

import re
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from tifffile import TiffFile

from experiments.data.image.decode import Page, check_whole, key
from experiments.data.image.write import GEOTIFF, RESOLUTION, Tags

CACHE = 2**28  # bytes of decoded tiles and strips that are kept
COARSEST = 25.0  # microns per pixel; what is coarser is the resolution of a printer or a screen
MICRONS = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "\\u00B5m": 1.0, "mm": 1e3}
MICRONS_OF_UNIT = {2: 25_400.0, 3: 10_000.0}  # inch and centimetre, in the numbers of the tag


class Pieces:
    """The pixels of a page, read piece by piece: ``pieces(rows, columns)`` is an array (h, w, C).

    Args:
        page: The page of a TIFF that stays open.

    Raises:
        ValueError: If the file is truncated.
    """

    def __init__(self, page: Page) -> None:
        check_whole(page)
        self.page, self.key = page, key(page)
        self.dtype = np.dtype(self.key.dtype)
        self.height, self.width = self.key.imagelength, self.key.imagewidth
        self.separate = self.key.axes == "SYX"  # one plane for each channel
        self.channels = self.key.samplesperpixel
        # Height and width of a tile, or of a strip
        tiled = self.key.is_tiled
        self.tall = self.key.tilelength if tiled else min(self.key.rowsperstrip, self.height)
        self.wide = self.key.tilewidth if tiled else self.width
        self.mapped = self._mapped() if page.is_memmappable and not tiled else None
        size = self.tall * self.wide * self.channels * self.dtype.itemsize
        self._segment = lru_cache(max(1, CACHE // size))(self._decoded)

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a piece (h, w, C)."""
        if self.mapped is not None:
            return np.asarray(self.mapped[rows, columns])
        shape = rows.stop - rows.start, columns.stop - columns.start, self.channels
        piece = np.full(shape, self.key.nodata, self.dtype)
        down, across = ceil(self.height / self.tall), ceil(self.width / self.wide)
        for plane in range(self.channels if self.separate else 1):
            channels = slice(plane, plane + 1) if self.separate else slice(None)
            for row in range(rows.start // self.tall, ceil(rows.stop / self.tall)):
                for column in range(columns.start // self.wide, ceil(columns.stop / self.wide)):
                    segment = self._segment((plane * down + row) * across + column)
                    if segment is not None:  # a sparse file leaves out what is empty
                        y, x = row * self.tall - rows.start, column * self.wide - columns.start
                        cut = segment[max(-y, 0) : shape[0] - y, max(-x, 0) : shape[1] - x]
                        top, left = max(y, 0), max(x, 0)
                        piece[top : top + len(cut), left : left + cut.shape[1], channels] = cut
        return piece

    def _mapped(self) -> np.ndarray:
        file = self.key.parent.filehandle
        dtype = self.dtype.newbyteorder(self.key.parent.byteorder)
        pixels = np.memmap(file.path, dtype, "r", self.page.dataoffsets[0], self.key.shape)
        return np.moveaxis(pixels, 0, -1) if self.separate else pixels.reshape(self.height, self.width, -1)

    def _decoded(self, index: int) -> np.ndarray | None:
        """Decode a tile or a strip; ``None`` if the file leaves it out."""
        count, file = self.page.databytecounts[index], self.key.parent.filehandle
        if not count:
            return None
        file.seek(self.page.dataoffsets[index])
        tables: dict[str, Any] = {"jpegtables": self.page.jpegtables} if self.page.jpegtables else {}
        segment, (_, _, y, x, _), _ = self.key.decode(file.read(count), index, **tables)
        return None if segment is None else segment[0, : self.height - y, : self.width - x]


def microns_per_pixel(tiff: TiffFile, page: Page) -> float | None:
    """Return the microns per pixel of a TIFF as OME, Aperio, ImageJ or its resolution state them, if any does."""
    if tiff.ome_metadata and (size := re.search(r'PhysicalSizeX="([^"]+)"', tiff.ome_metadata)):
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', tiff.ome_metadata)
        scale = MICRONS.get(unit[1] if unit else "µm")
        return float(size[1]) * scale if scale else None
    if tiff.is_svs and (size := re.search(r"\bMPP\s*=\s*([\d.]+)", key(page).description)):
        return float(size[1])
    tags = key(page).tags
    numerator, denominator = tags.valueof(282, default=(0, 1))
    unit_length = MICRONS_OF_UNIT.get(tags.valueof(296, default=2))
    if tiff.imagej_metadata:
        unit_length = MICRONS.get(tiff.imagej_metadata.get("unit", ""))
    if not (numerator and denominator and unit_length):
        return None
    microns = unit_length * denominator / numerator
    return microns if microns <= COARSEST else None


def kept_tags(page: Page) -> Tags:
    """Return the tags of a page that a map of it keeps: its resolution, and its place as GeoTIFF has it."""
    tags = key(page).tags
    return [(tag.code, int(tag.dtype), tag.count, tag.value) for tag in tags if tag.code in (*RESOLUTION, *GEOTIFF)]
