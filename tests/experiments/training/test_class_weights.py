"""Weights of the classes in the loss: balanced, or by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.utils.class_weight import compute_class_weight
from torch.utils.data import Dataset, TensorDataset

from experiments.data.inputs import IGNORED, INSTANCE
from experiments.data.source import Source, Stage
from experiments.run import Run
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.multi_label import MultiLabel
from experiments.training.tasks.segmentation import Segmentation
from experiments.training.tasks.task import Task
from tests.experiments.runs import run, short

LABELS = torch.tensor([0] * 6 + [1] * 3 + [2])


class Made(Source):
    """A source with these targets in training, and others elsewhere."""

    def __init__(self, targets: torch.Tensor, classes: list[str]) -> None:
        self.targets, self.classes = targets, classes

    def split(self, stage: Stage) -> Dataset[Any]:
        targets = self.targets if stage == "train" else self.targets[:1]
        return TensorDataset(torch.zeros(len(targets), 1, 4), targets)


def weights(task: Task, targets: torch.Tensor, classes: list[str]) -> list[float]:
    found: list[float] = task.prepare(Made(targets, classes))["class_weights"]
    return found


def test_balanced_labels_as_scikit_learn() -> None:
    oracle = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    hard = weights(MultiClass(3, class_weights="balanced"), LABELS, ["a", "b", "c"])
    np.testing.assert_allclose(hard, oracle, rtol=1e-12)
    soft = torch.eye(3)[LABELS]
    np.testing.assert_allclose(
        weights(MultiClass(3, class_weights="balanced"), soft, ["a", "b", "c"]), oracle, rtol=1e-6
    )


def test_a_class_without_examples_weighs_one() -> None:
    found = weights(MultiClass(4, class_weights="balanced"), LABELS, ["a", "b", "c", "d"])
    np.testing.assert_allclose(found, [10 / 24, 10 / 12, 10 / 4, 1], rtol=1e-12)


def test_balanced_positives() -> None:
    targets = torch.tensor([[1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 0, 1], [0, 0, 0, 1.0]])
    found = weights(MultiLabel(4, class_weights="balanced"), targets, ["a", "b", "c", "d"])
    assert found == pytest.approx([1 / 3, 3, 1, 1])  # 1 where there are no positives, or no negatives


def test_balanced_pixels() -> None:
    """Numbers of instances, and pixels that do not count, make no difference."""
    targets = torch.tensor([[[0, 0, 1, 0], [IGNORED, 2, 0, 0]], [[0, 0, 1, 1], [0, 0, 0, 1]]])
    oracle = compute_class_weight("balanced", classes=np.arange(3), y=targets[targets != IGNORED].numpy())
    targets[0, 0, 2] += 3 * INSTANCE
    found = weights(Segmentation(3, class_weights="balanced"), targets, ["none", "one", "two"])
    np.testing.assert_allclose(found, oracle, rtol=1e-12)


@pytest.mark.parametrize("kind", [MultiClass, MultiLabel, Segmentation])
def test_by_name(kind: Any) -> None:
    source = Made(LABELS, ["cat", "dog", "2"])
    assert kind(3, class_weights={"dog": 2, 2: 0.5}).prepare(source) == {"class_weights": [1.0, 2, 0.5]}
    assert kind(3, class_weights=[1, 2, 3]).prepare(source) == kind(3).prepare(source) == {}
    with pytest.raises(ValueError, match=r"task.class_weights: cow is not a class; the classes are cat, dog, 2$"):
        kind(3, class_weights={"cow": 2}).prepare(source)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("balance", r"task.class_weights=balance is unknown; write balanced"),
        ([1, 2], r"2 weights for 3 classes"),
        ([1, 2, "x"], r"task.class_weights: x is not a number"),
        ([1, 2, -1], r"task.class_weights: -1 is not a number of at least 0"),
    ],
)
def test_wrong_weights(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiClass(3, class_weights=given)


def test_label_smoothing_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"task.label_smoothing=1.5 is not a number from 0 to 1"):
        MultiClass(3, label_smoothing=1.5)


@pytest.mark.parametrize(("given", "kept"), [("balanced", [1, 1, 1]), ("{class1:2}", [1, 2, 1])])
def test_a_run_keeps_the_numbers(given: str, kept: list[float], sounds: Path, tmp_path: Path) -> None:
    run(tmp_path, *short(sounds), "trainer.max_epochs=1", f"task.class_weights={given}")
    assert OmegaConf.load(Run(tmp_path).config).task.class_weights == kept
