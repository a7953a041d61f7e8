"""MoNuSeg: the challenge's split and that of 2017, outlines and masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.data.image.image_set import ImageSet
from experiments.data.inputs import INSTANCE
from experiments.data.sets.monuseg import MoNuSeg
from tests.experiments.data.sets.copies import (
    KUMAR_OTHER,
    KUMAR_SAME,
    KUMAR_TRAIN,
    TESTED,
    examples,
    save,
    write_monuseg,
)

STAGES: Any = ("train", "val", "test")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_monuseg(tmp_path_factory.mktemp("monuseg") / "set")


def patients(data: ImageSet, *stages: Any) -> set[str]:
    return {file.name[5:12] for stage in stages for file in data.files(stage)}


@pytest.mark.parametrize(
    "split, trained, tested",
    [
        ("challenge", f"{KUMAR_TRAIN} {KUMAR_SAME} {KUMAR_OTHER}", TESTED),
        ("kumar", KUMAR_TRAIN, f"{KUMAR_SAME} {KUMAR_OTHER}"),
        ("kumar_same", KUMAR_TRAIN, KUMAR_SAME),
        ("kumar_other", KUMAR_TRAIN, KUMAR_OTHER),
    ],
)
def test_the_published_splits(root: Path, split: str, trained: str, tested: str) -> None:
    data = MoNuSeg(root, split, cache_dir=root.parent / "cache")
    assert patients(data, "test") == set(tested.split()) and len(data.files("test")) == len(tested.split())
    assert patients(data, "train", "val") == set(trained.split())
    assert patients(data, "train").isdisjoint(patients(data, "val"))
    assert len(data.files("val")) == round(0.2 * len(trained.split()))
    assert data.input.mpp == 0.25


def test_outlines_are_filled_and_numbered(root: Path) -> None:
    before = sorted(root.rglob("*"))
    data = MoNuSeg(root, cache_dir=root.parent / "cache")
    expected = np.zeros((20, 24), np.int64)
    expected[4:9, 8:12] = 1 + INSTANCE
    expected[3:10, 2:9] = 1 + 2 * INSTANCE  # the later one is on top
    for stage in STAGES:
        for _, target in examples(data, stage):
            assert np.array_equal(target, expected)
    assert sorted(root.rglob("*")) == before


def test_the_masks_of_2017_need_no_test_data_of_the_challenge(tmp_path: Path) -> None:
    root = write_monuseg(tmp_path / "set")
    (root / "MoNuSegTestData").rename(tmp_path / "elsewhere")
    assert len(MoNuSeg(root, "kumar", cache_dir=tmp_path / "cache").files("test")) == 14
    with pytest.raises(
        FileNotFoundError, match=r"MoNuSegTestData/\*.tif \(there are 0\) not found: .*; download it from http"
    ):
        MoNuSeg(root, cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match=r"data.split=2017 is unknown; choose challenge, kumar, "):
        MoNuSeg(root, "2017", cache_dir=tmp_path / "cache")
    annotation = next(root.rglob("TCGA-18-5592*.xml"))
    annotation.write_text("<Annotations>")
    with pytest.raises(ValueError, match=r"TCGA-18-5592.*.xml cannot be read as outlines"):
        MoNuSeg(root, "kumar", cache_dir=tmp_path / "cache")
    annotation.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"Annotations/TCGA-18-5592.*.xml not found: data.root must hold Tissue"
    ):
        MoNuSeg(root, "kumar", cache_dir=tmp_path / "cache")
    next(root.rglob("TCGA-18-5592*.tif")).unlink()
    with pytest.raises(FileNotFoundError, match=r"Tissue Images/TCGA-18-5592\*.tif not found: .* from http"):
        MoNuSeg(root, "kumar", cache_dir=tmp_path / "cache")


def test_later_downloads_have_more_training_images(tmp_path: Path) -> None:
    root = write_monuseg(tmp_path / "set")
    image = next(root.rglob("TCGA-18-5592*.tif"))
    image.with_name("TCGA-XX-0000-01Z-00-DX1.tif").write_bytes(image.read_bytes())
    data = MoNuSeg(root, cache_dir=tmp_path / "cache")
    assert len(patients(data, "train", "val")) == 30 and "XX-0000" not in patients(data, *STAGES)


def test_masks_in_the_place_of_outlines(tmp_path: Path) -> None:
    root = write_monuseg(tmp_path / "set")
    mask = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (20, 24))
    for file in root.rglob("*.xml"):
        file.unlink()
        save(file.with_suffix(".png"), mask)
    data = MoNuSeg(root, cache_dir=tmp_path / "cache")
    assert all(np.array_equal(target, mask // 255) for stage in STAGES for _, target in examples(data, stage))
    assert not (tmp_path / "cache").exists()


def test_a_listed_copy_knows_the_objects_of_some_images(tmp_path: Path) -> None:
    rows = []
    for number, patient in enumerate(
        [*KUMAR_TRAIN.split(), *KUMAR_SAME.split(), *KUMAR_OTHER.split(), *TESTED.split()]
    ):
        objects = np.zeros((8, 9), np.uint16)
        objects[:3, :4], objects[5:, 6:] = 1, 300
        save(tmp_path / "images" / f"{number}.png", np.full((8, 9, 3), number, np.uint8))
        save(tmp_path / "masks" / f"{number}.png", 255 * (objects > 0).astype(np.uint8))
        if known := number % 2:
            Image.fromarray(objects).save(save(tmp_path / "objects" / f"{number}.png", objects))
        part = "test" if patient in TESTED else "train"
        instances = f"objects/{number}.png" if known else ""
        rows.append((f"images/{number}.png", f"masks/{number}.png", instances, part, f"TCGA-{patient}"))
    columns = ["file", "mask", "instances", "split", "patient"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "metadata.csv", index=False)
    for split, count in ("challenge", 14), ("kumar_same", 8):
        data = MoNuSeg(tmp_path, split)
        assert len(data.files("test")) == count
        for (_, target), file in zip(examples(data, "test"), data.files("test"), strict=True):
            assert target.unique().tolist() == ([0, 1 + INSTANCE, 1 + 300 * INSTANCE] if int(file.stem) % 2 else [0, 1])
