"""What ends a run, or is wrong with its folder, loses nothing that was done, and is one line."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from experiments import run as runs
from experiments import train
from experiments.card import read_checkpoint
from experiments.report import plots
from experiments.results import Results
from experiments.run import Run
from experiments.training import checkpointing
from experiments.training.epoch_log import EpochLog
from tests.experiments.runs import run, short, write_set
from tests.experiments.runs import train_command as command


@pytest.fixture
def copy(trained_m3: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_m3, tmp_path / "run"))


def epochs(folder: Path) -> int:
    return len(pd.read_csv(folder / "metrics.csv"))


def test_a_folder_is_of_one_run_at_a_time(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PATIENCE", 0.01)
    with Run(tmp_path).held(), pytest.raises(SystemExit, match=f"error: another run is training in {tmp_path}"):
        command(monkeypatch, *short(sounds), f"folder={tmp_path}")
    assert not Run(tmp_path).config.exists()
    with Run(tmp_path).held():
        pass


def test_a_moved_folder_keeps_its_best_network(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if no epoch to come could be as good as the best.
    for file in Run(copy).best, Run(copy).last:
        checkpoint = torch.load(file, weights_only=True)
        (best,) = (state for key, state in checkpoint["callbacks"].items() if "val_accuracy" in key)
        (path,) = best["best_k_models"]
        best["best_k_models"][path] = best["best_model_score"] = best["kth_value"] = torch.tensor(2.0)
        torch.save(checkpoint, file)
    before = Run(copy).best.read_bytes()
    command(monkeypatch, f"resume={copy}", "trainer.max_epochs=4")
    assert epochs(copy) == 4
    assert Run(copy).best.read_bytes() == before
    state = torch.load(Run(copy).last, weights_only=True)["callbacks"]
    assert all(str(copy) in s["dirpath"] for key, s in state.items() if "Checkpoints" in key)


def test_a_full_disk_leaves_the_checkpoint_before(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, save = Run(copy).last.read_bytes(), torch.save

    def fill(checkpoint: Any, file: Any, *more: Any) -> None:
        save(checkpoint, file, *more)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpointing.torch, "save", fill)
    with pytest.raises(SystemExit, match=r".ckpt cannot be written \(No space left on device\); .* untouched"):
        command(monkeypatch, f"resume={copy}", "trainer.max_epochs=3")
    assert Run(copy).last.read_bytes() == before
    assert not list(Run(copy).checkpoints.glob("*.partial"))
    monkeypatch.undo()
    command(monkeypatch, f"resume={copy}", "trainer.max_epochs=3")
    assert epochs(copy) == 3


def test_a_disk_that_is_full_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match=r"last.ckpt cannot be written \(No space left\); make room$"):
        checkpointing.WholeFiles().save_checkpoint({}, tmp_path / "last.ckpt")


def test_an_interruption_while_data_are_read_is_one_line(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "log_counts", interrupt)
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, *short(sounds), f"folder={tmp_path}/run")
    assert end.value.code == 130
    assert capsys.readouterr().err.endswith("interrupted; no epoch was completed, so nothing is kept\n")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "checkpoints" / "last.ckpt"
    names: list[str] = []

    def at_fsync(descriptor: int) -> None:
        names.extend(path.name for path in file.parent.iterdir())

    monkeypatch.setattr(checkpointing.os, "fsync", at_fsync)
    checkpointing.WholeFiles().save_checkpoint({"a": torch.ones(3)}, file)
    assert names == ["last.ckpt.partial"]  # on the same disk, flushed before it takes the place
    assert torch.load(file, weights_only=True)["a"].sum() == 3


@pytest.mark.parametrize("damage", ["cut", "emptied", "text", "gone"])
def test_a_damaged_last_checkpoint_falls_back_to_the_best(
    damage: str, copy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    content = Run(copy).last.read_bytes()
    Run(copy).last.write_bytes({"cut": content[: len(content) // 2], "text": b"PK no", "emptied": b""}.get(damage, b""))
    if damage == "gone":
        Run(copy).last.unlink()
    monkeypatch.setattr(train.log, "info", lambda *_: None)
    assert checkpointing.newest(Run(copy)) == Run(copy).best
    assert "continuing from the best epoch" in caplog.text
    if damage == "cut":
        command(monkeypatch, f"resume={copy}", "trainer.max_epochs=3")
        assert list(pd.read_csv(copy / "metrics.csv")["epoch"]) == [1, 2, 3]


def test_nothing_but_damaged_checkpoints(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in Run(copy).last, Run(copy).best:
        file.write_bytes(file.read_bytes()[:999])
    with pytest.raises(SystemExit, match=r"last.ckpt is damaged: its end is missing; .* start the run again"):
        command(monkeypatch, f"resume={copy}")


@pytest.mark.parametrize("content", ["", "a: [", "a: 1", "text"])
def test_a_damaged_config(content: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(copy).config.write_text(content)
    with pytest.raises(SystemExit, match=r"config.yaml is damaged, so that the run cannot be resumed"):
        command(monkeypatch, f"resume={copy}")


def test_a_refused_resume_leaves_the_run_as_it_was(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, f"resume={copy}", "trainer.max_epochs=3")
    before = Run(copy).config.read_text()
    with pytest.raises(SystemExit, match=r"current_epoch=2, but you have set .*max_epochs=1"):
        command(monkeypatch, f"resume={copy}", "trainer.max_epochs=1")
    assert Run(copy).config.read_text() == before
    command(monkeypatch, f"resume={copy}")
    assert OmegaConf.load(Run(copy).config).trainer.max_epochs == epochs(copy) == 3


def test_data_that_changed_are_not_gone_on_with(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv = write_set(tmp_path / "set") / "metadata" / "UrbanSound8K.csv"
    config = OmegaConf.load(Run(copy).config)
    config.data.root, config.trainer.max_epochs = str(tmp_path / "set"), 3
    OmegaConf.save(config, Run(copy).config)
    table = pd.read_csv(csv)
    table.drop(index=20).to_csv(csv, index=False)
    with pytest.raises(SystemExit, match=r"the data have changed since the run began: \[24, 3\] .* \[23, 3\] now"):
        command(monkeypatch, f"resume={copy}")
    table.replace("class1", "cow").to_csv(csv, index=False)
    with pytest.raises(SystemExit, match=r"the classes have changed since the run began: .*'class1'.* 'cow'"):
        command(monkeypatch, f"resume={copy}")


def test_a_run_that_goes_astray_ends_and_keeps_nothing_of_it(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"_loss is (nan|inf) in epoch 1: .*; try a lower optimizer.lr"):
        command(monkeypatch, *short(sounds), "optimizer.lr=1e30", f"folder={tmp_path}")
    assert not Run(tmp_path).started and not Run(tmp_path).results.exists()


class Signal(L.Callback):
    """Sends a signal in the second epoch."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, index: int) -> None:
        if trainer.current_epoch == 1 and index == 1:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_says_how_to_go_on(
    number: int, code: int, sounds: Path, trained_m3: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with none
    monkeypatch.setattr(EpochLog, "on_train_batch_start", Signal(number).on_train_batch_start)
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, *short(sounds), f"folder={tmp_path}")
    signal.signal(signal.SIGINT, handler)  # Lightning leaves it ignored
    assert end.value.code == code
    assert f"interrupted; continue with resume={tmp_path}" in capsys.readouterr().err
    monkeypatch.undo()
    command(monkeypatch, f"resume={tmp_path}")
    a, b = (read_checkpoint(Run(folder).last)[0] for folder in (tmp_path, trained_m3))
    assert all(torch.equal(a[key], b[key]) for key in b)


def test_classes_that_are_numbers(sounds: Path, tmp_path: Path) -> None:
    shutil.copytree(sounds, tmp_path / "set", ignore=shutil.ignore_patterns("cache"))
    csv = tmp_path / "set" / "metadata" / "UrbanSound8K.csv"
    csv.write_text(csv.read_text().replace("class", "").replace(",ID,", ",classID,").replace("ID,,", "ID,class,"))
    results = run(tmp_path / "run", *short(tmp_path / "set"), "trainer.max_epochs=1")
    assert results["classes"] == ["0", "1", "2"]
    assert Run(tmp_path / "run").picture("confusion").exists()


def test_a_picture_that_fails_leaves_the_results(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("no picture")

    monkeypatch.setattr(plots, "confusion", fail)
    with pytest.raises(RuntimeError, match="no picture"):
        run(tmp_path, *short(sounds), "trainer.max_epochs=1")
    assert Results.load(tmp_path / "results.json").test_examples == 3


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3"], marks=pytest.mark.slow),
        pytest.param(["trainer.limit_val_batches=0"], marks=pytest.mark.slow),
        ["trainer.max_steps=2"],
        pytest.param(["trainer.val_check_interval=0.5"], marks=pytest.mark.slow),
        pytest.param(["trainer.max_epochs=-1", "trainer.max_steps=4"], marks=pytest.mark.slow),
    ],
)
def test_options_of_the_trainer_leave_a_run_that_can_go_on(
    options: list[str], sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [f"++{option}" for option in options]
    results = run(tmp_path / "unbroken", *short(sounds), *options)
    assert results["test_examples"] == 3
    monkeypatch.setattr(EpochLog, "on_train_batch_start", Signal(signal.SIGTERM).on_train_batch_start)
    folder = tmp_path / "broken"
    try:
        run(folder, *short(sounds), *options)
    except SystemExit:
        monkeypatch.undo()
        run(folder, *short(sounds), *options)
    a, b = (read_checkpoint(Run(f).last)[0] for f in (folder, tmp_path / "unbroken"))
    assert all(torch.equal(a[key], b[key]) for key in b)
    assert epochs(folder) == epochs(tmp_path / "unbroken")
