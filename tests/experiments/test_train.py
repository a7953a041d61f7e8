"""A run leaves what it promises, and can be killed and resumed."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, read_write
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from experiments import train
from experiments.card import find_checkpoint, load_network
from experiments.data.sets.urbansound8k import UrbanSound8K
from experiments.training.memory import checkpoint_activations
from tests.experiments.runs import assert_same_run, composed, run, tiny

# Runs the command, and kills it within its third epoch.
KILLED = """
import os, signal, torch
from experiments import train
from experiments.training import epoch_log

def die(self, trainer, module, batch, index):
    if trainer.current_epoch == 2 and index == 1:
        os.kill(os.getpid(), signal.SIGKILL)

epoch_log.EpochLog.on_train_batch_start = die
torch.set_num_threads(1)
train.main()
"""


@pytest.fixture(scope="module")
def unbroken(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four epochs."""
    folder = tmp_path_factory.mktemp("run")
    run(folder, *tiny(sounds), "trainer.max_epochs=4", pictures=True)
    return folder


def command(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *overrides])
    train.main()


def test_a_run_s_folder(unbroken: Path, sounds: Path) -> None:
    for picture in "curves", "confusion", "transformed", "kernels":
        assert (unbroken / f"{picture}.png").stat().st_size > 10_000
    assert OmegaConf.load(unbroken / "config.yaml").data.root == str(sounds)
    metrics = pd.read_csv(unbroken / "metrics.csv")
    assert list(metrics["epoch"]) == [1, 2, 3, 4]
    results = json.loads((unbroken / "results.json").read_text())
    assert results["best_epoch"] == metrics["epoch"][metrics["val_accuracy"].argmax()]
    assert results["val_accuracy"] == metrics["val_accuracy"].max()
    network, card = load_network(unbroken / "checkpoints" / "best.ckpt")
    assert results["parameters"] == sum(p.numel() for p in network.parameters())
    assert card.classes == results["classes"] == ["class0", "class1", "class2"]


def test_without_validation_the_last_network_is_tested_and_found(sounds: Path, tmp_path: Path) -> None:
    run(tmp_path, *tiny(sounds), "trainer.max_epochs=2", "data.val_fold=false")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["best_epoch"] == 2
    assert not [key for key in results if key.startswith("val_")]
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoints" / "last.ckpt"
    options: Any = {"sample_rate": 8000, "duration": 0.1, "cache_dir": sounds / "cache", "num_workers": 1}
    data = UrbanSound8K(sounds, 1, val_fold=False, **options)
    assert len(data.files("train")) + len(data.files("test")) == 30


def test_the_loss_of_validation_weighs_classes(sounds: Path, tmp_path: Path) -> None:
    weights = torch.tensor([0.1, 1.0, 10.0])
    asked = "task.class_weights=[0.1,1,10]", "batch_size=2", "trainer.max_epochs=1"
    results = run(tmp_path, *tiny(sounds), *asked)
    network, _ = load_network(tmp_path / "checkpoints" / "best.ckpt")
    data = UrbanSound8K(sounds, 1, sample_rate=8000, duration=0.1, cache_dir=sounds / "cache", num_workers=1)
    clips = data.split("val")
    x, labels = (torch.stack([torch.as_tensor(clips[i][part]) for i in range(len(clips))]) for part in (0, 1))
    with torch.inference_mode():
        expected = F.cross_entropy(network(x), labels, weights).item()
    assert results["val_loss"] == pytest.approx(expected, rel=1e-4)


def test_the_test_fold_is_what_the_best_network_is_tested_on(unbroken: Path, sounds: Path) -> None:
    results = json.loads((unbroken / "results.json").read_text())
    network, _ = load_network(unbroken / "checkpoints" / "best.ckpt")
    data = UrbanSound8K(sounds, 1, sample_rate=8000, duration=0.1, cache_dir=sounds / "cache", num_workers=1)
    assert all("fold1/" in str(path) for path in data.files("test"))
    with torch.inference_mode():
        clips = data.split("test")
        guesses = [(network(x[None]).argmax().item(), label) for x, label in map(clips.__getitem__, range(len(clips)))]
    assert results["test_accuracy"] == pytest.approx(np.mean([guess == label for guess, label in guesses]))
    assert results["details"]["confusion"] == [
        [guesses.count((guess, label)) for guess in range(3)] for label in range(3)
    ]


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_result(
    unbroken: Path, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*tiny(sounds), "trainer.max_epochs=4", f"folder={tmp_path}"]
    process = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert len(pd.read_csv(tmp_path / "metrics.csv")) == 2
    command(monkeypatch, f"resume={tmp_path}")
    assert_same_run(unbroken, tmp_path)


class Die(L.Callback):
    """Ends a run within its second epoch."""

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, index: int) -> None:
        if trainer.current_epoch == 1 and index == 2:
            raise RuntimeError("killed")


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["cosine", "one_cycle"])
def test_the_other_schedulers_resume_to_the_same_result(scheduler: str, sounds: Path, tmp_path: Path) -> None:
    arguments = [argument for argument in tiny(sounds) if not argument.startswith("scheduler.")]
    arguments += [f"scheduler={scheduler}", "num_workers=1", "trainer.max_epochs=3", "optimizer.lr=0.01", "rescale=[]"]
    run(tmp_path / "unbroken", *arguments)
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "killed", *arguments, f"+trainer.callbacks=[{{_target_:{__name__}.Die}}]")
    run(tmp_path / "killed", *arguments)
    assert_same_run(tmp_path / "unbroken", tmp_path / "killed")
    rates = pd.read_csv(tmp_path / "killed" / "metrics.csv")["lr"]
    if scheduler == "cosine":
        np.testing.assert_allclose(rates, 0.005 * (1 + np.cos(np.pi * np.arange(3) / 3)), rtol=1e-9)
    else:  # three batches an epoch; all steps are taken
        reference = OneCycleLR(torch.optim.Adam([torch.zeros(1)]), max_lr=0.01, total_steps=9)
        expected: list[Any] = []
        for _ in range(9):
            reference.optimizer.step()
            reference.step()
            expected.append(reference.get_last_lr()[0])
        np.testing.assert_allclose(rates, expected[2::3], rtol=1e-9)


@pytest.mark.slow
def test_metrics_count_in_the_epoch_that_they_are_of(sounds: Path, tmp_path: Path) -> None:
    """With validation every third epoch: plateau looks at it twice, and a resumed run does as an unbroken one."""
    arguments = [*tiny(sounds), "trainer.check_val_every_n_epoch=3", "optimizer.lr=1e-9", "rescale=[]"]
    run(tmp_path / "unbroken", *arguments, "trainer.max_epochs=7")
    table = pd.read_csv(tmp_path / "unbroken" / "metrics.csv")
    assert table["val_loss"].notna().tolist() == [False, False, True] * 2 + [False]
    assert (table["lr"].iloc[:5] == 1e-9).all()
    last = torch.load(tmp_path / "unbroken" / "checkpoints" / "last.ckpt", weights_only=True)["card"]
    assert last["epoch"] == 7 and last["value"] is None and last["validation"] == {}
    run(tmp_path / "broken", *arguments, "trainer.max_epochs=4")
    run(tmp_path / "broken", *arguments, "trainer.max_epochs=7")
    assert_same_run(tmp_path / "unbroken", tmp_path / "broken")


def test_without_a_scheduler_the_rate_stays(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [argument for argument in tiny(sounds) if not argument.startswith("scheduler.")]
    command(monkeypatch, *arguments, "scheduler=null", "rescale=[]", f"folder={tmp_path}")
    assert set(pd.read_csv(tmp_path / "metrics.csv")["lr"]) == {0.001}


def test_callbacks_and_loggers_of_the_configuration_are_called(sounds: Path, tmp_path: Path) -> None:
    callbacks = "callbacks=[early_stopping,lr_monitor]", "callbacks.early_stopping.patience=1"
    logger = "logger=csv", "trainer.log_every_n_steps=1"
    still = "optimizer.lr=0", "trainer.max_epochs=9", "rescale=[]"
    results = run(tmp_path, *tiny(sounds, "model=sample_cnn", "model.base=2"), *callbacks, *logger, *still)
    assert results["epochs"] == 2  # the first is the best
    logged = pd.read_csv(tmp_path / "logs" / "csv" / "version_0" / "metrics.csv")
    assert {"lr-Adam", "val_accuracy", "train_loss"} <= set(logged)
    assert logged["val_accuracy"].dropna().iloc[-1] == results["val_accuracy"]


@pytest.mark.parametrize("test", [True, False])
def test_a_sweeper_is_given_the_monitored_metric(sounds: Path, tmp_path: Path, test: bool) -> None:
    cfg = composed(*tiny(sounds), "trainer.max_epochs=1", "rescale=[]", f"test={test}")
    with read_write(HydraConfig.get()):  # type: ignore[arg-type]
        HydraConfig.get().runtime.output_dir = str(tmp_path)
    value = train.main(cfg)
    assert isinstance(value, float)
    rows = pd.read_csv(tmp_path / "metrics.csv")
    assert value == pytest.approx(rows["val_accuracy"].max(), rel=1e-6)
    assert (tmp_path / "results.json").exists() == test
    if test:
        assert value == json.loads((tmp_path / "results.json").read_text())["val_accuracy"]


@pytest.mark.slow
def test_resuming_with_loading_processes(unbroken: Path, sounds: Path, tmp_path: Path) -> None:
    run(tmp_path, *tiny(sounds), "trainer.max_epochs=2")
    run(tmp_path, *tiny(sounds), "num_workers=2", "trainer.max_epochs=4")
    assert_same_run(unbroken, tmp_path)


def test_resume_refuses_what_the_run_did_not_start_with(unbroken: Path) -> None:
    saved = OmegaConf.load(unbroken / "config.yaml")
    for folder, overrides, complaint in (
        (unbroken, ["data.test_fold=2"], "data.test_fold=2 is not what"),
        (unbroken / "nowhere", [], "nowhere contains no run"),
    ):
        cfg = composed(f"resume={folder}", *overrides)
        with pytest.raises((ValueError, FileNotFoundError), match=complaint):
            train.resumed(cfg, overrides)
    longer = train.resumed(composed(f"resume={unbroken}", "trainer.max_epochs=9"), ["trainer.max_epochs=9"])
    assert longer.trainer.max_epochs == 9
    longer.trainer.max_epochs, longer.overrides = saved.trainer.max_epochs, saved.overrides
    assert longer == saved


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.root=/nowhere", "error: /nowhere/metadata/UrbanSound8K.csv not found"),
        ("data.test_fold=11", "error: data.test_fold=11 is not a fold"),
        ("rescale=[5]", "error: rescale=5 is out of range"),
    ],
)
def test_a_user_s_mistake_is_one_line(
    override: str, message: str, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=message):
        command(monkeypatch, *tiny(sounds), override, f"folder={tmp_path}")


def test_a_run_is_not_overwritten(unbroken: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="contains a run already"):
        command(monkeypatch, *tiny(sounds), "data.test_fold=2", f"folder={unbroken}")


@pytest.mark.slow
def test_a_sweep_gives_every_fold_a_folder(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = "trainer.max_epochs=1"
    command(monkeypatch, "-m", *tiny(sounds), short, "data.test_fold=range(1,3)", f"folder={tmp_path}")
    results = [json.loads((tmp_path / str(job) / "results.json").read_text()) for job in (0, 1)]
    assert [result["test_fold"] for result in results] == [1, 2]


@pytest.mark.slow
def test_checkpointed_activations_change_nothing_but_memory(sounds: Path, unbroken: Path, tmp_path: Path) -> None:
    run(tmp_path, *tiny(sounds), "trainer.max_epochs=4", "checkpointing=true")
    assert_same_run(tmp_path, unbroken)

    with pytest.raises(ValueError, match=r"checkpointing=true is for .*, not for Linear"):
        checkpoint_activations(nn.Linear(2, 2))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_compiled_network_trains_and_is_loaded_as_ever(sounds: Path, tmp_path: Path) -> None:
    plain = "wavelet_loss=0", "data.duration=0.5", "trainer.max_epochs=1"
    results = run(tmp_path, *tiny(sounds, "model=mnet", "model.depth=3"), *plain, "compile=default")
    network, _ = load_network(tmp_path / "checkpoints" / "best.ckpt")
    assert not any(name.startswith("_orig_mod") for name in network.state_dict())
    assert 0 <= results["test_accuracy"] <= 1
