"""Sets that a CSV file lists: folds and splits, one label, several or numbers, and windows of sounds."""

from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from experiments.data.image.image_set import ImageSet
from experiments.data.sets.listing import CSV
from experiments.data.sound.audio_set import AudioSet
from tests.experiments.data.sets.lists import (
    STAGES,
    options,
    write_images,
    write_listing,
    write_sounds,
)
from tests.experiments.runs import composed


@pytest.mark.parametrize("folds", [[600, 900, 1200], ["slow", "fast", "medium"], [0.5, 1.5, 2.5], [1.0, 2.0, 10.0]])
def test_folds_may_be_any_values(tmp_path: Path, folds: list[Any]) -> None:
    names = write_sounds(tmp_path, [80] * 6)
    file = write_listing(
        tmp_path, [(name, "ab"[i % 2], folds[i // 2]) for i, name in enumerate(names)], "file,label,fold"
    )
    data = CSV(file, test_fold=folds[1], **options(tmp_path))
    assert issubclass(type(data), AudioSet) and data.classes == ["a", "b"]
    after = {600: 1200, "slow": "medium", 0.5: "2.5", 1.0: 10}[folds[0]]  # the one after the second, in order
    first = {600: 600, "slow": "slow", 0.5: "0.5", 1.0: 1}[folds[0]]
    assert (data.folds["train"], data.folds["val"]) == ([first], [after])
    assert [file.name for file in data.files("test")] == ["2.wav", "3.flac"]
    assert [label for _, label in data.split("test")] == [0, 1]
    with pytest.raises(ValueError, match=r"data.test_fold=77 is not a fold of this set"):
        CSV(file, test_fold=77, **options(tmp_path))


def test_a_split_is_kept_and_a_fold_asked_for_comes_first(tmp_path: Path) -> None:
    names = write_sounds(tmp_path / "sounds", [80] * 6)
    words = ["Training", "validation", "test", "train", "dev", "test"]
    rows = [(name, i % 2, words[i], i // 2, "x") for i, name in enumerate(names)]
    file = write_listing(tmp_path / "elsewhere", rows, "file,label,split,fold,more", "list.tsv")
    data = CSV(file, root=tmp_path / "sounds", **options(tmp_path))
    assert {stage: [path.stem for path in data.files(stage)] for stage in STAGES} == {
        "train": ["0", "3"],
        "val": ["1", "4"],
        "test": ["2", "5"],
    }
    assert data.folds == {} and data.classes == ["0", "1"]
    data = CSV(file, root=tmp_path / "sounds", test_fold=2, **options(tmp_path))
    assert [path.stem for path in data.files("test")] == ["4", "5"] and data.folds["test"] == [2]


def test_several_labels_or_none(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    rows = [(names[0], "b | a", "train"), (names[1], "", "val"), (names[2], "c|b", "test")]
    file = write_listing(tmp_path, rows, "file,label,split")
    data = CSV(file, **options(tmp_path))
    assert data.classes == ["a", "b", "c"]
    assert [data.split(stage)[0][1].tolist() for stage in STAGES] == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert data.split("train")[0][1].dtype == torch.float32
    with pytest.raises(ValueError, match=r"line 3 of data.metadata has no label"):
        CSV(file, multi_label=False, **options(tmp_path))
    single = write_listing(tmp_path, [(*row[:1], "a", row[2]) for row in rows], "file,label,split", "single.csv")
    assert CSV(single, multi_label=True, **options(tmp_path)).split("val")[0][1].tolist() == [1]


@pytest.mark.parametrize("kind", ["sounds", "images"])
def test_numbers_to_be_predicted(tmp_path: Path, kind: str) -> None:
    names = write_sounds(tmp_path / "sounds", [80] * 3) if kind == "sounds" else [f"{n}.png" for n in range(3)]
    write_images(tmp_path / "images")
    more = options(tmp_path) if kind == "sounds" else {}
    rows = [(name, [1.5, -2, 1e3][n], n, STAGES[n], "x") for n, name in enumerate(names)]
    file = write_listing(tmp_path / kind, rows, "file,age,value,split,label")
    data = CSV(file, values=["age", "value"], **more)
    assert data.classes == ["age", "value"]
    for stage, expected in zip(STAGES, [[1.5, 0], [-2, 1], [1000, 2]], strict=True):
        examples = data.split(stage)
        assert examples.labels.dtype == np.float64 and examples.labels.tolist() == [expected]
        assert examples[0][1].dtype == torch.float32 and examples[0][1].tolist() == expected
    file = write_listing(tmp_path / kind, [(row[0], row[2], row[3]) for row in rows], "file,value,split")
    assert CSV(file, **more).classes == ["value"]


def test_folds_are_drawn_if_the_list_has_none(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 30)
    rows = [(name, "ab"[n % 2], n // 3) for n, name in enumerate(names)]
    file = write_listing(tmp_path, rows, "file,label,patient")

    def stages(**more: Any) -> list[list[str]]:
        data = CSV(file, **options(tmp_path, **more))
        return [[path.stem for path in data.files(stage)] for stage in STAGES]

    drawn = stages()
    assert [len(stage) for stage in drawn] == [18, 6, 6] and len({*chain(*drawn)}) == 30
    assert [sum(int(name) % 2 for name in stage) for stage in drawn] == [9, 3, 3]
    assert drawn == stages() != stages(seed=1)
    tests = [stages(test_fold=fold)[2] for fold in range(1, 6)]
    assert sorted(chain(*tests)) == sorted(chain(*drawn))
    assert len(stages(folds=3)[0]) == 10
    for group in "patient", r"/(\d+?)\d?\.":
        by_group = stages(group=group)
        of = [{int(name) // 3 if group == "patient" else name[0] for name in stage} for stage in by_group]
        assert all(of) and not of[0] & of[1] and not of[0] & of[2] and not of[1] & of[2]
    groups = CSV(file, **options(tmp_path, group="patient")).group_of
    assert len(groups) == 30 and all(int(path.stem) // 3 == int(patient) for path, patient in groups.items())


def test_validation_examples_are_drawn_from_training_examples(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 14)
    rows = [(name, "ab"[n % 2], "test" if n < 4 else "train") for n, name in enumerate(names)]
    data = CSV(write_listing(tmp_path, rows, "file,label,split"), **options(tmp_path))
    assert [len(data.files(stage)) for stage in STAGES] == [8, 2, 4]
    assert {path.stem for path in data.files("test")} == {"0", "1", "2", "3"}
    assert [label for _, label in data.split("val")] in ([0, 1], [1, 0])
    tests = CSV(write_listing(tmp_path, rows[:4], "file,label,split"), **options(tmp_path))
    assert len(tests.split("test")) == 4


def test_a_group_is_in_one_stage(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    rows = [(name, "a", stage, "p") for name, stage in zip(names, STAGES, strict=True)]
    file = write_listing(tmp_path, rows, "file,label,split,patient")
    with pytest.raises(ValueError, match="the group p is in train and in val"):
        CSV(file, **options(tmp_path, group="patient"))


def test_blanks_make_no_other_group(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 40)
    rows = [(name, "ab"[n % 2], f"{' ' * (n % 3 == 1)}P{n % 8}{' ' * (n % 3)}") for n, name in enumerate(names)]
    data = CSV(write_listing(tmp_path, rows, "file,label,patient"), **options(tmp_path, group="patient"))
    patients = [{int(path.stem) % 8 for path in data.files(stage)} for stage in STAGES]
    assert sum(map(len, patients)) == 8
    assert set(data.group_of.values()) == {f"P{n}" for n in range(8)}


def test_a_patient_may_be_written_as_a_whole_number_or_with_a_zero(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 40)
    rows = [(name, "ab"[n % 2], f"{n % 8}{'.0' * (n % 3 == 1)}") for n, name in enumerate(names)]
    data = CSV(write_listing(tmp_path, rows, "file,label,patient"), **options(tmp_path, group="patient"))
    assert set(data.group_of.values()) == {str(n) for n in range(8)}


def test_home_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    names = write_sounds(tmp_path / "sounds", [80] * 3)
    write_listing(tmp_path, [(name, "a", n) for n, name in enumerate(names)], "file,label,fold")
    data = CSV("~/metadata.csv", root="~/sounds", **options(tmp_path, cache_dir="~/cache"))
    assert len(data.split("test")) == 1 and (tmp_path / "cache").is_dir()


def test_names_that_look_like_nothing_are_names(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    labels = ["NA", "null", "nan"]
    file = write_listing(tmp_path, [(name, labels[i], i) for i, name in enumerate(names)], "file,label,fold")
    assert CSV(file, **options(tmp_path)).classes == ["NA", "nan", "null"]


def test_labels_are_texts(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    file = write_listing(
        tmp_path, [(name, ["01", "1", "1.0"][i], i) for i, name in enumerate(names)], "file,label,fold"
    )
    assert sorted(CSV(file, **options(tmp_path)).classes) == ["01", "1", "1.0"]


def test_a_split_goes_without_folds(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    stages = ["train", "val", "test"]
    file = write_listing(tmp_path, [(name, "a", stages[i]) for i, name in enumerate(names)], "file,label,split")
    with pytest.raises(ValueError, match=r"has its own split; data.val_fold=False needs data.test_fold"):
        CSV(file, **options(tmp_path), val_fold=False)


def test_the_configuration_makes_the_set_and_has_all_of_its_keys(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [9000] * 15)
    file = write_listing(tmp_path, [(n, "a", i % 3) for i, n in enumerate(names)], "file,label,fold")
    cfg = composed("data=csv", f"data.metadata={file}", f"data.cache_dir={tmp_path}", "data.num_workers=1").data
    assert len(instantiate(cfg).split("test")) == 5
    arguments = {**signature(AudioSet).parameters, **signature(ImageSet).parameters, **signature(CSV).parameters}
    for name in "cls", "recordings", "listed", "options":
        arguments.pop(name, None)
    assert set(cfg) == {"_target_", *arguments}
    defaults = composed("data=csv", "data.metadata=list.csv").data
    for name, argument in arguments.items():
        assert name == "metadata" or defaults[name] == argument.default, name
