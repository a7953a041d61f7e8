"""Maps of large images, written piece by piece to a tiled TIFF."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

Tags = Sequence[tuple[int, int, int, Any]]  # code, type, count, value

RESOLUTION = 282, 283, 296  # across, down, unit
GEOTIFF = 33550, 33922, 34264, 34735, 34736, 34737
TILE = 512, 512


@contextmanager
def write_map(file: Path, shape: Sequence[int], dtype: Any, tags: Tags = ()) -> Iterator[np.ndarray]:
    """Write a tiled, compressed TIFF piece by piece, whole or not at all: an error leaves no file behind.

    Args:
        file: The file to write.
        shape: Shape of the map: (H, W), (C, H, W) for one page per channel, or (H, W, 3) for colours.
        dtype: Type of its values.
        tags: Tags of the image that it belongs to, as ``LargeImage.tags`` has them: its resolution and its place.

    Yields:
        The map: zeros in a memory-mapped array, to be filled.
    """
    file = Path(file)
    raw, partial = file.with_name(f"{file.name}.raw"), file.with_name(f"{file.name}.partial")
    value = {code: value for code, _, _, value in tags}
    try:
        pixels = np.memmap(raw, dtype, "w+", shape=tuple(shape))
        yield pixels
        colours = pixels.ndim == 3 and pixels.shape[2] == 3
        tifffile.imwrite(
            partial,
            _tiles(pixels if pixels.ndim == 3 and not colours else pixels[None]),
            shape=pixels.shape,
            dtype=pixels.dtype,
            photometric="rgb" if colours else "minisblack",
            tile=TILE,
            compression="zlib",
            bigtiff=pixels.nbytes > 2**31,
            resolution=(value[282], value[283]) if {282, 283} <= value.keys() else None,
            resolutionunit=value.get(296),
            extratags=[(*tag, True) for tag in tags if tag[0] in GEOTIFF],
            metadata=None,
        )
        partial.replace(file)
    finally:
        raw.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)


def _tiles(pages: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the tiles of pages (N, H, W) or (N, H, W, 3), page by page and row by row."""
    height, width = TILE
    for page in pages:
        for top in range(0, page.shape[0], height):
            for left in range(0, page.shape[1], width):
                yield page[top : top + height, left : left + width]
