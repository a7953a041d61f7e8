"""What is made of the files of a set once, and kept in a cache."""

import gzip
import hashlib
import logging
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rich.filesize import decimal

from experiments.data.image.mask import field_of_view
from experiments.data.image.read import read_image
from experiments.data.sound.cache import lock

log = logging.getLogger(__name__)


def made_once(source: Path, what: str, cache_dir: Path | str, make: Callable[[Path], None]) -> Path:
    """Return a folder of files that are made of a file, whole or not at all, when they are first needed.

    Args:
        source: The file. If it changes, they are made again.
        what: What is made, for the name of the folder.
        cache_dir: Folder of all that is made.
        make: Writes the files into an empty folder.
    """
    stat, cache_dir = source.stat(), Path(cache_dir).expanduser()
    key = hashlib.sha256(repr((str(source.absolute()), stat.st_size, stat.st_mtime_ns)).encode()).hexdigest()[:16]
    folder = cache_dir / f"{source.stem}-{what}-{key}"
    if not folder.is_dir():
        cache_dir.mkdir(parents=True, exist_ok=True)
        with lock(cache_dir / f"{source.stem}-{what}.lock"):
            unfinished = folder.with_name(f"{folder.name}.partial")
            if not folder.is_dir():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(folder)
    return folder


def unzipped(archive: Path, cache_dir: Path | str) -> Path:
    """Return the folder of what is in a zip archive.

    Raises:
        OSError: If there is not enough room.
        ValueError: If the archive is damaged.
    """

    def unzip(folder: Path) -> None:
        try:
            with zipfile.ZipFile(archive) as opened:
                needed, free = sum(file.file_size for file in opened.infolist()), shutil.disk_usage(folder).free
                log.info("unpacking %s into %s: %s of %s", archive, cache_dir, decimal(needed), decimal(free))
                if needed > free:
                    raise OSError(
                        f"{archive} needs {decimal(needed)} unpacked, but {decimal(free)} are free in {cache_dir}; "
                        "choose another place with data.cache_dir=…"
                    )
                opened.extractall(folder)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{archive} cannot be unpacked ({error}); download it again") from error

    return made_once(archive, "unpacked", cache_dir, unzip)


def gunzipped(file: Path, cache_dir: Path | str) -> Path:
    """Return a file itself, or what is in a ``.gz`` file.

    Raises:
        ValueError: If the file is damaged.
    """
    if file.suffix != ".gz":
        return file

    def gunzip(folder: Path) -> None:
        try:
            (folder / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{file} cannot be unpacked ({error}); download it again") from error

    return made_once(file, "unpacked", cache_dir, gunzip) / file.stem


def retina(image: Path, cache_dir: Path | str) -> Path:
    """Return the mask of the field of view of a retinal image, found in the image."""

    def find(folder: Path) -> None:
        write_png(folder / "fov.png", 255 * field_of_view(read_image(image, 3)).numpy().astype(np.uint8))

    return made_once(image, "fov", cache_dir, find) / "fov.png"


def write_png(file: Path, values: np.ndarray) -> None:
    """Write an image (H, W) of 8 or 16 bits."""
    Image.fromarray(values).save(file)
