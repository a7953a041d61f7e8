"""Loss, metrics and normalisation of regression against scikit-learn and numpy."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from experiments.training.tasks.regression import Regression

MEAN, STD = [1000.0, -3.0], [2.0, 0.5]


class Numbers:
    """A source whose training set has, or has not, ``labels``."""

    def __init__(self, targets: NDArray[Any], labels: bool, classes: Sequence[str] = ("length", "weight")) -> None:
        self.classes, self.targets, self.labels = classes, targets, labels

    def split(self, stage: str) -> Dataset[Any] | SimpleNamespace:
        assert stage == "train"
        if self.labels:
            return SimpleNamespace(labels=self.targets)
        return TensorDataset(torch.zeros(len(self.targets), 1), torch.from_numpy(self.targets))


def examples(size: int = 50) -> tuple[Tensor, Tensor]:
    """Return outputs of a network, normalised, and targets in their units."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(size, 2, generator=generator, dtype=torch.float64)
    target = normal * torch.tensor(STD) + torch.tensor(MEAN)
    return normal + 0.3 * torch.randn(size, 2, generator=generator, dtype=torch.float64), target


def test_loss_is_of_normalised_numbers() -> None:
    logits, target = examples()
    expected = (((target - torch.tensor(MEAN)) / torch.tensor(STD) - logits) ** 2).mean()
    assert Regression(2, MEAN, STD).loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-12)
    one = Regression(1, MEAN[:1], STD[:1])
    assert one.loss(logits[:, :1], target[:, 0]).item() == one.loss(logits[:, :1], target[:, :1]).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_metrics_are_scikit_learns(dtype: torch.dtype) -> None:
    logits, target = examples()
    logits, target = logits.to(dtype), target.to(dtype)
    task = Regression(2, MEAN, STD)
    collection, details = task.metrics("val_"), task.details()
    for part, of in zip(logits.split(7), target.split(7), strict=True):
        collection.update(part, of)
        for metric in details.values():
            metric.update(part, of)
    true, predicted = target.double(), task.values(logits.double())
    oracles = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "r2": r2_score}
    assert set(collection.compute()) == {f"val_{name}" for name in oracles}
    for name, oracle in oracles.items():
        expected = oracle(true, predicted, multioutput="raw_values")
        assert details[name].compute().tolist() == pytest.approx(expected.tolist(), rel=1e-4)
        assert collection.compute()[f"val_{name}"].item() == pytest.approx(expected.mean(), rel=1e-4)


def test_two_halves_are_the_whole() -> None:
    logits, target = examples()
    task = Regression(2, MEAN, STD)
    whole, parts = task.metrics(), [task.metrics(), task.metrics()]
    whole.update(logits, target)
    parts[0].update(logits[:20], target[:20])
    parts[1].update(logits[20:], target[20:])
    for name, metric in parts[0].items():
        metric.merge_state(parts[1][name])
        assert metric.compute().item() == pytest.approx(whole[name].compute().item(), rel=1e-6), name


def test_one_example_has_no_r2() -> None:
    logits, target = examples(1)
    collection = Regression(2, MEAN, STD).metrics()
    collection.update(logits, target)
    values = collection.compute()
    assert values["r2"].isnan() and values["mae"].isfinite()
    each = Regression(2, MEAN, STD).details()["r2"]
    each.update(logits, target)
    assert each.compute().isnan().tolist() == [True, True]


def test_values_undo_the_normalisation() -> None:
    logits, target = examples()
    task = Regression(2, MEAN, STD)
    torch.testing.assert_close(task.values(task.logits(target)), target, rtol=1e-14, atol=0)
    torch.testing.assert_close(task.logits(task.values(logits)), logits, rtol=1e-10, atol=1e-12)
    assert (task.probabilities(logits) == task.values(logits)).all()
    assert task.values(logits.bfloat16()).dtype == torch.float32  # bfloat16 would round 1000 ± 2 to steps of 4


def test_low_precision_outputs() -> None:
    logits, target = examples()
    task = Regression(2, MEAN, STD)
    low = task.loss(logits.bfloat16(), target.float())
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(task.loss(logits.bfloat16().double(), target).item(), rel=1e-3)


@pytest.mark.parametrize("labels", [True, False])
def test_prepare_computes_mean_and_deviation(labels: bool) -> None:
    targets = np.random.default_rng(0).normal([1e6, 0], [1, 0.01], (100, 2))
    found = Regression(2).prepare(Numbers(targets, labels))
    np.testing.assert_allclose(found["mean"], targets.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found["std"], targets.std(0), rtol=1e-14)
    task = Regression(2, **found)
    normalised = task.logits(torch.from_numpy(targets))
    torch.testing.assert_close(normalised.mean(0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(normalised.std(0, correction=0), torch.ones(2, dtype=torch.float64))
    one = Regression(1).prepare(Numbers(targets[:, 1], labels, ["weight"]))
    np.testing.assert_allclose([one["mean"], one["std"]], [[targets[:, 1].mean()], [targets[:, 1].std()]], rtol=1e-12)


def test_what_is_given_is_kept_and_nothing_is_read_for_it() -> None:
    targets = np.random.default_rng(0).normal([5, -2], [1, 3], (100, 2))
    for labels in True, False:
        found = Regression(2, mean=MEAN).prepare(Numbers(targets, labels))
        assert found["mean"] == MEAN and found["std"] == pytest.approx(targets.std(0).tolist(), rel=1e-12)
        assert Regression(2, std=STD).prepare(Numbers(targets, labels))["std"] == STD
    unreadable: Any = None  # as a run that continues, which has both in its configuration
    assert Regression(2, MEAN, STD).prepare(unreadable) == {}


@pytest.mark.parametrize("labels", [True, False])
def test_prepare_refuses(labels: bool) -> None:
    targets = np.array([[1, 0.1], [2, 0.1], [3, 0.1]])
    with pytest.raises(ValueError, match=r"weight is 0\.1 in all training examples"):
        Regression(2).prepare(Numbers(targets, labels))
    targets[1, 0] = np.nan
    with pytest.raises(ValueError, match="length of training example 1 is nan"):
        Regression(2).prepare(Numbers(targets, labels))
    with pytest.raises(ValueError, match="the targets have 2 numbers each; the data names 3"):
        Regression(3).prepare(Numbers(targets, labels, ["a", "b", "c"]))


def test_wrong_targets() -> None:
    task, (logits, target) = Regression(2), examples()
    target[3, 1] = torch.inf
    with pytest.raises(ValueError, match="number 1 of a target is inf"):
        task.loss(logits, target)
    with pytest.raises(ValueError, match=r"targets \(B, 2\); the data has torch.int64 targets \(50, 2\)"):
        task.loss(logits, torch.zeros(50, 2, dtype=torch.long))
    with pytest.raises(ValueError, match=r"targets \(50, 3\)"):
        task.loss(logits, torch.zeros(50, 3))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"task\.mean=\[1\.0\] needs one value for each number; the data have 2"):
        Regression(2, mean=[1.0])
    with pytest.raises(ValueError, match=r"task\.units=mm needs one value for each number"):
        Regression(2, units="mm")
    with pytest.raises(ValueError, match=r"task\.std=\[1\.0, 0\.0\] has a value that is not above 0"):
        Regression(2, std=[1.0, 0.0])
