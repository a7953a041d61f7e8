"""Sets of sounds: a table of recordings with their stages and targets, decoded into the cache."""

import logging
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.data.cache import build_cache, rows
from experiments.data.clips import Clips, windows
from experiments.data.folds import check_metadata, split_folds
from experiments.data.playback import Played
from experiments.data.source import Fold, Stage

log = logging.getLogger(__name__)


class Recordings(NamedTuple):
    """A set's recordings, one entry each.

    Attributes:
        path: The files.
        stage: ``"train"``, ``"val"`` or ``"test"``; others are left out.
        target: Labels (N,), or 0 and 1 for every class (N, num_classes).
    """

    path: Sequence[Path]
    stage: Sequence[str]
    target: np.ndarray


class AudioSet:
    """A set of labelled recordings. Making one looks for the files; the first `split` decodes them into the cache.

    Args:
        recordings: The recordings.
        classes: Names of the classes.
        sample_rate: Rate of the clips, in Hz.
        duration: Length to which recordings are cropped or zero-padded around their centre, in seconds; None leaves
            them whole and needs ``window``.
        window: Length of the windows that recordings are cut into, in seconds; None takes each as one clip. What is
            shorter is zero-padded. All windows of a recording are in its stage.
        hop: Distance of the windows, in seconds; None is ``window``: they follow each other. The last one ends where
            the recording ends.
        pool_windows: Whether a recording is tested as a whole, by the mean of its windows' probabilities, or every
            window by itself.
        cache_dir: Folder of the decoded clips.
        on_bad_file: "raise" an error if a file is missing or bad, or "skip" it with a warning.
        num_workers: Number of decoding processes; 0 decodes in the program's own, None is one per core.
        trim: Silence at both ends is cut off, what is this many decibels below the loudest moment; None: nothing.
        fit_rescaled: Cut or zero-pad rescaled clips to the length of the others, for comparison with older results.

    Attributes:
        num_samples: Length of a clip, in samples.
        hop_samples: Distance of the windows, in samples.
        quantity: What `rescaled` changes.
        test_factors: Playback speeds to test at.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An argument is out of range.
    """

    quantity = "playback speed"
    test_factors = 0.5, 0.71, 1, 1.41, 2

    def __init__(
        self,
        recordings: Recordings,
        classes: Sequence[str],
        sample_rate: int = 22050,
        duration: float | None = 4.0,
        window: float | None = None,
        hop: float | None = None,
        pool_windows: bool = False,
        cache_dir: Path | str = "runs/cache",
        on_bad_file: str = "raise",
        num_workers: int | None = None,
        trim: float | None = None,
        fit_rescaled: bool = False,
    ) -> None:
        for key, value in {"sample_rate": sample_rate, "duration": duration, "window": window, "hop": hop}.items():
            optional = key != "sample_rate" and value is None
            if not optional and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise ValueError(f"data.{key}={value} is no number above 0")
        if sample_rate != int(sample_rate):
            raise ValueError(f"data.sample_rate={sample_rate} is no whole number of Hz")
        sample_rate = int(sample_rate)  # of 16e3
        length = window or duration
        if length is None:
            raise ValueError("data.duration=null leaves recordings as long as they are; data.window=… cuts them")
        if window and duration and window > duration:
            raise ValueError(f"data.window={window} s is longer than data.duration={duration} s")
        self.classes, self.sample_rate, self.num_samples = list(classes), sample_rate, round(length * sample_rate)
        self.hop_samples = round((hop or length) * sample_rate)
        self.cropped = None if duration is None else round(duration * sample_rate)
        self.pool_windows, self.trim, self.fit_rescaled = pool_windows, trim, fit_rescaled
        self.cache_dir, self.on_bad_file = Path(cache_dir), on_bad_file
        self.num_workers = os.cpu_count() if num_workers is None else num_workers
        if num_workers is not None and num_workers < 0:
            raise ValueError(
                f"data.num_workers={num_workers} is less than 0, which decodes in the program's own process"
            )
        if on_bad_file not in ("raise", "skip"):
            raise ValueError(f"data.on_bad_file={on_bad_file} is unknown; choose raise or skip")
        if trim is not None and not trim > 0:
            raise ValueError(f"data.trim={trim} is not a number of decibels above 0; null trims nothing")
        if self.num_samples < 1 or self.hop_samples < 1:
            raise ValueError(f"{length} s at data.sample_rate={sample_rate} Hz, or data.hop, is less than one sample")
        self._table = self._existing(pd.DataFrame(recordings._asdict() | {"target": list(recordings.target)}))

    def split(self, stage: Stage) -> Clips:
        """Gives the clips of a stage, decoding the set first if the cache does not hold it.

        Raises:
            AudioError: A file is bad, and on_bad_file is "raise".
            ValueError: No clip of this stage is left.
        """
        clips = self._clips(stage)
        targets = np.stack(clips["target"].to_list()) if len(clips) else np.empty(0)
        return Clips(self._decoded[0], self.num_samples, clips["row"].to_numpy(), targets, clips["start"].to_numpy())

    def rescaled(self, stage: Stage, factor: float) -> Played:
        """Gives the clips of a stage at another playback speed; 2 is twice as fast.

        Raises:
            ValueError: The factor is not from 1/4 to 4.
        """
        self.check_factor(factor)
        return Played(self.split(stage), factor, self.fit_rescaled)

    def check_factor(self, factor: float) -> None:
        """Raises ValueError unless a playback speed is from 1/4 to 4."""
        if not 0.25 <= factor <= 4:
            raise ValueError(f"rescale={factor:g} is out of range; choose speeds from 0.25 (slow) to 4 (fast)")

    def files(self, stage: Stage) -> list[Path]:
        """Gives the files of a stage, in the order of the items of `split`."""
        return list(self._clips(stage)["path"])

    def recordings(self, stage: Stage) -> list[int] | None:
        """Gives for each item of a stage the recording that it is a window of; None if each is judged by itself."""
        return self._clips(stage).index.to_list() if self.pool_windows else None

    def _clips(self, stage: Stage) -> pd.DataFrame:
        """The clips of a stage: files, targets, and where they are in the cache; the index is the recording."""
        table = self._decoded[1]
        clips = table[table["stage"] == stage].explode("start")
        if len(clips) == 0:
            raise ValueError(f"no usable clip in {self._stage_name(stage)}; choose another or mend the set")
        return clips.astype({"start": np.int64})

    def _stage_name(self, stage: Stage) -> str:
        return stage

    @cached_property
    def _decoded(self) -> tuple[Path, pd.DataFrame]:
        """The cache's file, and the recordings in it, with where their clips start."""
        paths = list(self._table["path"])
        skip, whole, workers = self.on_bad_file == "skip", self.cropped is None, self.num_workers or 0
        size = self.cropped or self.num_samples
        file, bad = build_cache(paths, self.sample_rate, size, self.cache_dir, skip, workers, self.trim, whole)
        _warn([f"{paths[clip]} {problem}" for clip, problem in bad.items()], len(paths))
        table = self._table.drop(index=list(bad))
        cuts = [windows(length, self.num_samples, self.hop_samples) for _, length in rows(file.parent)]
        return file, table.assign(row=range(len(table)), start=pd.Series(cuts, table.index, dtype=object))

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


class Metadata(NamedTuple):
    """What a set's CSV says, column by column, one entry per clip."""

    path: Iterable[Path]
    fold: Iterable[int]
    target: Iterable[int]
    name: Iterable[str]


class AudioFolds(AudioSet):
    """A set of labelled clips in folds. A set is a subclass that says how its metadata are read.

    Args:
        root: Folder of the set.
        test_fold: The fold to test on.
        val_fold: The fold to validate on; None is the one after ``test_fold``, in a circle, False is none.
        **options: See `AudioSet`.

    Attributes:
        folds: The folds of "train", "val" and "test".

    Raises:
        FileNotFoundError: ``root`` does not hold the set, or a file of its metadata is missing.
        ValueError: The metadata are broken or contradict themselves, or an argument is out of range.
    """

    def __init__(self, root: Path | str, test_fold: Fold = 1, val_fold: Fold | None = None, **options: Any) -> None:
        table = pd.DataFrame(self.read(Path(root))._asdict()).astype({"name": str})
        check_metadata(table)
        self.folds = split_folds(table["fold"], test_fold, val_fold)
        classes: list[str] = table.sort_values("target")["name"].unique().tolist()
        stages = {fold: stage for stage, folds in self.folds.items() for fold in folds}
        recordings = Recordings(
            list(table["path"]), list(table["fold"].map(stages)), table["name"].map(classes.index).to_numpy()
        )
        super().__init__(recordings, classes, **options)

    def read(self, root: Path) -> Metadata:
        """Reads the set's metadata; every set has its own way."""
        raise NotImplementedError

    def _stage_name(self, stage: Stage) -> str:
        return f"fold {self.folds[stage]} ({stage})"


def _warn(problems: list[str], total: int) -> None:
    if problems:
        log.warning("skipped %d of %d clips:\n  %s", len(problems), total, "\n  ".join(problems))
