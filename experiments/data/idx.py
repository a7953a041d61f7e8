"""The idx files in which MNIST is downloaded."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np


def read_idx(root: Path, name: str) -> np.ndarray:
    """Reads one file of MNIST.

    Args:
        root: folder of the file, or of torchvision's MNIST/raw.
        name: its name, such as train-images-idx3-ubyte.

    Returns:
        uint8 array, of the shape that the file's head says.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is not an idx file of bytes, or is not whole.
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
        raise ValueError(f"{file} is no good ({error}); download it again") from error
