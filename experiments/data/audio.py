"""Audio sets in folds: a table of clips, split by the folds of its metadata and read from the cache."""

import logging
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.cache import build_cache
from experiments.data.playback import Played
from experiments.data.source import Stage

log = logging.getLogger(__name__)


class Metadata(NamedTuple):
    """What a set's CSV says, column by column, one entry per clip."""

    path: Iterable[Path]
    fold: Iterable[int]
    target: Iterable[int]
    name: Iterable[str]


def read_csv(csv: Path, columns: Sequence[str], home: str) -> pd.DataFrame:
    """Reads the CSV of a set.

    Args:
        csv: the file.
        columns: the columns that are needed.
        home: where the set is downloaded, for the error messages.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a CSV, lacks a column, or has an empty field in one.
    """
    if not csv.is_file():
        raise FileNotFoundError(
            f"{csv} not found: data.root must be the unpacked download, which holds "
            f"{csv.parent.name}/{csv.name} and audio/; download it from {home}"
        )
    try:
        table = pd.read_csv(csv)
    except ValueError as error:
        raise ValueError(f"{csv} is not a readable CSV ({error}); download it again from {home}") from error
    if missing := [column for column in columns if column not in table]:
        raise ValueError(
            f"{csv} lacks the column {', '.join(missing)} (it has {', '.join(map(str, table))}); "
            f"download it again from {home}"
        )
    if (empty := table[list(columns)].isna().any(axis=1)).any():
        raise ValueError(f"{csv} has an empty field in line {int(empty.argmax()) + 2}; download it again from {home}")
    return table


def split_folds(folds: Iterable[int], test_fold: int, val_fold: int | None = None) -> dict[Stage, list[int]]:
    """Shares out the folds of a set: one to test on, another to validate on, the rest to train on.

    Args:
        folds: the folds of the set; repetitions do not matter.
        test_fold: the fold to test on.
        val_fold: the fold to validate on; None is the one after `test_fold`, in a circle.

    Returns:
        The folds of each stage.

    Raises:
        ValueError: a fold is not in the set, the two are the same, or none is left to train on.

    >>> split_folds([1, 2, 3, 4], test_fold=4)
    {'train': [2, 3], 'val': [1], 'test': [4]}
    """
    names = sorted(set(folds))
    for argument, fold in ("test_fold", test_fold), ("val_fold", val_fold):
        if fold is not None and fold not in names:
            raise ValueError(f"data.{argument}={fold} is not a fold of this set; choose one of {names}")
    if val_fold is None:
        val_fold = names[(names.index(test_fold) + 1) % len(names)]
    train = [fold for fold in names if fold not in (test_fold, val_fold)]
    if test_fold == val_fold:
        raise ValueError(f"data.test_fold and data.val_fold are both {test_fold}; choose two different folds")
    if not train:
        raise ValueError(f"a set with the folds {names} leaves none to train on; it needs at least three")
    return {"train": train, "val": [val_fold], "test": [test_fold]}


class Clips(Dataset[tuple[Tensor, int]]):
    """Clips of a cache: item i is (waveform (1, num_samples) float32 within [-1, 1], label).

    Args:
        file: int16 file of the cache.
        num_samples: length of a clip, in samples.
        rows: the rows of the file that belong to this dataset.
        labels: their labels.
    """

    def __init__(self, file: Path, num_samples: int, rows: np.ndarray, labels: np.ndarray) -> None:
        self.file, self.num_samples, self.rows, self.labels = file, num_samples, rows, labels

    @cached_property
    def _memory(self) -> np.ndarray:
        return np.memmap(self.file, np.int16, "r").reshape(-1, self.num_samples)

    def __getstate__(self) -> dict[str, Any]:
        # Every process maps the file itself; a pickled map would be a copy of all its clips.
        return {name: value for name, value in vars(self).items() if name != "_memory"}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        clip = self._memory[self.rows[item]].astype(np.float32)
        return torch.from_numpy(clip / 32768)[None], int(self.labels[item])


class AudioFolds:
    """A set of labelled clips in folds. A set is a subclass that says how its metadata are read.

    Making one reads the metadata and looks for the files; the first `split` decodes them into the cache.

    Args:
        root: folder of the set.
        test_fold: the fold to test on.
        val_fold: the fold to validate on; None is the one after `test_fold`, in a circle.
        sample_rate: rate of the clips, in Hz.
        duration: length of the clips, in seconds; files are centre-cropped or zero-padded to it.
        cache_dir: folder of the decoded clips.
        on_bad_file: "raise" an error if a file is missing or bad, or "skip" it with a warning.
        num_workers: number of decoding processes; None is one per core.
        trim: silence at both ends is cut off, what is this many decibels below the loudest moment; None: nothing.
        fit_rescaled: cut or zero-pad rescaled clips to the length of the others, for comparison with older results.

    Attributes:
        classes: class names; the index is the label.
        folds: the folds of "train", "val" and "test".
        num_samples: length of a clip, in samples.
        quantity: what `rescaled` changes.
        test_factors: playback speeds to test at.

    Raises:
        FileNotFoundError: `root` does not hold the set, or a file of its metadata is missing.
        ValueError: the metadata are broken, or an argument is out of range.
    """

    quantity = "playback speed"
    test_factors = 0.5, 0.71, 1, 1.41, 2

    def __init__(
        self,
        root: Path | str,
        test_fold: int = 1,
        val_fold: int | None = None,
        sample_rate: int = 22050,
        duration: float = 4.0,
        cache_dir: Path | str = "runs/cache",
        on_bad_file: str = "raise",
        num_workers: int | None = None,
        trim: float | None = None,
        fit_rescaled: bool = False,
    ) -> None:
        self.sample_rate, self.num_samples = sample_rate, round(duration * sample_rate)
        self.cache_dir, self.on_bad_file, self.num_workers = Path(cache_dir), on_bad_file, num_workers or os.cpu_count()
        self.trim, self.fit_rescaled = trim, fit_rescaled
        if on_bad_file not in ("raise", "skip"):
            raise ValueError(f"data.on_bad_file={on_bad_file} is unknown; choose raise or skip")
        if trim is not None and not trim > 0:
            raise ValueError(f"data.trim={trim} is not a number of decibels above 0; null trims nothing")
        if self.num_samples < 1:
            raise ValueError(f"data.duration={duration} s at data.sample_rate={sample_rate} Hz is less than one sample")
        table = pd.DataFrame(self.read(Path(root))._asdict())
        self.folds = split_folds(table["fold"], test_fold, val_fold)
        self.classes: list[str] = table.sort_values("target")["name"].unique().tolist()
        table["label"] = table["name"].map(self.classes.index)
        self._table = self._existing(table)

    def read(self, root: Path) -> Metadata:
        """Reads the set's metadata; every set has its own way."""
        raise NotImplementedError

    def split(self, stage: Stage) -> Clips:
        """Gives the clips of a stage, decoding the set first if the cache does not hold it.

        Raises:
            AudioError: a file is bad, and on_bad_file is "raise".
            ValueError: no clip of this stage is left.
        """
        file, table = self._decoded
        rows = table["fold"].isin(self.folds[stage]).to_numpy().nonzero()[0]
        if len(rows) == 0:
            raise ValueError(f"no usable clip in fold {self.folds[stage]} ({stage}); choose another or mend the set")
        return Clips(file, self.num_samples, rows, table["label"].to_numpy()[rows])

    def rescaled(self, stage: Stage, factor: float) -> Played:
        """Gives the clips of a stage at another playback speed; 2 is twice as fast.

        Raises:
            ValueError: the factor is not from 1/4 to 4.
        """
        self.check_factor(factor)
        return Played(self.split(stage), factor, self.fit_rescaled)

    def check_factor(self, factor: float) -> None:
        """Raises ValueError unless a playback speed is from 1/4 to 4."""
        if not 0.25 <= factor <= 4:
            raise ValueError(f"rescale={factor:g} is out of range; choose speeds from 0.25 (slow) to 4 (fast)")

    def files(self, stage: Stage) -> list[Path]:
        """Gives the files of a stage, in the order of the items of `split`."""
        table = self._decoded[1]
        return list(table["path"][table["fold"].isin(self.folds[stage])])

    @cached_property
    def _decoded(self) -> tuple[Path, pd.DataFrame]:
        """The cache's file, and the table of the clips in it, row by row."""
        paths = list(self._table["path"])
        skip = self.on_bad_file == "skip"
        workers = self.num_workers or 1
        file, bad = build_cache(paths, self.sample_rate, self.num_samples, self.cache_dir, skip, workers, self.trim)
        _warn([f"{paths[clip]} {problem}" for clip, problem in bad.items()], len(paths))
        return file, self._table.drop(index=list(bad))

    def _existing(self, table: pd.DataFrame) -> pd.DataFrame:
        exists = table["path"].map(Path.is_file)
        missing = list(table["path"][~exists])
        if missing and self.on_bad_file == "raise":
            raise FileNotFoundError(
                f"{missing[0]} is in the metadata but not on disk ({len(missing)} of {len(table)} files are missing); "
                "complete the download, or leave them out with data.on_bad_file=skip"
            )
        _warn([f"{path} is not on disk" for path in missing], len(table))
        return table[exists].reset_index(drop=True)


def _warn(problems: list[str], total: int) -> None:
    if problems:
        log.warning("skipped %d of %d clips:\n  %s", len(problems), total, "\n  ".join(problems))
