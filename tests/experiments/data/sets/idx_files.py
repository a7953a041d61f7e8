"""The files of MNIST, made up."""

import gzip
import struct
from pathlib import Path

import numpy as np


def write_idx(file: Path, array: np.ndarray) -> None:
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


def write_mnist(folder: Path, suffix: str = "", train: int = 60_000, test: int = 10_000) -> None:
    """Write the four files of MNIST, with random images and labels."""
    rng = np.random.default_rng(0)
    for part, count in ("train", train), ("t10k", test):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 10:18, 12:16] = rng.integers(100, 255, (count, 8, 4))
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", rng.integers(0, 10, count).astype(np.uint8))
