"""DRIVE, STARE and CHASE_DB1: their layouts, their splits, their masks and fields of view."""

import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.data.image.image_set import ImageSet
from experiments.data.inputs import IGNORED
from experiments.data.sets.chase_db1 import CHASEDB1
from experiments.data.sets.drive import DRIVE
from experiments.data.sets.stare import STARE
from experiments.data.splits import log_counts
from experiments.training.loading import Batches
from tests.experiments.data.sets.copies import (
    examples,
    field,
    photograph,
    save,
    vessels,
    write_chase_db1,
    write_drive,
    write_stare,
)

STAGES: Any = ("train", "val", "test")


def names(data: ImageSet) -> dict[str, list[str]]:
    return {stage: [file.name.split(".")[0] for file in data.files(stage)] for stage in STAGES}


def check_examples(data: ImageSet, number_of: Callable[[str], int], observer: int = 1, tolerance: float = 0) -> None:
    """Compare each image and its mask, in validation and tests within the field of view, with those that were drawn."""
    for stage in STAGES:
        for (x, target), file in zip(examples(data, stage), data.files(stage), strict=True):
            number = number_of(file.name)
            drawn = torch.from_numpy(photograph(number)).movedim(-1, 0) / 255
            assert (x - drawn).abs().max() <= tolerance
            mask = vessels(number + 100 * (observer - 1)) // 255
            counts = field(number) if stage != "train" else True
            assert np.array_equal(target, np.where(counts, mask, IGNORED))


def test_drive_has_its_published_split(tmp_path: Path) -> None:
    data = DRIVE(write_drive(tmp_path))
    found = names(data)
    assert data.classes == ["background", "vessel"]
    assert found["test"] == [f"{number:02}_test" for number in range(1, 21)]
    assert len(found["val"]) == 4
    assert sorted(found["train"] + found["val"]) == [f"{number}_training" for number in range(21, 41)]
    check_examples(data, lambda name: int(name[:2]))


def test_validation_is_a_fixed_share(tmp_path: Path) -> None:
    write_drive(tmp_path)
    first, again, other = (names(DRIVE(tmp_path, 0.3, seed)) for seed in (0, 0, 1))
    assert first == again and len(first["val"]) == 6
    assert first["val"] != other["val"] and first["test"] == other["test"]
    for share in -0.1, 1:
        with pytest.raises(ValueError, match=f"data.val_share={share} is not a share of at least 0 and less than 1"):
            DRIVE(tmp_path, share)


def test_all_are_trained_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held_out, data = DRIVE(write_drive(tmp_path)), DRIVE(tmp_path, val_share=0)
    assert held_out.validated and not data.validated
    assert data.files("train") == sorted(held_out.files("train") + held_out.files("val"))
    assert data.files("test") == held_out.files("test") and Batches(data, 2).val_dataloader() == []
    with caplog.at_level("INFO"):
        log_counts(data)
    assert [message.split(" (")[0] for message in caplog.messages] == ["train: 20 examples", "test: 20 examples"]


def test_a_part_of_drive_is_missing(tmp_path: Path) -> None:
    write_drive(tmp_path)
    shutil.rmtree(tmp_path / "test" / "1st_manual")
    with pytest.raises(
        FileNotFoundError, match=r"test/1st_manual/01_manual1.gif not found: data.root must .* from http"
    ):
        DRIVE(tmp_path)


def test_a_listed_copy_is_read_by_its_columns(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        save(tmp_path / "images" / f"{number}.png", photograph(number))
        save(tmp_path / "masks" / f"{number}.png", vessels(number))
        save(tmp_path / "fov" / f"{number}.png", 255 * field(number).astype(np.uint8))
        part, child = ("train", f"0{number // 2}") if number < 4 else ("test", "09")
        rows.append((f"images/{number}.png", f"masks/{number}.png", f"fov/{number}.png", part, child, "x"))
    csv = tmp_path / "metadata.csv"
    pd.DataFrame(rows, columns=["file", "mask", "fov", "split", "child", "more"]).to_csv(csv, index=False)
    for data, val in (DRIVE(tmp_path), 1), (CHASEDB1(tmp_path), 2):
        found = names(data)
        assert found["test"] == ["4", "5"] and len(found["val"]) == val and len(found["train"]) == 4 - val
        check_examples(data, lambda name: int(name[0]))
    assert [int(name) // 2 for name in found["val"]] in ([0, 0], [1, 1])  # one child
    csv.write_text(csv.read_text().replace("split", "part"))
    with pytest.raises(ValueError, match=r"metadata.csv lacks the column split .*; download it again from http"):
        DRIVE(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("observer", [1, 2])
def test_stare_is_tested_on_one_image(tmp_path: Path, packed: bool, observer: int) -> None:
    root = write_stare(tmp_path / "set", packed)
    before = sorted(root.rglob("*"))
    data = STARE(root, test_fold=3, observer=observer, cache_dir=tmp_path / "cache")
    found = names(data)
    assert (found["test"], found["val"]) == (["im0021"], ["im0028"])
    assert len(found["train"]) == 18 and not {"im0021", "im0028"} & set(found["train"])
    check_examples(data, lambda name: int(name[2:6]) // 7, observer)
    assert sorted(root.rglob("*")) == before


def test_folds_of_stare(tmp_path: Path) -> None:
    root = write_stare(tmp_path / "set")
    tested = [names(STARE(root, 5, fold, cache_dir=tmp_path / "cache"))["test"] for fold in range(1, 6)]
    assert [len(some) for some in tested] == [4] * 5
    assert sorted(chain(*tested)) == [f"im{7 * number:04}" for number in range(1, 21)]
    for options, message in (
        ({"folds": 2}, "data.folds=2 is not a number from 3 to 20"),
        ({"observer": 3}, "data.observer=3 is unknown; choose 1 or 2"),
        ({"folds": 5, "test_fold": 6}, "data.test_fold=6 is not a fold of this set"),
    ):
        with pytest.raises(ValueError, match=message):
            STARE(root, **options, cache_dir=tmp_path / "cache")
    (root / "labels-ah" / "im0007.ah.ppm").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"labels-ah/im0001.ah.ppm .*\(there are 20 and 19\); download it from http"
    ):
        STARE(root, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("observer", [1, 2])
def test_chase_db1_is_split_by_child(tmp_path: Path, observer: int) -> None:
    root = write_chase_db1(tmp_path / "set")
    data = CHASEDB1(root, observer=observer, cache_dir=tmp_path / "cache")
    found = names(data)
    children = {stage: {name[6:8] for name in found[stage]} for stage in STAGES}
    assert children["test"] == {"11", "12", "13", "14"} and len(found["test"]) == 8
    assert len(children["val"]) == 2 and len(found["val"]) == 4 and len(found["train"]) == 16
    assert children["train"].isdisjoint(children["val"])
    number_of: Callable[[str], int] = lambda name: 2 * (int(name[6:8]) - 1) + (name[8] == "R")  # noqa: E731
    check_examples(data, number_of, observer, tolerance=2.1 / 255)
    for file, message in ("Image_14R_1stHO.png", "Image_14R_1stHO.png not found: data.root must hold Image_01L.jpg"), (
        "Image_01L.jpg", "Image_01L.jpg not found: data.root must hold Image_01L.jpg, .* from http"
    ):  # fmt: skip
        (root / file).unlink()
        with pytest.raises(FileNotFoundError, match=message):
            CHASEDB1(root, cache_dir=tmp_path / "cache")
