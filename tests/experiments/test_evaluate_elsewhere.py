"""Testing a network on sets that lack something that its training set had, or that are divided otherwise."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from experiments.data.inputs import Image as ImageInput
from tests.experiments.runs import evaluated, saved
from wavenets.models import CNN, UNet

CSV = {"_target_": "experiments.data.sets.listing.CSV"}


def brightness(network: UNet, x: Tensor) -> Tensor:
    """Return logits of three classes: grey values around 0, 0.5 and 1."""
    return torch.stack([-(x[:, 0] - grey).square() for grey in (0, 0.5, 1)], 1)


def test_classes_of_masks_keep_their_values_where_a_set_lacks_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNet, "forward", brightness)
    rng = np.random.default_rng(0)
    for name, values in (("all", [0, 5, 9]), ("two", [0, 9])):
        mask = rng.choice(values, (8, 9)).astype(np.uint8)
        grey = np.select([mask == 5, mask == 9], [128, 255]).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / f"{name}_mask.png")
        Image.fromarray(grey).save(tmp_path / f"{name}.png")
        table = pd.DataFrame([(f"{name}.png", f"{name}_mask.png", "test")], columns=["file", "mask", "split"])
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    data = {**CSV, "metadata": str(tmp_path / "all.csv"), "classes": None, "mask_values": None}
    network = UNet(num_classes=3, in_channels=1, width=4, depth=2)
    run = saved(network, tmp_path / "run", "segmentation", ImageInput(1), ["0", "5", "9"], data)
    assert evaluated(f"ckpt={run}", "rescale=[]").test["pixel_accuracy"] == 1
    assert evaluated(f"ckpt={run}", "rescale=[]", f"++data.metadata={tmp_path}/two.csv").test["pixel_accuracy"] == 1


def listing(folder: Path, **columns: Any) -> Path:
    rows = pd.DataFrame(columns)
    for name in rows["file"]:
        Image.fromarray(np.full((8, 8), 90, np.uint8)).save(folder / name)
    rows.to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"


def test_numbers_that_a_set_lacks_are_not_invented(tmp_path: Path) -> None:
    file = listing(tmp_path, file=["a.png", "b.png"], age=[3.5, 4.5], split=["test", "test"])
    data = {**CSV, "metadata": str(file), "values": ["age", "weight"]}
    options = {"mean": [4.0, 70.0], "std": [1.0, 10.0]}
    network = CNN(2, width=4)
    run = saved(network, tmp_path / "run", "regression", ImageInput(1), ["age", "weight"], data, **options)
    with pytest.raises(ValueError, match="the data lack weight, which the network predicts"):
        evaluated(f"ckpt={run}", "rescale=[]", "++data.values=[age]")


@pytest.mark.parametrize(
    "changes, warned",
    [
        (["seed=0"], False),
        (["seed=3"], True),
        (["folds=3"], True),
        (["test_fold=2"], True),
        (["test_fold=2", "metadata=FILE"], False),
    ],
)
def test_examples_of_the_training_are_warned_of(
    changes: list[str], warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{number}.png" for number in range(20)]
    file = listing(tmp_path, file=names, label=["a", "b"] * 10)
    data = {**CSV, "metadata": str(file), "channels": 1, "folds": 5, "seed": 0, "test_fold": None}
    run = saved(CNN(2, width=4), tmp_path / "run", "multi_class", ImageInput(1), ["a", "b"], data)
    with caplog.at_level(logging.INFO):
        evaluated(f"ckpt={run}", "rescale=[]", *(f"++data.{change.replace('FILE', str(file))}" for change in changes))
    assert any("may have been trained or validated" in message for message in caplog.messages) == warned
