"""Decoded sounds are kept: what is in the cache, and when it is made again."""

import logging
import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from experiments.data.sound import cache
from experiments.data.sound import disk_space as room
from experiments.data.sound.cache import build_cache
from experiments.data.sound.clips import Clips
from experiments.data.sound.decode import decode
from experiments.data.sound.workers import map_ahead
from tests.experiments.data.sound.cached import LENGTH, RATE, build, expected, rows, spoil

fork = multiprocessing.get_context("fork")


def test_examples_are_the_decoded_files(paths: list[Path]) -> None:
    file, bad = build(paths)
    assert bad == {}
    np.testing.assert_array_equal(rows(file), expected(paths))
    clips = Clips(file, LENGTH, np.array([4, 2]), np.array([1, 0]))
    x, label = clips[1]
    assert (x.shape, x.dtype.is_floating_point, label, len(clips)) == ((1, LENGTH), True, 0, 2)
    np.testing.assert_array_equal(x[0], decode(paths[2], RATE, LENGTH))


def test_full_scale_does_not_wrap_around(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.tile([1.0, -1.0], 25), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(rows(build([tmp_path / "x.wav"])[0])[0], np.tile([32767, -32768], 25))


@pytest.mark.slow
def test_several_processes_write_the_same(paths: list[Path]) -> None:
    spoil(paths[3])
    serial = rows(build(paths, skip_bad=True)[0])
    file, bad = build_cache(paths, RATE, LENGTH, paths[0].parent / "other", skip_bad=True, num_workers=2)
    np.testing.assert_array_equal(rows(file), serial)
    assert list(bad) == [3]


def test_second_run_decodes_nothing(paths: list[Path], decoded: list[str]) -> None:
    assert build(paths) == build(paths)
    assert len(decoded) == len(paths)


def test_changed_file_rate_length_or_trimming_makes_a_new_cache(paths: list[Path], decoded: list[str]) -> None:
    first = build(paths)[0]
    assert build(paths, length=LENGTH + 1)[0] != first
    assert build(paths[:-1])[0] != first
    assert build(paths, trim=40)[0] != first
    decoded.clear()
    os.utime(paths[0], ns=(0, 0))
    assert build(paths)[0] != first
    assert len(decoded) == len(paths)


def test_processes_at_once_share_one_cache(paths: list[Path]) -> None:
    processes = [fork.Process(target=build, args=(paths,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    (clips,) = (paths[0].parent / "cache").glob("*/clips.int16")
    np.testing.assert_array_equal(rows(clips), expected(paths))


def test_dataset_pickles_without_its_clips(paths: list[Path]) -> None:
    clips = Clips(build(paths)[0], LENGTH, np.arange(7), np.arange(7))
    unused = len(pickle.dumps(clips))
    x, _ = clips[3]
    copy = pickle.loads(pickle.dumps(clips))
    assert len(pickle.dumps(clips)) == unused
    assert copy[3][0].equal(x)


def test_a_finished_cache_needs_nothing_written(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(paths)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(cache, "lock", refuse)  # a test that runs as root could write to a read-only folder
    assert build(paths) == first


def test_a_script_without_a_guard_is_named(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    # what multiprocessing sets in a process that is importing the script
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(RuntimeError, match="if __name__ == '__main__'"):
        build(paths)
    assert not (paths[0].parent / "cache").exists()


@pytest.mark.parametrize("whole", [False, True])
def test_it_is_said_beforehand_how_much_disk_a_cache_takes(
    paths: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    decoded: list[str],
    whole: bool,
) -> None:
    spoil(paths[2])
    lengths = [40, 43, 49, 52, 55, 58]
    size = 2 * (sum(max(LENGTH, length) for length in lengths) if whole else 7 * LENGTH)
    options = paths, RATE, LENGTH, paths[0].parent / "cache", True, 1, None, whole
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=size - 1))
    with pytest.raises(OSError, match=rf"takes {size} bytes, and {size - 1} bytes are free; make room, choose"):
        build_cache(*options)
    assert decoded == []
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=size))
    with caplog.at_level(logging.INFO):
        file, _ = build_cache(*options)
    assert f"takes {size} bytes; {size} bytes are free" in caplog.text
    assert file.stat().st_size <= size


def test_decoding_never_runs_far_ahead_of_the_disk() -> None:
    begun: list[Path] = []
    paths = [Path(str(number)) for number in range(100)]

    def begin(path: Path) -> Path:
        begun.append(path)
        return path

    with ThreadPoolExecutor(2) as pool:
        for number, result in enumerate(map_ahead(pool, 5, begin, paths)):
            assert result == paths[number] and len(begun) <= number + 6
    assert len(begun) == 100


def test_rows_are_as_long_as_their_files_if_they_are_left_whole(paths: list[Path]) -> None:
    spoil(paths[3])
    options = RATE, LENGTH, paths[0].parent / "cache", True, 1, None, True
    file, bad = build_cache(paths, *options)
    assert list(bad) == [3] and [length for _, length in cache.rows(file.parent)] == [50, 50, 50, 52, 55, 58]
    wholes = [decode(path, RATE, LENGTH, whole=True) for path in paths if path != paths[3]]
    np.testing.assert_array_equal(np.fromfile(file, np.int16), np.rint(np.concatenate(wholes) * 32768))
    content = file.read_bytes()
    file.write_bytes(content[:-3])  # truncated: the last row is decoded again
    assert build_cache(paths, *options)[0].read_bytes() == content
