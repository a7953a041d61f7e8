"""Waveforms of one length, read from the cache."""

import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.sound.cache import rows
from experiments.data.source import as_target


class Clips(Dataset[tuple[Tensor, Any]]):
    """Clips of a cache: item i is (waveform (1, num_samples) float32 within [-1, 1], target).

    An item of a row whose checksum is not that of the cache raises `ValueError`.

    Args:
        file: The int16 file of the cache.
        num_samples: Length of a clip, in samples.
        rows: The rows of the file that the clips are in.
        labels: Labels (N,), or 0 and 1 for every class (N, num_classes).
        starts: Where in its row each clip begins, in samples. ``None``: where the row begins.
    """

    def __init__(
        self, file: Path, num_samples: int, rows: np.ndarray, labels: np.ndarray, starts: np.ndarray | None = None
    ) -> None:
        self.file, self.num_samples, self.rows, self.labels = file, num_samples, rows, labels
        self.starts = np.zeros(len(rows), int) if starts is None else starts

    @cached_property
    def _memory(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, set[int]]:
        """The file; of every row its checksum and where it begins; and the rows that have been checked."""
        checksums, lengths = np.array(rows(self.file.parent)).T
        return np.memmap(self.file, np.int16, "r"), checksums, np.cumsum([0, *lengths]), set()

    def __getstate__(self) -> dict[str, Any]:
        # Every process maps the file itself; a pickled map would be a copy of all its clips.
        return {name: value for name, value in vars(self).items() if name != "_memory"}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[Tensor, Any]:
        row, label = self.rows[item], self.labels[item]
        samples, checksums, begins, checked = self._memory
        if row not in checked and zlib.crc32(samples[begins[row] : begins[row + 1]].data) != checksums[row]:
            raise ValueError(f"{self.file} is damaged in row {row}; delete the folder; the next run makes it again")
        checked.add(row)  # once in a process: a row may be a long recording, of many clips
        start = begins[row] + self.starts[item]
        clip = samples[start : start + self.num_samples].astype(np.float32)
        return torch.from_numpy(clip / 32768)[None], as_target(label)


def windows(length: int, size: int, hop: int) -> np.ndarray:
    """Return where the windows of a recording begin. They cover it: the last one ends where it ends.

    Args:
        length: Length of the recording, in samples, at least ``size``.
        size: Length of a window, in samples.
        hop: Distance of two windows, in samples; the last two may be closer.

    Example:
        >>> windows(10, 4, 3), windows(11, 4, 3)
        (array([0, 3, 6]), array([0, 3, 6, 7]))
    """
    return np.unique([*range(0, length - size + 1, hop), length - size])


def many_hot(labels: Sequence[Sequence[int]], num_classes: int) -> np.ndarray:
    """Return targets for several labels each: 1 for those that an example has, 0 for the others.

    Example:
        >>> many_hot([[2], [], [0, 2]], 3)
        array([[0., 0., 1.],
               [0., 0., 0.],
               [1., 0., 1.]], dtype=float32)
    """
    targets = np.zeros((len(labels), num_classes), np.float32)
    for row, columns in zip(targets, labels, strict=True):
        row[list(columns)] = 1
    return targets
