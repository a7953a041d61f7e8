"""Bad files, kills, torn writes and full disks: what was decoded is not lost."""

import errno
import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.data.sound import cache
from experiments.data.sound import decode as decoding
from experiments.data.sound import disk_space as room
from experiments.data.sound.cache import build_cache
from experiments.data.sound.clips import Clips
from experiments.data.sound.containers import File
from experiments.data.sound.decode import AudioError, decode
from tests.experiments.data.sound.cached import LENGTH, RATE, build, expected, rows, spoil

fork = multiprocessing.get_context("fork")


def kill_at(paths: list[Path], number: int) -> None:
    def deadly(path: Path, *options: Any) -> np.ndarray:
        if path == paths[number]:
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(path, *options)

    cache.decode = deadly  # type: ignore[assignment]
    build(paths, skip_bad=True)


def run_killed(paths: list[Path], number: int) -> Path:
    process = fork.Process(target=kill_at, args=(paths, number))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (partial,) = (paths[0].parent / "cache").glob("*.partial")
    assert not partial.with_suffix("").exists()
    return partial


def test_killed_run_goes_on_where_it_stopped(paths: list[Path], decoded: list[str]) -> None:
    run_killed(paths, 2)
    run_killed(paths, 4)
    file, _ = build(paths)
    assert decoded == ["4.wav", "5.wav", "6.wav"]
    np.testing.assert_array_equal(rows(file), expected(paths))


def test_bad_file_that_a_killed_run_skipped_is_raised_at_once_without_losing_work(
    paths: list[Path], decoded: list[str]
) -> None:
    spoil(paths[1])
    run_killed(paths, 4)
    with pytest.raises(AudioError, match=r"1\.wav cannot be decoded"):
        build(paths)
    assert decoded == []
    file, bad = build(paths, skip_bad=True)
    assert decoded == ["4.wav", "5.wav", "6.wav"]
    assert list(bad) == [1]
    np.testing.assert_array_equal(rows(file), expected([paths[i] for i in (0, 2, 3, 4, 5, 6)]))


@pytest.mark.parametrize(
    ("name", "cut", "append"),
    [
        ("clips.int16", 1, b""),  # the last row did not reach the disk in full
        ("clips.int16", LENGTH, bytes(LENGTH)),  # or as zeros
        ("clips.int16", 0, b"\x01" * 9),  # a row was begun
        ("clips.int16", 10**9, b""),  # no row reached the disk
        ("marks.jsonl", 3, b""),  # a mark was torn
        ("marks.jsonl", 0, b"12"),
        ("marks.jsonl", 0, b"\x00\x00\x00\n"),
        ("marks.jsonl", 10**9, b""),
    ],
)
def test_torn_writes_are_decoded_again(paths: list[Path], name: str, cut: int, append: bytes) -> None:
    file = run_killed(paths, 4) / name
    content = file.read_bytes()
    file.write_bytes(content[: max(0, len(content) - cut)] + append)
    np.testing.assert_array_equal(rows(build(paths)[0]), expected(paths))


def test_first_bad_file_is_raised_and_then_skipped_without_losing_work(paths: list[Path], decoded: list[str]) -> None:
    spoil(paths[2])
    spoil(paths[5])
    with pytest.raises(AudioError, match=r"2\.wav cannot be decoded"):
        build(paths)
    decoded.clear()
    file, bad = build(paths, skip_bad=True)
    assert decoded == ["2.wav", "3.wav", "4.wav", "5.wav", "6.wav"]
    assert list(bad) == [2, 5]
    np.testing.assert_array_equal(rows(file), expected([paths[i] for i in (0, 1, 3, 4, 6)]))
    with pytest.raises(AudioError, match=r"2\.wav cannot be decoded"):
        build(paths)


def test_a_damaged_cache_is_decoded_again_where_it_is_damaged(
    paths: list[Path], decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(paths[1])
    file = build(paths, skip_bad=True)[0]
    marks = file.parent / "marks.jsonl"
    good, good_marks = file.read_bytes(), marks.read_bytes()
    row = 2 * LENGTH
    for rows_kept, marks_kept, again in (
        (good[: 3 * row], good_marks, ["4.wav", "5.wav", "6.wav"]),
        (good[: 3 * row - 1], good_marks, ["3.wav", "4.wav", "5.wav", "6.wav"]),
        (b"", good_marks, ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav", "5.wav", "6.wav"]),
        (good, b"", ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav", "5.wav", "6.wav"]),
        (good, b"\x00" * 30, ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav", "5.wav", "6.wav"]),
        (good, good_marks[: good_marks.rindex(b"\n", 0, -1) + 1], ["6.wav"]),
    ):
        file.write_bytes(rows_kept)
        marks.write_bytes(marks_kept)
        decoded.clear()
        caplog.clear()
        assert build(paths, skip_bad=True)[1].keys() == {1}
        assert decoded == again
        assert (file.read_bytes(), marks.read_bytes()) == (good, good_marks)
        assert f"{file.parent} is not complete" in caplog.text
    file.unlink()
    build(paths, skip_bad=True)
    assert file.read_bytes() == good


def test_a_damaged_row_is_named_when_it_is_used(paths: list[Path]) -> None:
    file, _ = build(paths)
    with file.open("r+b") as content:
        content.seek(2 * LENGTH * 3 + 7)
        content.write(b"\x55\x55")
    clips = Clips(file, LENGTH, np.arange(7), np.arange(7))
    assert clips[2][0].shape == (1, LENGTH)
    with pytest.raises(ValueError, match=rf"{file} is damaged in row 3; delete the folder"):
        clips[3]


def fail(monkeypatch: pytest.MonkeyPatch, bad: Path, error: Exception) -> None:
    """Let decoding fail for one file."""

    def opened(path: Path) -> File:
        if path == bad:
            raise error
        return File(path)

    monkeypatch.setattr(decoding, "File", opened)


def test_a_file_that_vanishes_is_skipped(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, paths[2], FileNotFoundError(errno.ENOENT, "No such file or directory"))
    assert build(paths, skip_bad=True)[1] == {2: "cannot be read (No such file or directory)"}
    with pytest.raises(AudioError, match=r"2\.wav cannot be read \(No such file or directory\)"):
        build(paths)


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (MemoryError(), "too long for memory"),
    ],
)
def test_a_passing_error_is_raised_and_not_kept(
    paths: list[Path], decoded: list[str], error: Exception, reason: str, skip_bad: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail(patch, paths[2], error)
        with pytest.raises(OSError, match=rf"2\.wav cannot be read \({reason}\); correct this or remove the file"):
            build(paths, skip_bad)
    decoded.clear()
    file, bad = build(paths, skip_bad)
    assert not bad and decoded == ["2.wav", "3.wav", "4.wav", "5.wav", "6.wav"]
    np.testing.assert_array_equal(rows(file), expected(paths))


def die(path: Path, **options: Any) -> None:
    os._exit(9)


def test_an_ended_process_is_one_line(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_decode", die)
    with pytest.raises(ChildProcessError, match="a decoding process was ended"):
        build(paths, num_workers=2)


def test_a_full_disk_is_named_with_what_it_takes(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(mark: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.json, "dumps", full)
    with pytest.raises(OSError, match=r"the disk of .*\.partial is full; make room"):
        build(paths)


def test_a_killed_run_needs_room_for_the_rest_only(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    cache = paths[0].parent / "cache"
    build_cache(paths, RATE, LENGTH, cache, False, 1)
    (folder,) = (file.parent for file in cache.glob("*/clips.int16"))
    marks = (folder / "marks.jsonl").read_text().splitlines(keepends=True)
    (folder / "marks.jsonl").write_text("".join(marks[:-1]))  # the last was not kept
    os.truncate(folder / "clips.int16", 2 * LENGTH * (len(paths) - 1))
    folder.rename(folder.with_suffix(".partial"))
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * LENGTH))
    file, bad = build_cache(paths, RATE, LENGTH, cache, False, 1)
    assert file.stat().st_size == 2 * LENGTH * len(paths) and not bad
