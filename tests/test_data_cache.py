import errno
import logging
import multiprocessing
import os
import pickle
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from experiments.data import AudioError, Clips, cache, decode, room
from experiments.data.cache import build_cache
from experiments.data.workers import map_ahead

RATE, LENGTH = 8000, 50
fork = multiprocessing.get_context("fork")


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{i}.wav" for i in range(7)]
    for i, path in enumerate(paths):
        soundfile.write(path, np.random.default_rng(i).uniform(-1, 1, 40 + 3 * i), RATE)
    return paths


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files decoded so far, in turn."""
    names = []

    def counting(path, *options):
        names.append(path.name)
        return decode(path, *options)

    monkeypatch.setattr(cache, "decode", counting)
    return names


def build(paths, skip_bad=False, num_workers=1, length=LENGTH, trim=None):
    return build_cache(paths, RATE, length, paths[0].parent / "cache", skip_bad, num_workers, trim)


def rows(file):
    return np.fromfile(file, np.int16).reshape(-1, LENGTH)


def expected(paths):
    # 16-bit files at the cache's own rate: the very integers come back
    return np.stack([np.rint(decode(path, RATE, LENGTH) * 32768) for path in paths])


def spoil(path):
    path.write_bytes(b"no audio")


def test_clips_are_the_decoded_files(paths):
    file, bad = build(paths)
    assert bad == {}
    np.testing.assert_array_equal(rows(file), expected(paths))
    clips = Clips(file, LENGTH, np.array([4, 2]), np.array([1, 0]))
    x, label = clips[1]
    assert (x.shape, x.dtype.is_floating_point, label, len(clips)) == ((1, LENGTH), True, 0, 2)
    np.testing.assert_array_equal(x[0], decode(paths[2], RATE, LENGTH))


def test_full_scale_does_not_wrap_around(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.tile([1.0, -1.0], 25), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(rows(build([tmp_path / "x.wav"])[0])[0], np.tile([32767, -32768], 25))


def test_several_processes_write_the_same(paths):
    spoil(paths[3])
    serial = rows(build(paths, skip_bad=True)[0])
    file, bad = build_cache(paths, RATE, LENGTH, paths[0].parent / "other", skip_bad=True, num_workers=2)
    np.testing.assert_array_equal(rows(file), serial)
    assert list(bad) == [3]


def test_second_run_decodes_nothing(paths, decoded):
    assert build(paths) == build(paths)
    assert len(decoded) == len(paths)


def test_changed_file_rate_length_or_trimming_makes_a_new_cache(paths, decoded):
    first = build(paths)[0]
    assert build(paths, length=LENGTH + 1)[0] != first
    assert build(paths[:-1])[0] != first
    assert build(paths, trim=40)[0] != first
    decoded.clear()
    os.utime(paths[0], ns=(0, 0))
    assert build(paths)[0] != first
    assert len(decoded) == len(paths)


def kill_at(paths, number):
    def deadly(path, *options):
        if path == paths[number]:
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(path, *options)

    cache.decode = deadly
    build(paths, skip_bad=True)


def run_killed(paths, number):
    process = fork.Process(target=kill_at, args=(paths, number))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (partial,) = (paths[0].parent / "cache").glob("*.partial")
    assert not partial.with_suffix("").exists()
    return partial


def test_killed_run_goes_on_where_it_stopped(paths, decoded):
    run_killed(paths, 2)
    run_killed(paths, 4)
    file, _ = build(paths)
    assert decoded == ["4.wav", "5.wav", "6.wav"]
    np.testing.assert_array_equal(rows(file), expected(paths))


def test_bad_file_that_a_killed_run_skipped_is_raised_at_once_without_losing_work(paths, decoded):
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
def test_torn_writes_are_decoded_again(paths, name, cut, append):
    file = run_killed(paths, 4) / name
    content = file.read_bytes()
    file.write_bytes(content[: max(0, len(content) - cut)] + append)
    np.testing.assert_array_equal(rows(build(paths)[0]), expected(paths))


def test_processes_at_once_share_one_cache(paths):
    processes = [fork.Process(target=build, args=(paths,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    (clips,) = (paths[0].parent / "cache").glob("*/clips.int16")
    np.testing.assert_array_equal(rows(clips), expected(paths))


def test_first_bad_file_is_raised_and_then_skipped_without_losing_work(paths, decoded):
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


def test_dataset_pickles_without_its_clips(paths):
    clips = Clips(build(paths)[0], LENGTH, np.arange(7), np.arange(7))
    unused = len(pickle.dumps(clips))
    x, _ = clips[3]
    copy = pickle.loads(pickle.dumps(clips))
    assert len(pickle.dumps(clips)) == unused
    assert copy[3][0].equal(x)


def test_a_damaged_cache_is_decoded_anew_where_it_is_damaged(paths, decoded, caplog):
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
        decoded.clear(), caplog.clear()
        assert build(paths, skip_bad=True)[1].keys() == {1}
        assert decoded == again
        assert (file.read_bytes(), marks.read_bytes()) == (good, good_marks)
        assert f"{file.parent} is not whole" in caplog.text
    file.unlink()
    build(paths, skip_bad=True)
    assert file.read_bytes() == good


def test_a_damaged_row_is_named_when_it_is_used(paths):
    file, _ = build(paths)
    with file.open("r+b") as content:
        content.seek(2 * LENGTH * 3 + 7)
        content.write(b"\x55\x55")
    clips = Clips(file, LENGTH, np.arange(7), np.arange(7))
    assert clips[2][0].shape == (1, LENGTH)
    with pytest.raises(ValueError, match=rf"{file} is damaged in row 3; delete the folder"):
        clips[3]


def test_a_finished_cache_needs_nothing_written(paths, monkeypatch):
    first = build(paths)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(cache, "lock", refuse)  # a test that runs as root could write to a read-only folder
    assert build(paths) == first


def test_a_file_that_vanishes_or_may_not_be_read_is_skipped(paths, monkeypatch):
    def failing(path, *options):
        if path == paths[2]:
            raise PermissionError(13, "Permission denied", str(path))
        return decode(path, *options)

    monkeypatch.setattr(cache, "decode", failing)
    assert build(paths, skip_bad=True)[1] == {2: "cannot be read (Permission denied)"}
    with pytest.raises(AudioError, match=r"2\.wav cannot be read \(Permission denied\)"):
        build(paths)


def test_a_script_without_a_guard_is_told_so(paths, monkeypatch):
    # what multiprocessing sets in a process that is importing the script
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(RuntimeError, match="if __name__ == '__main__'"):
        build(paths)
    assert not (paths[0].parent / "cache").exists()


def die(path, **options):
    os._exit(9)


def test_an_ended_process_is_told_in_one_line(paths, monkeypatch):
    monkeypatch.setattr(cache, "_decode", die)
    with pytest.raises(ChildProcessError, match="a decoding process was ended"):
        build(paths, num_workers=2)


def test_a_full_disk_is_named_with_what_it_takes(paths, monkeypatch):
    def full(mark):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.json, "dumps", full)
    with pytest.raises(OSError, match=r"the disk of .*\.partial is full; make room"):
        build(paths)


@pytest.mark.parametrize("whole", [False, True])
def test_it_is_said_beforehand_how_much_disk_a_cache_takes(paths, monkeypatch, caplog, decoded, whole):
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


def test_a_killed_run_needs_room_for_the_rest_only(paths, monkeypatch):
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


def test_decoding_never_runs_far_ahead_of_the_disk():
    begun = []
    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, 5, lambda path: begun.append(path) or path, range(100))
        for number, result in enumerate(results):
            assert result == number and len(begun) <= number + 6
    assert len(begun) == 100


def test_rows_are_as_long_as_their_files_if_they_are_left_whole(paths):
    spoil(paths[3])
    options = RATE, LENGTH, paths[0].parent / "cache", True, 1, None, True
    file, bad = build_cache(paths, *options)
    assert list(bad) == [3] and [length for _, length in cache.rows(file.parent)] == [50, 50, 50, 52, 55, 58]
    wholes = [decode(path, RATE, LENGTH, whole=True) for path in paths if path != paths[3]]
    np.testing.assert_array_equal(np.fromfile(file, np.int16), np.rint(np.concatenate(wholes) * 32768))
    content = file.read_bytes()
    file.write_bytes(content[:-3])  # not whole: the last row is decoded anew
    assert build_cache(paths, *options)[0].read_bytes() == content
