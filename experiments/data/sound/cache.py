"""Decoded clips on disk: a file of int16 rows for a list of audio files, written once, by one process at a time.

A cache is a folder, named by its content: `clips.int16` has a row for every good clip, `marks.jsonl` a line for every
clip in turn: checksum and length of its row, or the reason why it has none. It is filled as NAME.partial and renamed
when it is complete. The folder of a killed run stays; the next run checks its rows against the marks and continues
after the last good one. A complete cache that is found to be damaged is treated in the same way.
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

from experiments.data.sound.decode import AudioError, decode, to_int16
from experiments.data.sound.disk_space import check_room
from experiments.data.sound.workers import check_guard, workers

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
    """Decode audio files into a cache, unless it holds them already. A cache that holds them may be read-only.

    Args:
        paths: Audio files.
        sample_rate: Rate of the clips, in Hz.
        num_samples: Length of the clips, in samples.
        cache_dir: Folder of all caches.
        skip_bad: Whether bad files are left out rather than raise an error.
        num_workers: Number of decoding processes; 0 or 1 decodes in this process.
        trim: Silence to cut off, see `decode`.
        whole: Whether longer clips keep their length, which `rows` returns.

    Returns:
        The file of int16 rows, in the order of `paths`, of shape (good clips, num_samples), or with `whole` of any
        length, one after the other; and the files left out, as position in `paths` → problem.

    Raises:
        AudioError: A file is bad, and `skip_bad` is false.
        ChildProcessError: A decoding process was ended from outside.
        OSError: The cache cannot be written; or a file cannot be read or is too long for memory. `skip_bad` does not
            skip it, as the next attempt may succeed.
        RuntimeError: This is a decoding process, which runs the script that started it.
    """
    check_guard()
    job = partial(_decode, sample_rate=sample_rate, num_samples=num_samples, trim=trim, whole=whole)
    folder = cache_dir / _key(paths, sample_rate, num_samples, trim, whole)
    if not _complete(folder, len(paths)):
        cache_dir.mkdir(parents=True, exist_ok=True)
        with lock(folder.with_suffix(".lock")):
            unfinished = folder.with_suffix(".partial")
            if folder.exists() and not _complete(folder, len(paths)):
                log.warning("%s is not complete; its good clips are kept, the others are decoded again", folder)
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
    """Return whether a cache has a mark for each clip and a row for each good one. Rows are checked when used."""
    try:
        size = SAMPLE * sum(length for _, length in rows(folder))
        return (folder / "clips.int16").stat().st_size == size and len(_marks(folder)) == clips
    except (FileNotFoundError, TypeError, ValueError):
        return False


def rows(folder: Path) -> list[list[int]]:
    """Return the checksum (CRC-32) and the length, in samples, of every row of a cache."""
    return [mark for mark in _marks(folder) if not isinstance(mark, str)]


def _marks(folder: Path) -> list[Mark]:
    return [json.loads(line) for line in (folder / "marks.jsonl").read_text().splitlines()]


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file: a second process waits here. The system frees it when the process ends, for any reason."""
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
    """Show a progress bar with clips per second, and yield a function that counts one more clip."""
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
    """Name the folder in the error if the disk is full."""
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
    """Cut what a killed run left back to its good clips, and return their number.

    The checksums make the order in which the system wrote rows and marks to the disk irrelevant.
    """
    done = rows_end = marks_end = 0
    with (folder / "clips.int16").open("a+b") as clips, (folder / "marks.jsonl").open("a+b") as marks:
        clips.seek(0)
        marks.seek(0)
        for line in marks:
            try:
                mark = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:  # an incomplete line
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
    """Return the clips that are marked as bad, or raise the error of the first."""
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
    except FileNotFoundError as error:
        return f"cannot be read ({error.strerror})"
    except OSError as error:  # of the disk or the network; a mark in the cache would outlast it
        raise OSError(
            f"{path} cannot be read ({error.strerror or error}); correct this or remove the file, and start again; "
            "what is decoded is kept"
        ) from error
    return to_int16(clip).tobytes()
