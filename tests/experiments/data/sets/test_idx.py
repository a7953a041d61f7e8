"""The idx files of MNIST, packed or not, missing or broken."""

import struct
from pathlib import Path

import numpy as np
import pytest

from experiments.data.sets.idx import read_idx
from experiments.data.sets.scaled_digits import MNISTScale
from tests.experiments.data.sets.idx_files import write_idx


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_packed_or_not(tmp_path: Path, suffix: str) -> None:
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    write_idx(tmp_path / f"name{suffix}", array)
    assert np.array_equal(read_idx(tmp_path, "name"), array)


def test_a_missing_file_says_where_it_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\[.gz\] not found.*download them from http"):
        MNISTScale(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x08", b"no idx file at all", struct.pack(">HBBI", 0, 8, 1, 9)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    file = tmp_path / f"name{suffix}"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} is damaged .*download it again"):
        read_idx(tmp_path, "name")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("train-labels-idx1-ubyte", (60_001,)),  # would shift the labels of all that follow
        ("t10k-labels-idx1-ubyte", (9_999,)),
        ("t10k-images-idx3-ubyte", (60_000, 28, 28)),
        ("train-images-idx3-ubyte", (60_000, 28, 27)),
    ],
)
def test_images_and_labels_that_are_not_as_many(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    for part, count in ("train", 60_000), ("t10k", 10_000):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((count, 28, 28), np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.zeros(count, np.uint8))
    write_idx(tmp_path / name, np.zeros(shape, np.uint8))
    with pytest.raises(
        ValueError, match=rf"{name.split('-')[0]}-labels-idx1-ubyte in .* hold images .* not .* of each"
    ):
        MNISTScale(tmp_path)
