"""Loss and metrics of the tasks against scikit-learn's and torch's, and a multi-label run from end to end."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, balanced_accuracy_score, confusion_matrix, roc_auc_score
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset
from torchmetrics import MeanMetric

from experiments.data.source import Source, Stage
from experiments.data.transformation import PLAYBACK
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.multi_label import MultiLabel
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.task import Task
from tests.experiments.runs import run_on


def metrics(task: Task, logits: Tensor, target: Tensor) -> dict[str, float]:
    collection = task.metrics()
    for part, of in zip(logits.split(7), target.split(7), strict=True):
        collection.update(part, of)
    return {name: value.item() for name, value in collection.compute().items()}


def details(task: Task, logits: Tensor, target: Tensor) -> dict[str, list[Any]]:
    collection = task.details()
    for metric in collection.values():
        for part, of in zip(logits.split(7), target.split(7), strict=True):
            metric.update(part, of)
    return {name: metric.compute().tolist() for name, metric in collection.items()}


def test_maps_are_not_taken_for_logits() -> None:
    with pytest.raises(
        ValueError, match=r"needs logits \(B, 3\), but the model returns \(2, 3, 5, 5\); maps are for task="
    ):
        MultiClass(3).loss(torch.zeros(2, 3, 5, 5), torch.tensor([0, 1]))


def test_soft_labels_that_are_certain_are_labels() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(20, 4, dtype=torch.float64), torch.randint(4, (20,))
    soft = F.one_hot(labels, 4).double()
    for task in MultiClass(4), MultiClass(4, label_smoothing=0.1):
        assert task.loss(logits, soft).item() == pytest.approx(task.loss(logits, labels).item(), rel=1e-12)
        assert metrics(task, logits, soft) == metrics(task, logits, labels)
        assert details(task, logits, soft) == details(task, logits, labels)
    assert metrics(MultiClass(4), logits, labels)["accuracy"] == pytest.approx(
        (logits.argmax(1) == labels).double().mean().item()
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [1, 10, 16, 100])
def test_the_mean_over_batches_is_the_weighted_loss_of_all(size: int, smoothing: float) -> None:
    weights, labels = [0.1, 4.0, smoothing], torch.arange(3).repeat_interleave(34)  # class by class, as in folders
    task, logits = MultiClass(3, smoothing, weights), torch.randn(102, 3, requires_grad=True)
    mean = MeanMetric()
    for part, of in zip(logits.split(size), labels.split(size), strict=True):
        mean.update(task.loss(part, of), task.weight(of))
    expected = F.cross_entropy(logits, labels, torch.tensor(weights), label_smoothing=smoothing)
    torch.testing.assert_close(mean.compute(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_in_which_no_example_counts(smoothing: float) -> None:
    logits = torch.randn(5, 3, requires_grad=True)
    loss = MultiClass(3, smoothing, [1, 1, 0]).loss(logits, torch.full((5,), 2))
    loss.backward()
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_more_is_better_but_of_errors() -> None:
    assert MultiClass(2).mode == MultiLabel(2).mode == MultiClass(2, monitor="val_auroc").mode == "max"
    assert (
        MultiClass(2, monitor="val_loss").mode == Regression(1).mode == Regression(1, monitor="val_rmse").mode == "min"
    )
    assert Regression(1, monitor="val_r2").mode == "max" and MultiClass(2, mode="min").mode == "min"


def test_one_class_is_not_enough() -> None:
    with pytest.raises(ValueError, match=r"the data have one class, .*; numbers need task=regression"):
        MultiClass(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_auroc_of_two_classes(dtype: torch.dtype) -> None:
    logits, labels = 40 * torch.randn(101, 2, dtype=dtype), torch.randint(2, (101,))  # sigmoids of most are 0 or 1
    expected = roc_auc_score(labels, logits[:, 1] - logits[:, 0])
    assert metrics(MultiClass(2), logits, labels)["auroc"] == pytest.approx(expected, abs=1e-6)
    assert np.isnan(metrics(MultiClass(2), logits, torch.ones(101, dtype=torch.int64))["auroc"])
    assert "auroc" not in metrics(MultiClass(3), torch.randn(101, 3), labels)


def test_soft_labels_are_weighed() -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64)
    soft = torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64)
    expected = -(soft * logits.log_softmax(1)).sum()
    assert MultiClass(3).loss(logits, soft).item() == pytest.approx(expected.item(), rel=1e-12)


def test_class_weights() -> None:
    logits, labels = torch.randn(6, 2, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 1])
    each = F.cross_entropy(logits, labels, reduction="none")
    weighted = MultiClass(2, class_weights=[3, 1]).loss(logits, labels)
    assert weighted.item() == pytest.approx((3 * each[:3].sum() + each[3:].sum()).item() / 12, rel=1e-12)
    positives = -F.logsigmoid(logits).mean() * 2
    ones = MultiLabel(2, class_weights=[2, 2]).loss(logits, torch.ones(6, 2))
    assert ones.item() == pytest.approx(positives.item(), rel=1e-12)
    for task in MultiClass, MultiLabel:
        with pytest.raises(ValueError, match=r"task\.class_weights has 3 weights for 2 classes"):
            task(2, class_weights=[1, 2, 3])


def test_multi_label_metrics_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, (40, 5))
    logits = rng.normal(size=(40, 5)) + target
    got = metrics(MultiLabel(5), torch.from_numpy(logits), torch.from_numpy(target).float())
    assert got["auroc"] == pytest.approx(roc_auc_score(target, logits), abs=1e-6)
    assert got["average_precision"] == pytest.approx(average_precision_score(target, logits), abs=1e-6)
    each = details(MultiLabel(5), torch.from_numpy(logits), torch.from_numpy(target))
    assert each["class_average_precision"] == pytest.approx(
        average_precision_score(target, logits, average=None), abs=1e-6
    )


@pytest.mark.parametrize("scale, shift", [(2, 22), (1000, 0)])
def test_ranks_of_confident_logits_are_kept(scale: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, (200, 3))
    logits = (scale * (rng.normal(size=(200, 3)) + target) + shift).astype(np.float32)
    got = metrics(MultiLabel(3), torch.from_numpy(logits), torch.from_numpy(target).float())
    assert got["auroc"] == pytest.approx(roc_auc_score(target, logits), abs=1e-6)
    assert got["average_precision"] == pytest.approx(average_precision_score(target, logits), abs=1e-6)


def test_balanced_accuracy_is_scikit_learns_also_without_examples_of_a_class() -> None:
    rng = np.random.default_rng(0)
    target, logits = rng.integers(0, 2, 60), rng.normal(size=(60, 6))
    logits[np.arange(60), target] += 1
    with warnings.catch_warnings(action="ignore"):  # predictions of classes that are not in the truth
        expected = balanced_accuracy_score(target, logits.argmax(1))
    got = metrics(MultiClass(6), torch.from_numpy(logits), torch.from_numpy(target))
    assert got["balanced_accuracy"] == pytest.approx(expected, abs=1e-6)


def test_confusion_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    target, logits = rng.integers(0, 4, 60), rng.normal(size=(60, 4))
    got = details(MultiClass(4), torch.from_numpy(logits), torch.from_numpy(target))
    assert got == {"confusion": confusion_matrix(target, logits.argmax(1)).tolist()}


def test_a_label_without_positives_is_left_out() -> None:
    rng = np.random.default_rng(1)
    target, logits = rng.integers(0, 2, (30, 3)), rng.normal(size=(30, 3))
    target[:, 1] = 0
    kept = [0, 2]
    task, tensors = MultiLabel(3), (torch.from_numpy(logits), torch.from_numpy(target))
    got = metrics(task, *tensors)
    assert got["auroc"] == pytest.approx(roc_auc_score(target[:, kept], logits[:, kept]), abs=1e-6)
    assert got["average_precision"] == pytest.approx(
        average_precision_score(target[:, kept], logits[:, kept]), abs=1e-6
    )
    assert np.isnan(details(task, *tensors)["class_average_precision"]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("task", "target", "message"),
    [
        (MultiClass(3), torch.zeros(4), r"task=multi_class needs labels .* data have float32 targets \(B\)"),
        (MultiClass(3), torch.zeros(4, 3).long(), r"task=multi_class needs .* data have int64 targets \(B, 3\)"),
        (MultiClass(3), torch.ones(4, 3), "do not sum to one; task=multi_label"),
        (MultiClass(3), torch.zeros(4, 2), r"data have float32 targets \(B, 2\)"),
        (MultiLabel(3), torch.zeros(4).long(), r"task=multi_label needs targets \(B, 3\), but the data have int64"),
        (MultiLabel(3), torch.full((4, 3), 2.0), "from 0 to 1"),
    ],
)
def test_targets_of_another_kind(task: Task, target: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task.loss(torch.zeros(4, 3), target)


class Chords(Source):
    """Any of three tones at once."""

    classes, transformation = ["low", "middle", "high"], PLAYBACK

    def split(self, stage: Stage) -> Dataset[Any]:
        rng = torch.Generator().manual_seed(len(stage))
        target = torch.randint(2, (24, 3), generator=rng).float()
        tones = torch.sin(torch.tensor([0.05, 0.2, 0.8])[:, None] * torch.arange(2000))
        return TensorDataset((target @ tones)[:, None], target)


def test_a_multi_label_run(tmp_path: Path) -> None:
    results = run_on(Chords, tmp_path, "task=multi_label", "rescale=[0.5]")
    assert results["monitor"] == "auroc"
    for stage in "test", "val":
        assert {f"{stage}_{name}" for name in ("auroc", "average_precision", "loss")} <= set(results)
    assert set(results["transformed"]) == {"0.5"}
    assert list(results["details"]) == ["class_average_precision"]
    assert len(results["details"]["class_average_precision"]) == 3
    assert (tmp_path / "classes.png").exists() and not (tmp_path / "confusion.png").exists()
    assert json.loads((tmp_path / "results.json").read_text()) == results


def test_the_monitored_loss_is_the_least(tmp_path: Path) -> None:
    task = "task=multi_label", "task.monitor=val_loss", "task.mode=min"
    results = run_on(Chords, tmp_path, *task, "scheduler.patience=0", "optimizer.lr=0.03", "trainer.max_epochs=4")
    header, *rows = [line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    losses = [float(row[header.index("val_loss")]) for row in rows]
    assert results["val_loss"] == pytest.approx(min(losses), rel=1e-6)
    assert results["best_epoch"] == 1 + int(np.argmin(losses))


def test_the_wrong_task_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not sum to one; task=multi_label is for several labels each"):
        run_on(Chords, tmp_path)
