"""Decoded clips on disk: a file of int16 rows for a list of audio files, written once, by one process at a time.

A cache is a folder, named by its content: `clips.int16` has a row for every good clip, `marks.jsonl` a line for every
clip in turn: the checksum of its row, or the reason why it has none. It is filled as NAME.partial and renamed when
whole. A killed run's folder stays; the next run checks its rows against the marks and goes on after the last good one.
"""

import fcntl
import hashlib
import json
import logging
import multiprocessing
import os
import signal
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn

from experiments.data.decode import AudioError, decode

log = logging.getLogger(__name__)


def build_cache(
    paths: Sequence[Path],
    sample_rate: int,
    num_samples: int,
    cache_dir: Path,
    skip_bad: bool,
    num_workers: int,
    trim: float | None = None,
) -> tuple[Path, dict[int, str]]:
    """Decodes audio files into a cache, or find them there.

    Args:
        paths: audio files.
        sample_rate: rate of the clips, in Hz.
        num_samples: length of the clips, in samples.
        cache_dir: folder of all caches.
        skip_bad: leave bad files out rather than raise.
        num_workers: number of decoding processes; 1 decodes in this one.
        trim: silence to cut off, see `decode`.

    Returns:
        The file of int16 rows, shape (good clips, num_samples), in the order of `paths`; and the files left out, as
        position in `paths` → what is wrong.

    Raises:
        AudioError: a file is bad, and `skip_bad` is false.
    """
    folder = cache_dir / _key(paths, sample_rate, num_samples, trim)
    cache_dir.mkdir(parents=True, exist_ok=True)
    with lock(folder.with_suffix(".lock")):
        if not folder.exists():
            unfinished = folder.with_suffix(".partial")
            unfinished.mkdir(exist_ok=True)
            _fill(unfinished, paths, sample_rate, num_samples, skip_bad, num_workers, trim)
            unfinished.rename(folder)
    return folder / "clips.int16", _bad(folder, paths, skip_bad)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds a lock file: a second process waits here. The system frees it when the process ends, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for the process that holds %s", path)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Shows a progress bar with clips per second; the function that it gives counts one more clip."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda: bar.advance(task)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> str:
        return f"{task.finished_speed or task.speed or 0:.0f} clips/s"


def _key(paths: Sequence[Path], sample_rate: int, num_samples: int, trim: float | None) -> str:
    files = [(str(path.absolute()), stat.st_size, stat.st_mtime_ns) for path in paths for stat in [path.stat()]]
    return hashlib.sha256(repr((files, sample_rate, num_samples, trim)).encode()).hexdigest()[:16]


def _fill(
    folder: Path,
    paths: Sequence[Path],
    sample_rate: int,
    num_samples: int,
    skip_bad: bool,
    num_workers: int,
    trim: float | None,
) -> None:
    done = _resume(folder, np.dtype(np.int16).itemsize * num_samples)
    _bad(folder, paths, skip_bad)
    job = partial(_decode, sample_rate=sample_rate, num_samples=num_samples, trim=trim)
    with (
        (folder / "clips.int16").open("ab") as clips,
        (folder / "marks.jsonl").open("ab") as marks,
        progress("Decoding", len(paths), done) as count,
        _workers(num_workers) as run,
    ):
        for path, result in zip(paths[done:], run(job, paths[done:]), strict=True):
            if isinstance(result, bytes):
                clips.write(result)
                clips.flush()
            elif not skip_bad:
                raise AudioError(path, result)
            mark = zlib.crc32(result) if isinstance(result, bytes) else result
            marks.write(json.dumps(mark).encode() + b"\n")
            marks.flush()
            count()
        os.fsync(clips.fileno())
        os.fsync(marks.fileno())


def _resume(folder: Path, row_bytes: int) -> int:
    """Cuts what a killed run left back to its good clips and return their number.

    The checksums make the order in which the system wrote rows and marks to the disk irrelevant.
    """
    done = rows_end = marks_end = 0
    with (folder / "clips.int16").open("a+b") as clips, (folder / "marks.jsonl").open("a+b") as marks:
        clips.seek(0)
        marks.seek(0)
        for line in marks:
            try:
                mark = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:  # torn
                break
            if isinstance(mark, int) and zlib.crc32(row := clips.read(row_bytes)) == mark:
                rows_end += len(row)
            elif not isinstance(mark, str):
                break
            marks_end += len(line)
            done += 1
        clips.truncate(rows_end)
        marks.truncate(marks_end)
    return done


def _bad(folder: Path, paths: Sequence[Path], skip_bad: bool) -> dict[int, str]:
    """Gives the clips that are marked as bad, or raise the first of them."""
    marks = map(json.loads, (folder / "marks.jsonl").read_text().splitlines())
    bad = {clip: mark for clip, mark in enumerate(marks) if isinstance(mark, str)}
    for clip, problem in bad.items():
        if not skip_bad:
            raise AudioError(paths[clip], problem)
    return bad


def _decode(path: Path, sample_rate: int, num_samples: int, trim: float | None) -> bytes | str:
    try:
        clip = decode(path, sample_rate, num_samples, trim)
    except AudioError as error:
        return error.problem
    return np.minimum(np.rint(clip * 32768), 32767).astype(np.int16).tobytes()


@contextmanager
def _workers(number: int) -> Iterator[Callable[..., Iterable[bytes | str]]]:
    """Gives a `map` that works in `number` processes."""
    if number == 1:
        yield map
        return
    # "spawn": a forked copy of a process with threads, as torch starts them, can hang.
    pool = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])  # else a killed parent leaves its workers waiting for ever
    os._exit(1)
