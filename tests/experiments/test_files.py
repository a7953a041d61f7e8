"""Files are whole or not there."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from experiments.files import whole, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_is_replaced_when_all_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("old")
    with whole(file) as unfinished:
        unfinished.write_text("new")
        assert file.read_text() == "old" and unfinished.parent == tmp_path  # on the same disk
    assert file.read_text() == "new" and names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(error: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(error), whole(tmp_path / "a.csv") as unfinished:
        unfinished.write_text("half")
        raise error
    assert names(tmp_path) == ["a.csv"] and (tmp_path / "a.csv").read_text() == "old"
    with pytest.raises(error), whole(tmp_path / "new.csv"):
        raise error
    assert names(tmp_path) == ["a.csv"]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/a.csv'"), whole(tmp_path / "a.csv"):
        raise OSError(28, "No space left on device")


def killed(file: Path) -> None:
    with whole(file) as unfinished:
        unfinished.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_leaves_the_old_file_and_the_next_try_replaces_it(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("old")
    process = multiprocessing.get_context("fork").Process(target=killed, args=(file,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and file.read_text() == "old"
    write_text(file, "new")
    assert file.read_text() == "new" and names(tmp_path) == ["a.csv"]


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_text("~/a.txt", "é ✓")
    assert (tmp_path / "a.txt").read_bytes() == "é ✓".encode()


def test_numbers_that_json_does_not_have_are_null(tmp_path: Path) -> None:
    values = {"a": float("nan"), "b": [float("inf"), {"c": (-float("inf"), 0.5)}], "d": True, "e": 3}
    write_json(tmp_path / "a.json", values)
    content = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert content == {"a": None, "b": [None, {"c": [None, 0.5]}], "d": True, "e": 3}


def test_what_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "none" / "a.txt", "text")
    assert names(tmp_path) == []
