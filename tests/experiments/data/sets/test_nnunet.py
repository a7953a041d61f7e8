"""Images and masks in the layout of nnU-Net."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from experiments.data.inputs import IGNORED
from experiments.data.sets.nnunet import NNUNet
from tests.experiments.runs import composed, run

STAGES: Any = ("train", "val", "test")
LABELS = {"background": 0, "vessel": 1, "disc": 2}


def write_set(
    root: Path,
    cases: int = 10,
    channels: int = 2,
    colour: bool = False,
    labels: Any = LABELS,
    part: str = "Tr",
    ending: str = ".png",
) -> Path:
    """Write a set; a pixel of channel c of a case is 10 · case + c, and its class is its column modulo 3."""
    for folder in f"images{part}", f"labels{part}":
        (root / folder).mkdir(parents=True)
    for case in range(cases):
        values = np.full((6, 8, channels), 10 * case, np.uint8) + np.arange(channels, dtype=np.uint8)
        files = [values] if colour else [values[..., channel] for channel in range(channels)]
        for channel, pixels in enumerate(files):
            Image.fromarray(pixels).save(root / f"images{part}" / f"eye_{case:02}_{channel:04}{ending}")
        mask = np.tile(np.arange(8, dtype=np.uint8) % 3, (6, 1))
        Image.fromarray(mask).save(root / f"labels{part}" / f"eye_{case:02}{ending}")
    names = {str(channel): f"channel {channel}" for channel in range(channels)}
    content = {"channel_names": names, "labels": labels, "numTraining": cases, "file_ending": ending}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def case_of(x: Tensor) -> int:
    return round(x[0, 0, 0].item() * 255) // 10


@pytest.mark.parametrize("channels, colour, ending", [(1, False, ".tif"), (2, False, ".png"), (3, True, ".png")])
def test_cases_with_all_their_channels(tmp_path: Path, channels: int, colour: bool, ending: str) -> None:
    data: Any = NNUNet(write_set(tmp_path / "Dataset001_Eyes", channels=channels, colour=colour, ending=ending))
    assert data.classes == ["background", "vessel", "disc"] and data.input.channels == channels
    assert data.folds == {"train": [3, 4, 5], "val": [2], "test": [1]}
    cases = []
    for stage in STAGES:
        for (x, mask), file in zip(data.split(stage), data.files(stage), strict=True):
            assert x.shape == (channels, 6, 8) and file.name == f"eye_{case_of(x):02}_0000{ending}"
            assert (x * 255).round()[:, 0, 0].tolist() == [10 * case_of(x) + channel for channel in range(channels)]
            assert torch.equal(mask, (torch.arange(8) % 3).expand(6, 8))
            cases.append(case_of(x))
    assert sorted(cases) == list(range(10)) and [len(data.split(stage)) for stage in STAGES] == [6, 2, 2]
    assert [file for file in data.files("test")] != NNUNet(tmp_path / "Dataset001_Eyes", seed=1).files("test")


def test_published_tests(tmp_path: Path) -> None:
    write_set(tmp_path, cases=3, part="Ts")
    data: Any = NNUNet(write_set(tmp_path, cases=10))
    assert {file.parent.name for file in data.files("test")} == {"imagesTs"} and data.folds == {}
    assert [len(data.files(stage)) for stage in STAGES] == [8, 2, 3]
    with pytest.raises(ValueError, match="has test examples in labelsTs, and no folds"):
        NNUNet(tmp_path, test_fold=1)


def test_images_for_tests_without_masks_are_left_out(tmp_path: Path) -> None:
    write_set(tmp_path, cases=3, part="Ts")
    for file in (tmp_path / "labelsTs").iterdir():
        file.unlink()
    (tmp_path / "labelsTs").rmdir()
    data: Any = NNUNet(write_set(tmp_path, cases=10))
    assert sum(len(data.files(stage)) for stage in STAGES) == 10


def test_the_label_ignore_does_not_count(tmp_path: Path) -> None:
    data: Any = NNUNet(write_set(tmp_path, labels={"vessel": 1, "background": 0, "ignore": 2}))
    assert data.classes == ["background", "vessel"]
    assert data.split("test")[0][1][0].tolist() == [0, 1, IGNORED, 0, 1, IGNORED, 0, 1]


def test_the_first_version_of_the_layout(tmp_path: Path) -> None:
    file = write_set(tmp_path, labels={"0": "background", "1": "vessel", "2": "disc"}) / "dataset.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({"modality": content.pop("channel_names"), **content}))
    assert NNUNet(tmp_path).classes == ["background", "vessel", "disc"]


def test_a_group_stays_in_one_fold(tmp_path: Path) -> None:
    data: Any = NNUNet(write_set(tmp_path, cases=25), folds=3, group=r"eye_(\d)")
    groups = [{file.name[4] for file in data.files(stage)} for stage in STAGES]
    assert sorted(chain(*groups)) == ["0", "1", "2"]
    assert {data.group_of[file] for file in data.files("test")} == groups[2]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"dataset.json not found; data.root must be a folder such as Dataset001"
    ):
        NNUNet(tmp_path)
    root = write_set(tmp_path / "a")
    with pytest.raises(ValueError, match=r"data.channels=3, but .*dataset.json names 2"):
        NNUNet(root, channels=3)
    (root / "imagesTr" / "eye_03_0001.png").rename(root / "imagesTr" / "eye_03_0002.png")
    with pytest.raises(ValueError, match=r"imagesTr/eye_03 has the channels \[0, 2\]; 2 are needed"):
        NNUNet(root)
    (root / "imagesTr" / "eye_03_0002.png").rename(root / "imagesTr" / "eye_03_0001.png")
    (root / "labelsTr" / "eye_05.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"labelsTr/eye_05.png is in the metadata but not on disk"):
        NNUNet(root)
    for change, message in (
        ({"file_ending": ".nii.gz"}, r"files that end in .nii.gz, which are not 2D images"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, r"has regions of several labels \(whole\)"),
        ({"file_ending": ".tif"}, r"imagesTr has no files such as CASE_0000.tif"),
        ({"labels": None}, "is not the description of a set of nnU-Net"),
    ):
        content = json.loads((root / "dataset.json").read_text())
        (root / "dataset.json").write_text(json.dumps(content | change))
        with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
            NNUNet(root)
        assert "\n" not in str(error.value)
        (root / "dataset.json").write_text(json.dumps(content))


def test_the_command_trains_on_crops(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    results = run(
        tmp_path / "run",
        *("experiment=[]", "data=nnunet", f"data.root={tmp_path}/set", "data.crop=4", "data.crops_per_image=2"),
        *("model=unet", "model.width=4", "model.depth=2", "trainer=cpu", "trainer.max_epochs=1", "rescale=[]"),
    )
    assert results["test_examples"] == 2 and results["classes"] == list(LABELS) and 0 <= results["test_dice"] <= 1
    cfg = composed("data=nnunet", f"data.root={tmp_path}/set")
    assert cfg.task._target_.endswith("Segmentation")
