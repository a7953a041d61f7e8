"""Plankton and IDC: archives that are unpacked once, and folds."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.data.image.image_set import ImageSet
from experiments.data.sets.idc import IDC
from experiments.data.sets.plankton import Plankton
from tests.experiments.data.sets.copies import examples, write_idc, write_plankton

STAGES: Any = ("train", "val", "test")


def names(data: ImageSet, *stages: Any) -> list[str]:
    return ["/".join(file.parts[-3:]) for stage in stages for file in data.files(stage)]


@pytest.mark.parametrize("packed", [False, True])
def test_folds_of_plankton_are_stratified(tmp_path: Path, packed: bool) -> None:
    root = write_plankton(tmp_path / "set", packed)
    before = sorted(root.rglob("*"))
    tested = []
    for fold in range(1, 6):
        data = Plankton(root, fold, cache_dir=tmp_path / "cache", channels=1, size=[12, 16])
        assert data.classes == ["a", "b", "c"] and data.folds["test"] == [fold]
        for stage, share in ("train", 3), ("val", 1), ("test", 1):
            labels = Counter(name.split("/")[1] for name in names(data, stage))
            assert labels == {"a": share, "b": 2 * share, "c": 3 * share}
        for (x, label), file in zip(examples(data, "test"), data.files("test"), strict=True):
            assert data.classes[label] == file.parent.name
            assert (255 * x - int(file.stem)).abs().max() < 1 and x.shape == (1, 12, 16)
        tested += names(data, "test")
    assert len(tested) == len(set(tested)) == 30
    assert sorted(root.rglob("*")) == before


def test_folds_depend_on_the_seed_alone(tmp_path: Path) -> None:
    root = write_plankton(tmp_path / "set")
    first, again, other = (names(Plankton(root, seed=seed, cache_dir=tmp_path), "test") for seed in (0, 0, 1))
    assert first == again != other


def test_listed_folds_are_kept(tmp_path: Path) -> None:
    root = write_plankton(tmp_path / "set")
    rows = [(f"{'abbccc'[number // 5]}/{number}.jpg", "abbccc"[number // 5], number % 4 + 1) for number in range(30)]
    pd.DataFrame(rows, columns=["file", "label", "fold"]).to_csv(root / "metadata.csv", index=False)
    data = Plankton(root, 3, cache_dir=tmp_path / "cache", size=[8, 8])
    assert sorted(int(file.stem) for file in data.files("test")) == list(range(2, 30, 4))
    assert data.folds == {"train": [1, 2], "val": [4], "test": [3]}


@pytest.mark.parametrize("packed", [False, True])
def test_a_patient_is_in_one_fold_of_idc(tmp_path: Path, packed: bool) -> None:
    root = write_idc(tmp_path / "set", packed)
    tested = []
    for fold in range(1, 6):
        data = IDC(root, fold, cache_dir=tmp_path / "cache", size=[50, 50], fit="pad")
        patients = [{name.split("/")[0] for name in names(data, stage)} for stage in STAGES]
        assert sum(map(len, patients)) == len(set.union(*patients)) == 10
        labels = [label for _, label in examples(data, "test")]
        assert labels == [int(name.split("/")[1]) for name in names(data, "test")] and set(labels) == {0, 1}
        tested += names(data, "test")
    assert data.classes == ["normal", "idc"]
    assert len(tested) == len(set(tested)) == 95


def test_listed_folds_of_idc_are_kept_and_labels_are_known(tmp_path: Path) -> None:
    root = write_idc(tmp_path / "set", packed=False)
    files = [
        f"{8000 + patient}/{label}/{8000 + patient}_idx5_x0_y1_class{label}.png"
        for patient in range(10)
        for label in (0, 1)
    ]
    rows = [(file, ["normal", "idc"][int(file[5])], int(file[3]) % 3 + 1, file[:4]) for file in files]
    csv = root / "metadata.csv"
    pd.DataFrame(rows, columns=["file", "label", "fold", "patient"]).to_csv(csv, index=False)
    data = IDC(root, 2, cache_dir=tmp_path, size=[50, 50])
    assert {name.split("/")[0] for name in names(data, "test")} == {"8001", "8004", "8007"}
    assert [label for _, label in examples(data, "test")] == [0, 1] * 3
    csv.write_text(csv.read_text().replace("normal", "healthy"))
    with pytest.raises(ValueError, match=r"the class 'healthy'; choose among normal, idc"):
        IDC(root, 2, cache_dir=tmp_path)


def test_the_archive_of_another_page_has_the_patients_in_a_folder(tmp_path: Path) -> None:
    root = write_idc(tmp_path / "set" / "IDC_regular_ps50_idx5", packed=False).parent
    assert len(names(IDC(root, cache_dir=tmp_path / "cache"), *STAGES)) == 95


def test_a_damaged_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    root = write_plankton(tmp_path / "set")
    archive, cache = root / "train.zip", tmp_path / "cache"
    whole = archive.read_bytes()
    first = whole.index(b"\xff\xd8")
    archive.write_bytes(whole[:first] + bytes(200) + whole[first + 200 :])  # in the first image
    for damaged in archive.read_bytes(), whole[:-100]:
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"train.zip cannot be unpacked .*; download it again"):
            Plankton(root, cache_dir=cache)
        assert not [path for path in cache.iterdir() if path.suffix not in (".lock", ".partial")]
    archive.write_bytes(whole)
    data = Plankton(root, cache_dir=cache, size=[8, 8])
    assert len(names(data, *STAGES)) == 30
    kept = data.files("test")[0]
    os.utime(kept, (0, 0))
    Plankton(root, cache_dir=cache)
    assert kept.stat().st_mtime == 0  # not unpacked again


@pytest.mark.parametrize(
    "source, message",
    [
        (
            Plankton,
            r"train.zip not found: data.root must hold train.zip, or the folder train .* from https://www.kaggle.com",
        ),
        (IDC, r"images.zip not found: data.root must hold a folder for each patient .* from https://www.kaggle.com"),
    ],
)
def test_what_is_not_the_download(tmp_path: Path, source: type, message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        source(tmp_path)
