"""The idx files in which MNIST is downloaded."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

PARTS = {"train": 60_000, "t10k": 10_000}  # and their numbers of images


def read_mnist(root: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the images and the labels of a part of MNIST.

    Args:
        root: Folder of the files, or of torchvision's MNIST/raw.
        part: ``"train"`` or ``"t10k"``.

    Returns:
        uint8 arrays (N, 28, 28) and (N,).

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or is not the one that its name says.
    """
    images, labels = (read_idx(root, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    count = PARTS[part]
    if images.shape != (count, 28, 28) or labels.shape != (count,):
        raise ValueError(
            f"{part}-images-idx3-ubyte and {part}-labels-idx1-ubyte in {root} hold images {images.shape} and labels "
            f"{labels.shape}, not {count:,} of each; download them again"
        )
    return images, labels


def read_idx(root: Path, name: str) -> np.ndarray:
    """Read one file of MNIST.

    Args:
        root: Folder of the file, or of torchvision's MNIST/raw.
        name: Its name, such as train-images-idx3-ubyte.

    Returns:
        uint8 array, of the shape that the head of the file states.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is not an idx file of bytes, or is truncated.
    """
    files = [folder / f"{name}{suffix}" for folder in (root, root / "MNIST" / "raw") for suffix in ("", ".gz")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"{files[0]}[.gz] not found, nor in MNIST/raw below: data.root must hold MNIST's four idx files; "
            "download them from https://ossci-datasets.s3.amazonaws.com/mnist/"
        )
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        zeros, kind, ndim = struct.unpack(">HBB", content[:4])
        if (zeros, kind) != (0, 8):
            raise ValueError("not an idx file of bytes")
        shape = struct.unpack(f">{ndim}I", content[4 : 4 + 4 * ndim])
        return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)
    except (EOFError, OSError, ValueError, struct.error, zlib.error) as error:
        raise ValueError(f"{file} is damaged ({error}); download it again") from error
