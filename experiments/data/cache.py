"""Decoded clips on disk: a file of int16 rows for a list of audio files, written once, by one process at a time.

A cache is a folder, named by its content: `clips.int16` has a row for every good clip, `marks.jsonl` a line for every
clip in turn: checksum and length of its row, or the reason why it has none. It is filled as NAME.partial and renamed
when whole. A killed run's folder stays; the next run checks its rows against the marks and goes on after the last good
one. So it does with a cache that turns out not to be whole.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn

from experiments.data.decode import AudioError, decode, to_int16
from experiments.data.room import check_room
from experiments.data.workers import check_guard, workers

log = logging.getLogger(__name__)
SAMPLE = np.dtype(np.int16).itemsize  # bytes
Mark = list[int] | str  # checksum (CRC-32) and length of a row in samples, or what is wrong with the file


def build_cache(
    paths: Sequence[Path],
    sample_rate: int,
    num_samples: int,
    cache_dir: Path,
    skip_bad: bool,
    num_workers: int,
    trim: float | None = None,
    whole: bool = False,
) -> tuple[Path, dict[int, str]]:
    """Decodes audio files into a cache, or finds them there, where a read-only place is good enough.

    Args:
        paths: audio files.
        sample_rate: rate of the clips, in Hz.
        num_samples: length of the clips, in samples.
        cache_dir: folder of all caches.
        skip_bad: leave bad files out rather than raise.
        num_workers: number of decoding processes; 0 or 1 decodes in this one.
        trim: silence to cut off, see `decode`.
        whole: leave longer clips as long as they are; `rows` tells how long.

    Returns:
        The file of int16 rows, shape (good clips, num_samples), in the order of `paths`; and the files left out, as
        position in `paths` → what is wrong.

    Raises:
        AudioError: a file is bad, and `skip_bad` is false.
        ChildProcessError: a decoding process was ended from outside.
        OSError: the cache cannot be written.
        RuntimeError: this is a decoding process, which began with the script that started it.
    """
    check_guard()
    job = partial(_decode, sample_rate=sample_rate, num_samples=num_samples, trim=trim, whole=whole)
    folder = cache_dir / _key(paths, sample_rate, num_samples, trim, whole)
    if not _complete(folder, len(paths)):
        cache_dir.mkdir(parents=True, exist_ok=True)
        with lock(folder.with_suffix(".lock")):
            unfinished = folder.with_suffix(".partial")
            if folder.exists() and not _complete(folder, len(paths)):
                log.warning("%s is not whole; its good clips are kept, the others are decoded anew", folder)
                shutil.rmtree(unfinished, ignore_errors=True)
                folder.rename(unfinished)
            if not folder.exists():
                unfinished.mkdir(exist_ok=True)
                begun = unfinished / "clips.int16"
                present = begun.stat().st_size if begun.exists() else 0
                check_room(unfinished, paths, sample_rate, num_samples, whole, present)
                _fill(unfinished, paths, job, skip_bad, num_workers)
                unfinished.rename(folder)
    return folder / "clips.int16", _bad(folder, paths, skip_bad)


def _complete(folder: Path, clips: int) -> bool:
    """Whether a cache has a mark for each clip and a row for each good one; what is in them is looked at in use."""
    try:
        size = SAMPLE * sum(length for _, length in rows(folder))
        return (folder / "clips.int16").stat().st_size == size and len(_marks(folder)) == clips
    except (FileNotFoundError, TypeError, ValueError):
        return False


def rows(folder: Path) -> list[list[int]]:
    """Gives the checksum (CRC-32) and the length, in samples, of every row of a cache."""
    return [mark for mark in _marks(folder) if not isinstance(mark, str)]


def _marks(folder: Path) -> list[Mark]:
    return [json.loads(line) for line in (folder / "marks.jsonl").read_text().splitlines()]


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds a lock file: a second process waits here. The system frees it when the process ends, however it ends."""
    held = FileLock(path)
    try:
        held.acquire(blocking=False)
    except Timeout:
        log.info("waiting for the process that holds %s", path)
        held.acquire()
    try:
        yield
    finally:
        held.release()


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


def _key(paths: Sequence[Path], *options: float | None) -> str:
    files = [(str(path.absolute()), stat.st_size, stat.st_mtime_ns) for path in paths for stat in [path.stat()]]
    return hashlib.sha256(repr((files, options)).encode()).hexdigest()[:16]


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Names the folder, should the disk be full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            f"the disk of {folder} is full; make room, or choose another place with data.cache_dir=…; what is decoded "
            "is kept"
        ) from error


def _fill(
    folder: Path, paths: Sequence[Path], job: Callable[[Path], bytes | str], skip_bad: bool, num_workers: int
) -> None:
    done = _resume(folder)
    _bad(folder, paths, skip_bad)
    with (
        _disk(folder),
        (folder / "clips.int16").open("ab") as clips,
        (folder / "marks.jsonl").open("ab") as marks,
        progress("Decoding", len(paths), done) as count,
        workers(num_workers) as run,
    ):
        for path, result in zip(paths[done:], run(job, paths[done:]), strict=True):
            if isinstance(result, bytes):
                clips.write(result)
                clips.flush()
            elif not skip_bad:
                raise AudioError(path, result)
            mark: Mark = [zlib.crc32(result), len(result) // SAMPLE] if isinstance(result, bytes) else result
            marks.write(json.dumps(mark).encode() + b"\n")
            marks.flush()
            count()
        os.fsync(clips.fileno())
        os.fsync(marks.fileno())


def _resume(folder: Path) -> int:
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
            if isinstance(mark, list) and zlib.crc32(row := clips.read(SAMPLE * mark[1])) == mark[0]:
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
    bad = {clip: mark for clip, mark in enumerate(_marks(folder)) if isinstance(mark, str)}
    for clip, problem in bad.items():
        if not skip_bad:
            raise AudioError(paths[clip], problem)
    return bad


def _decode(path: Path, sample_rate: int, num_samples: int, trim: float | None, whole: bool) -> bytes | str:
    try:
        clip = decode(path, sample_rate, num_samples, trim, whole)
    except AudioError as error:
        return error.problem
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return to_int16(clip).tobytes()
