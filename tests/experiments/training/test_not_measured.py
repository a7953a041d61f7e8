"""Metrics that cannot be measured in an epoch choose no checkpoint, stop no run and change no learning rate."""

import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torchmetrics import Metric, MetricCollection

from experiments import train
from experiments.card import read_checkpoint
from experiments.run import Run
from experiments.training.tasks.multi_label import MultiLabel
from tests.experiments.runs import composed, run, short


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """Return a set of several labels, of which the validation part has none."""
    rng, rows = np.random.default_rng(0), []
    for clip in range(12):
        soundfile.write(tmp_path / f"{clip}.wav", rng.uniform(-0.5, 0.5, 1600), 8000)
        split = ["train", "val", "test"][clip % 3]
        rows.append((f"{clip}.wav", "" if split == "val" else ["a", "b", "a|b", ""][clip // 3], split))
    pd.DataFrame(rows, columns=["file", "label", "split"]).to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path


def options(root: Path) -> list[str]:
    data = "data=csv", f"data.metadata={root}/metadata.csv", f"data.cache_dir={root}/cache", "data.duration=0.2"
    model = "model=mnet", "model.depth=3", "optimizer.lr=0.001", "scheduler=plateau", "scheduler.patience=0"
    return [*data, "data.sample_rate=8000", "task=multi_label", *model, "trainer=cpu", "batch_size=4", "rescale=[]"]


@pytest.mark.slow
def test_a_metric_that_is_never_a_number(unlabelled: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = unlabelled / "run"
    stop = "callbacks=early_stopping", "callbacks.early_stopping.patience=1"
    results = run(folder, *options(unlabelled), *stop, "trainer.max_epochs=4")
    assert not Run(folder).best.exists() and results["best_epoch"] == 4
    assert "val_auroc was never measured, so the last network is tested" in caplog.text
    assert set(pd.read_csv(folder / "metrics.csv")["lr"]) == {0.001}
    assert read_checkpoint(Run(folder).last)[1].value is None


class Once(Metric):
    """A metric that is a number in the second epoch only."""

    values: ClassVar = [float("nan"), 0.25, float("nan")]

    def update(self, logits: torch.Tensor, target: torch.Tensor) -> None:
        """Take no note of anything."""

    def compute(self) -> torch.Tensor:
        return torch.tensor(self.values.pop(0))


class Constant(Once):
    """A metric that is 0."""

    def compute(self) -> torch.Tensor:
        return torch.zeros(())


def test_a_metric_that_is_a_number_once(unlabelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of epoch 2 is not taken for that of epoch 3."""

    def metrics(task: MultiLabel, prefix: str = "") -> MetricCollection:
        return MetricCollection({"auroc": Once() if prefix == "val_" else Constant()}, prefix=prefix)

    monkeypatch.setattr(MultiLabel, "metrics", metrics)
    folder = unlabelled / "run"
    folder.mkdir()
    assert train.train(composed(*options(unlabelled), "trainer.max_epochs=3", "test=false"), folder) is None
    assert read_checkpoint(Run(folder).best)[1].epoch == 2
    found = pd.read_csv(folder / "metrics.csv")["val_auroc"]
    np.testing.assert_array_equal(found, [np.nan, 0.25, np.nan])


@pytest.mark.parametrize("without", ["data.val_fold=false", "trainer.limit_val_batches=0"])
def test_early_stopping_needs_validation(
    without: str, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["train", *short(sounds), "callbacks=early_stopping", without, f"folder={tmp_path}"]
    )
    with pytest.raises(SystemExit, match=r"error: callbacks=early_stopping needs validation examples"):
        train.main()


def test_a_plateau_scheduler_without_validation_is_no_scheduler(
    sounds: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, *short(sounds), "data.val_fold=false", "trainer.max_epochs=1")
    assert "scheduler=plateau keeps the learning rate, as there are no validation examples" in caplog.text


def test_what_is_not_measured_cannot_be_monitored(sounds: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"task.monitor=val_acuracy is not measured; choose val_loss, val_accuracy"):
        run(tmp_path, *short(sounds), "task.monitor=val_acuracy")
