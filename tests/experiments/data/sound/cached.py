"""Small caches of decoded sounds."""

from pathlib import Path

import numpy as np

from experiments.data.sound.cache import build_cache
from experiments.data.sound.decode import decode

RATE, LENGTH = 8000, 50


def build(
    paths: list[Path], skip_bad: bool = False, num_workers: int = 1, length: int = LENGTH, trim: float | None = None
) -> tuple[Path, dict[int, str]]:
    return build_cache(paths, RATE, length, paths[0].parent / "cache", skip_bad, num_workers, trim)


def rows(file: Path) -> np.ndarray:
    return np.fromfile(file, np.int16).reshape(-1, LENGTH)


def expected(paths: list[Path]) -> np.ndarray:
    # 16-bit files at the cache's own rate: the very integers come back
    return np.stack([np.rint(decode(path, RATE, LENGTH) * 32768) for path in paths])


def spoil(path: Path) -> None:
    path.write_bytes(b"no audio")
