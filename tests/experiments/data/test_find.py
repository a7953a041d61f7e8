"""Files, folders and globs."""

from pathlib import Path

import pytest

from experiments.data.find import find_files, skipped_line
from experiments.data.sound.recordings import is_sound


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(root: Path, *patterns: str) -> tuple[list[str], str]:
    files, skipped = find_files((f"{root}/{p}" for p in patterns), is_sound, "audio file")
    return [str(Path(file).relative_to(root)) for file in files], skipped_line(skipped) if skipped else ""


def test_files_folders_and_globs(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b [1].flac", "deep/er/c.OGG", "deep/d.mp3", "deep/notes.txt", "deep/README")
    skipped = "skipped 2 files: .txt, without suffix"
    assert found(tmp_path, "") == (["a.wav", "b [1].flac", "deep/d.mp3", "deep/er/c.OGG"], skipped)
    assert found(tmp_path, "deep") == (["deep/d.mp3", "deep/er/c.OGG"], skipped)
    assert found(tmp_path, "*.wav", "deep/**/*.OGG", "a.wav") == (["a.wav", "deep/er/c.OGG"], "")
    assert found(tmp_path, "b [1].flac", "none.wav") == (["b [1].flac", "none.wav"], "")


def test_a_folder_or_a_glob_without_files_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "other/a.m4a", "other/b.m4a")
    (tmp_path / "empty").mkdir()
    for pattern, message in (
        ("empty", "empty contains no audio file$"),
        ("other", r"other contains no audio file \(skipped 2 files: 2 .m4a\)"),
        ("*.aiff", r"no file matches .*\*.aiff"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            found(tmp_path, pattern)


def test_links_are_followed_and_hidden_names_left_out(tmp_path: Path) -> None:
    make(tmp_path, "rec/a.wav", "rec/.trash/old.wav", "rec/._a.wav", "other/b.wav")
    (tmp_path / "rec" / "session2").symlink_to("../other", target_is_directory=True)
    (tmp_path / "other" / "round").symlink_to("../rec", target_is_directory=True)  # links in a circle
    assert found(tmp_path, "rec") == (["rec/a.wav", "rec/session2/b.wav"], "")


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.wav")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_files(["~/a.wav", "~"], is_sound, "audio file")[0] == [str(tmp_path / "a.wav")]
