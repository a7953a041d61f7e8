"""Folders of sounds or images in which a class is a subfolder."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hydra.utils import instantiate
from PIL import Image

from experiments.data.image.image_set import ImageSet
from experiments.data.sets.folder import Folder, files_below
from experiments.data.sound.audio_set import AudioSet
from tests.experiments.runs import composed, run

RATE = 8000
STAGES: Any = ("train", "val", "test")


def write_image(file: Path, value: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (value, value, value)).save(file)
    return file


def write_sound(file: Path, length: int = 80) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, length), RATE)
    return file


def stems(data: Any) -> list[list[str]]:
    return [[file.stem for file in data.files(stage)] for stage in STAGES]


def test_classes_are_subfolders_and_folds_are_stratified(tmp_path: Path) -> None:
    for number in range(20):
        write_image(tmp_path / "cats" / "deep" / "er" / f"{number}.png", 1)
    for number in range(20, 30):
        write_image(tmp_path / "Dogs" / f"{number}.jpg", 2)
    data = Folder(tmp_path)
    assert issubclass(type(data), ImageSet) and data.classes == ["Dogs", "cats"]
    assert data.folds == {"train": [3, 4, 5], "val": [2], "test": [1]}
    for stage, share in zip(STAGES, (3, 1, 1), strict=True):
        examples = data.split(stage)
        assert [label for _, label in examples].count(1) == 4 * share
        assert [label for _, label in examples].count(0) == 2 * share
        assert all(
            label == int(int(file.stem) < 20) for (_, label), file in zip(examples, data.files(stage), strict=True)
        )
    assert stems(data) == stems(Folder(tmp_path)) != stems(Folder(tmp_path, seed=1))
    tests = [stem for fold in range(1, 6) for stem in stems(Folder(tmp_path, test_fold=fold))[2]]
    assert sorted(tests, key=int) == [str(number) for number in range(30)]


def test_sounds(tmp_path: Path) -> None:
    for number in range(6):
        write_sound(tmp_path / "ab"[number % 2] / f"{number}.{'flac' if number else 'wav'}")
    data = Folder(tmp_path, folds=3, sample_rate=RATE, duration=0.01, cache_dir=tmp_path / "cache", num_workers=1)
    assert issubclass(type(data), AudioSet) and data.classes == ["a", "b"]
    assert sorted(label for _, label in data.split("val")) == [0, 1]


@pytest.mark.parametrize("words", [("train", "val", "test"), ("Training", "valid", "Testing")])
def test_folders_of_stages_are_the_split(tmp_path: Path, words: tuple[str, str, str]) -> None:
    for number, word in enumerate(words):
        write_image(tmp_path / word / "a" / f"{number}.png")
        write_image(tmp_path / word / "b" / f"{number + 3}.png")
    data = Folder(tmp_path)
    assert data.classes == ["a", "b"] and data.folds == {}
    assert stems(data) == [["0", "3"], ["1", "4"], ["2", "5"]]
    with pytest.raises(ValueError, match="has the split in its folders, and no folds"):
        Folder(tmp_path, test_fold=1)


def test_without_a_validation_folder_training_examples_validate(tmp_path: Path) -> None:
    for number in range(20):
        write_image(tmp_path / "train" / "ab"[number % 2] / f"{number}.png")
        write_image(tmp_path / "test" / "ab"[number % 2] / f"{number + 20}.png")
    data = Folder(tmp_path)
    assert [len(data.files(stage)) for stage in STAGES] == [16, 4, 20]
    assert sorted(label for _, label in data.split("val")) == [0, 0, 1, 1]
    assert all(int(stem) >= 20 for stem in stems(data)[2])


def test_a_split_without_tests(tmp_path: Path) -> None:
    for word in "train", "val":
        write_image(tmp_path / word / "a" / "0.png")
    with pytest.raises(ValueError, match="has no test examples in its split"):
        Folder(tmp_path)


def test_folders_beside_a_split(tmp_path: Path) -> None:
    for word in "Train", "test":
        for number in range(6):
            write_image(tmp_path / word / "ab"[number % 2] / f"{number}.png")
    write_image(tmp_path / "more" / "0.png")
    write_image(tmp_path / "unlabelled" / "0.png")
    with pytest.raises(ValueError, match=r"split Train, test beside more, unlabelled; move more, unlabelled elsewhere"):
        Folder(tmp_path)


def test_a_folder_of_tests_alone(tmp_path: Path) -> None:
    for number in range(4):
        write_image(tmp_path / "test" / "ab"[number % 2] / f"{number}.png")
    data = Folder(tmp_path)
    assert data.classes == ["a", "b"]
    assert stems(data) == [[], [], ["0", "2", "1", "3"]]


@pytest.mark.parametrize(("word", "lacking"), [("train", "no test"), ("dev", "no test and no train")])
def test_one_folder_of_a_split(tmp_path: Path, word: str, lacking: str) -> None:
    for number in range(10):
        write_image(tmp_path / word / "ab"[number % 2] / f"{number}.png")
    with pytest.raises(ValueError, match=f"split {word} and {lacking}; add what is missing, or rename {word} if"):
        Folder(tmp_path)


def test_a_class_may_be_named_like_a_stage(tmp_path: Path) -> None:
    for number in range(10):
        write_image(tmp_path / ["bus", "train"][number % 2] / f"{number}.png")
    assert Folder(tmp_path).classes == ["bus", "train"]


def test_hidden_files_and_links(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    root = tmp_path / "root"
    for number in range(5):
        write_image(root / "a" / f"{number}.png")
    for hidden in ".trash/1.png", "a/._1.png", "a/.thumbs/2.png":
        write_image(root / hidden)
    (root / "a" / "notes.txt").touch()
    (root / "README").touch()
    for number in range(5):
        write_image(tmp_path / "elsewhere" / f"{number + 5}.png")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "circle").symlink_to(root)
    names = [file.relative_to(root).as_posix() for file in files_below(root) if file.suffix == ".png"]
    assert names == [*(f"a/{n}.png" for n in range(5)), *(f"b/{n}.png" for n in range(5, 10))]
    data = Folder(root)
    assert sum(map(len, stems(data))) == 10 and data.classes == ["a", "b"]
    assert "left out 2 files that are neither sounds nor images: .txt, README" in caplog.text


def test_a_file_in_two_classes(tmp_path: Path) -> None:
    for number in range(5):
        write_image(tmp_path / "a" / f"{number}.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link.png").symlink_to(tmp_path / "a" / "3.png")
    with pytest.raises(ValueError, match=r"a/3.png and .*b/link.png are one file, listed twice"):
        Folder(tmp_path)


def test_a_group_stays_in_one_fold(tmp_path: Path) -> None:
    for number in range(40):
        write_image(tmp_path / "ab"[number % 2] / f"P{number // 4}" / f"slide{number}.png")
    for group in r"(P\d+)", r"^(P.*?)/":
        data = Folder(tmp_path, group=group)
        patients = [{file.parent.name for file in data.files(stage)} for stage in STAGES]
        assert [len(some) for some in patients] == [6, 2, 2] and len(set().union(*patients)) == 10
        assert all(file.parent.name == data.group_of[file] for file in data.files("test"))
    with pytest.raises(ValueError, match=r"data.group=P does not|data.group=P is not a regular expression with paren"):
        Folder(tmp_path, group="P")


def test_a_group_in_two_folders_of_stages(tmp_path: Path) -> None:
    for word in STAGES:
        write_image(tmp_path / word / "a" / f"P1_{word}.png")
    with pytest.raises(ValueError, match="the group P1 is in "):
        Folder(tmp_path, group=r"(P\d+)_")


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none is not a folder; data.root must be a folder with a subfolder"):
        Folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"contains no sounds and no images"):
        Folder(tmp_path)
    write_image(tmp_path / "loose.png")
    with pytest.raises(ValueError, match=r"loose.png is in no folder of a class; move it into a subfolder"):
        Folder(tmp_path)
    (tmp_path / "loose.png").unlink()
    write_image(tmp_path / "Dog" / "0.png")
    write_image(tmp_path / "dog" / "1.png")
    with pytest.raises(ValueError, match="the classes 'Dog' and 'dog' differ in case"):
        Folder(tmp_path)
    write_sound(tmp_path / "dog" / "2.wav").rename(tmp_path / "Dog" / "2.wav")
    (tmp_path / "dog" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"data.folds=3 is more than the 2 examples of the largest class"):
        Folder(tmp_path, folds=3)
    write_image(tmp_path / "Dog" / "3.png")
    with pytest.raises(ValueError, match=r"0.png is an image and .*2.wav is not; make two sets"):
        Folder(tmp_path, folds=3)


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for number in range(5):
        write_image(tmp_path / "set" / "a" / f"{number}.png")
    assert sum(map(len, stems(Folder("~/set")))) == 5


def test_the_command_trains_on_a_folder(tmp_path: Path) -> None:
    for number in range(12):
        write_sound(tmp_path / "set" / "ab"[number % 2] / f"{number}.wav", 2000)
    results = run(
        tmp_path / "run",
        *("experiment=[]", "data=folder", f"data.root={tmp_path}/set", "data.folds=3", "data.test_fold=2"),
        *(f"data.cache_dir={tmp_path}/cache", "data.num_workers=1", "data.sample_rate=8000", "data.duration=0.2"),
        *("model=mnet", "model.depth=3", "trainer=cpu", "trainer.max_epochs=1", "rescale=[]"),
    )
    assert results["test_examples"] == 4 and results["classes"] == ["a", "b"]
    assert results["test_fold"] == 2 and results["folds"] == [1, 2, 3]


def test_the_configuration_makes_the_set(tmp_path: Path) -> None:
    for number in range(9):
        write_image(tmp_path / "ab"[number % 2] / f"{number}.png")
    cfg = composed("data=folder", f"data.root={tmp_path}", "data.folds=3", "data.size=[4,4]", "data.channels=1").data
    assert instantiate(cfg).split("test")[0][0].shape == (1, 4, 4)
