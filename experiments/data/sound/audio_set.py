"""Sets of sounds: a table of recordings with their stages and targets, decoded into the cache."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.cores import cores
from experiments.data.bad_files import check_policy, missing, warn_skipped
from experiments.data.inputs import Waveform
from experiments.data.sound.cache import build_cache, rows
from experiments.data.sound.clips import Clips, windows
from experiments.data.source import Fold, Source, Stage
from experiments.data.splits import check_metadata, split_folds
from experiments.data.transformation import PLAYBACK, TESTED, Rescaling


class Recordings(NamedTuple):
    """A set's recordings, one entry each.

    Attributes:
        path: The files.
        stage: ``"train"``, ``"val"`` or ``"test"``; others are left out.
        target: Labels (N,), 0 or 1 for each class (N, num_classes), or numbers (N, K) in float64.
        group: Groups, such as speakers. ``None``: there are none.
    """

    path: Sequence[Path]
    stage: Sequence[str]
    target: np.ndarray
    group: Sequence[str] | None = None


class AudioSet(Source):
    """A set of labelled recordings. The constructor looks for the files; the first `split` decodes them into the cache.

    Args:
        recordings: The recordings.
        classes: Names of the classes.
        sample_rate: Rate of the clips, in Hz.
        duration: Length to which recordings are cropped or zero-padded around their centre, in seconds. ``None``:
            they stay whole, which needs ``window``.
        window: Length of the windows that recordings are cut into, in seconds. ``None``: each is one clip. What
            is shorter is zero-padded. All windows of a recording are in its stage.
        hop: Distance of the windows, in seconds. ``None``: ``window``, so that they follow each other. The last one
            ends where the recording ends.
        pool_windows: Whether a recording is tested as a whole, by the mean of its windows' probabilities, or every
            window by itself.
        cache_dir: Folder of the decoded clips.
        on_bad_file: "raise" an error if a file is missing or bad, or "skip" it with a warning.
        num_workers: Number of decoding processes. 0: decoding in the process of the program. ``None``: one process
            for each core.
        trim: Silence at both ends is cut off: what is this many decibels below the loudest moment. ``None``:
            nothing is cut off.

    Attributes:
        num_samples: Length of a clip, in samples.
        hop_samples: Distance of the windows, in samples.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An argument is out of range.
    """

    transformation = PLAYBACK
    test_factors = TESTED[Rescaling]

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
    ) -> None:
        for key, value in {"sample_rate": sample_rate, "duration": duration, "window": window, "hop": hop}.items():
            optional = key != "sample_rate" and value is None
            if not optional and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise ValueError(f"data.{key}={value} is not a number above 0")
        if sample_rate != int(sample_rate):
            raise ValueError(f"data.sample_rate={sample_rate} is not a whole number of Hz")
        sample_rate = int(sample_rate)  # 16e3 is a float
        length = window or duration
        if length is None:
            raise ValueError("data.duration=null keeps the whole length of recordings; set data.window to cut them")
        if window and duration and window > duration:
            raise ValueError(f"data.window={window} s is longer than data.duration={duration} s")
        self.group_of = dict(zip(recordings.path, recordings.group or [], strict=False))
        self.classes, self.sample_rate, self.num_samples = list(classes), sample_rate, round(length * sample_rate)
        self.hop_samples = round((hop or length) * sample_rate)
        self.cropped = None if duration is None else round(duration * sample_rate)
        self.pool_windows, self.trim = pool_windows, trim
        self.cache_dir, self.on_bad_file = Path(cache_dir).expanduser(), on_bad_file
        self.num_workers = cores() if num_workers is None else num_workers
        if num_workers is not None and num_workers < 0:
            raise ValueError(f"data.num_workers={num_workers} is less than 0; 0 decodes in the process of the program")
        check_policy(on_bad_file)
        if trim is not None and not trim > 0:
            raise ValueError(f"data.trim={trim} is not a number of decibels above 0; null trims nothing")
        if self.num_samples < 1 or self.hop_samples < 1:
            raise ValueError(f"{length} s at data.sample_rate={sample_rate} Hz, or data.hop, is less than one sample")
        table = pd.DataFrame(recordings._asdict() | {"target": list(recordings.target)})
        gone = missing(table["path"], on_bad_file)
        self._table = table[~table["path"].isin(gone)].reset_index(drop=True)

    def split(self, stage: Stage) -> Clips:
        """Return the clips of a stage, decoding the set first if the cache does not hold it.

        Raises:
            AudioError: A file is bad, and on_bad_file is "raise".
            ValueError: No clip of this stage is left.
        """
        clips = self._clips(stage)
        targets = np.stack(clips["target"].to_list()) if len(clips) else np.empty(0)
        return Clips(self._decoded[0], self.num_samples, clips["row"].to_numpy(), targets, clips["start"].to_numpy())

    @property
    def input(self) -> Waveform:  # type: ignore[override]
        """Kind of input that the clips are."""
        return Waveform(self.sample_rate, self.num_samples)

    def files(self, stage: Stage) -> list[Path]:
        """Return the files of a stage, in the order of the items of `split`."""
        return list(self._clips(stage)["path"])

    def recordings(self, stage: Stage) -> list[int] | None:
        """Return for each item of a stage the recording that it is a window of. ``None``: each is tested by itself."""
        return self._clips(stage).index.to_list() if self.pool_windows else None

    def _clips(self, stage: Stage) -> pd.DataFrame:
        """Return the clips of a stage: files, targets, and where they are in the cache; the index is the recording."""
        table = self._decoded[1]
        clips = table[table["stage"] == stage].explode("start")
        if len(clips) == 0:
            raise ValueError(f"no usable clip in {self._stage_name(stage)}; choose another or complete the set")
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
        warn_skipped([f"{paths[clip]} {problem}" for clip, problem in bad.items()], len(paths))
        table = self._table.drop(index=list(bad))
        cuts = [windows(length, self.num_samples, self.hop_samples) for _, length in rows(file.parent)]
        return file, table.assign(row=range(len(table)), start=pd.Series(cuts, table.index, dtype=object))


class Metadata(NamedTuple):
    """What a set's CSV says, column by column, one entry per clip."""

    path: Iterable[Path]
    fold: Iterable[int]
    target: Iterable[int]
    name: Iterable[str]
    group: Iterable[Any] | None = None  # what a recording was cut from


class AudioFolds(AudioSet):
    """A set of labelled clips in folds. A set is a subclass that says how its metadata are read.

    Args:
        root: Folder of the set.
        test_fold: The fold to test on.
        val_fold: The fold to validate on. ``None``: the one after ``test_fold``, in a circle. False: none.
        **options: See `AudioSet`.

    Attributes:
        folds: The folds of "train", "val" and "test".

    Raises:
        FileNotFoundError: ``root`` does not hold the set, or a file of its metadata is missing.
        ValueError: The metadata are broken or contradict themselves, or an argument is out of range.
    """

    def __init__(self, root: Path | str, test_fold: Fold = 1, val_fold: Fold | None = None, **options: Any) -> None:
        table = pd.DataFrame(self.read(Path(root).expanduser())._asdict()).astype({"name": str})
        check_metadata(table)
        self.folds = split_folds(table["fold"], test_fold, val_fold)
        classes: list[str] = table.sort_values("target")["name"].unique().tolist()
        stages = {fold: stage for stage, folds in self.folds.items() for fold in folds}
        recordings = Recordings(
            list(table["path"]),
            list(table["fold"].map(stages)),
            table["name"].map(classes.index).to_numpy(),
            list(table["group"].astype(str)) if table["group"].notna().all() else None,
        )
        super().__init__(recordings, classes, **options)

    def read(self, root: Path) -> Metadata:
        """Read the metadata of the set; each set has its own way."""
        raise NotImplementedError

    def _stage_name(self, stage: Stage) -> str:
        return f"fold {self.folds[stage]} ({stage})"
