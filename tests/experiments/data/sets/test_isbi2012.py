"""ISBI 2012: stacks of slices, and folds of neighbours."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from experiments.data.sets.isbi2012 import ISBI2012
from tests.experiments.data.sets.copies import examples, save, write_isbi2012

STAGES: Any = ("train", "val", "test")


@pytest.mark.parametrize("fold", range(5))
def test_folds_are_neighbouring_slices(tmp_path: Path, fold: int) -> None:
    root = write_isbi2012(tmp_path / "set")
    data = ISBI2012(root, fold, cache_dir=tmp_path / "cache")
    numbers = {stage: [int(file.stem) for file in data.files(stage)] for stage in STAGES}
    assert numbers["test"] == list(range(6 * fold, 6 * fold + 6))
    assert numbers["val"] == list(range(6 * ((fold + 1) % 5), 6 * ((fold + 1) % 5) + 6))
    assert sorted(chain(*numbers.values())) == list(range(30))
    volume, labels = (tifffile.imread(root / f"train-{name}.tif") for name in ("volume", "labels"))
    for stage in STAGES:
        for (x, target), number in zip(examples(data, stage), numbers[stage], strict=True):
            assert np.array_equal(x[0], volume[number].astype(np.float32) / 255)
            assert np.array_equal(target, labels[number] == 0)  # class 1 is membrane
    assert data.classes == ["cell", "membrane"] and data.folds["test"] == [fold]


def test_slices_are_written_once(tmp_path: Path) -> None:
    root = write_isbi2012(tmp_path / "set")
    first = [ISBI2012(root, cache_dir=tmp_path / "cache").files("test")[0] for _ in range(2)]
    time = first[0].stat().st_mtime_ns
    assert first[0] == first[1] == ISBI2012(root, cache_dir=tmp_path / "cache").files("test")[0]
    assert first[0].stat().st_mtime_ns == time and sorted(file.name for file in root.iterdir()) == [
        "train-labels.tif", "train-volume.tif"
    ]  # fmt: skip


def test_a_listed_copy_has_its_folds(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        save(tmp_path / "images" / f"{number}.png", np.full((8, 9), number, np.uint8))
        save(tmp_path / "masks" / f"{number}.png", np.full((8, 9), 255 * (number % 2), np.uint8))
        rows.append((f"images/{number}.png", f"masks/{number}.png", number // 2))
    pd.DataFrame(rows, columns=["file", "mask", "fold"]).to_csv(tmp_path / "metadata.csv", index=False)
    data = ISBI2012(tmp_path, test_fold=1, channels=1)
    assert [file.stem for file in data.files("test")] == ["2", "3"]
    assert [target.unique().tolist() for _, target in examples(data, "test")] == [[0], [1]]


def test_what_is_not_the_download(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"train-volume.tif not found: data.root must hold train-volume.tif and .* http"
    ):
        ISBI2012(tmp_path)
    root = write_isbi2012(tmp_path / "set")
    stack = root / "train-labels.tif"
    for pages in np.zeros((29, 16, 20), np.uint8), np.zeros((30, 16, 20), np.uint16):
        tifffile.imwrite(stack, pages)
        with pytest.raises(
            ValueError, match=r"train-labels.tif is not a stack of 30 slices of 8 bits; download it again"
        ):
            ISBI2012(root, cache_dir=tmp_path / "cache")
    stack.write_bytes(b"II*\0")
    with pytest.raises(ValueError, match=r"train-labels.tif cannot be decoded"):
        ISBI2012(root, cache_dir=tmp_path / "cache")
    write_isbi2012(tmp_path / "other")
    (tmp_path / "other" / "train-labels.tif").rename(stack)
    assert len(ISBI2012(root, cache_dir=tmp_path / "cache", channels=1).split("test")) == 6
