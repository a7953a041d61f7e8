"""What a resumed run may change."""

import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from experiments import train
from experiments.card import read_checkpoint
from experiments.run import Run
from tests.experiments.runs import run, short


@pytest.fixture
def copy(trained_m3: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_m3, tmp_path / "run"))


def resume(monkeypatch: pytest.MonkeyPatch, folder: Path | str, *overrides: str) -> None:
    monkeypatch.setattr(sys, "argv", ["train", f"resume={folder}", *overrides])
    train.main()


def epochs(folder: Path) -> int:
    return len(pd.read_csv(folder / "metrics.csv"))


def test_data_that_lie_elsewhere(sounds: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(sounds, moved, ignore=shutil.ignore_patterns("cache"))
    places = f"data.root={moved}", f"data.cache_dir={moved}/cache", "data.num_workers=0", "num_workers=1"
    resume(monkeypatch, copy, *places, "trainer.max_epochs=3")
    saved = OmegaConf.load(Run(copy).config)
    assert (saved.data.root, saved.data.cache_dir) == (str(moved), f"{moved}/cache")
    assert (saved.data.num_workers, saved.num_workers) == (0, 1)
    assert epochs(copy) == 3 and list((moved / "cache").iterdir())


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_keys_that_the_configuration_lacks(sign: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resume(monkeypatch, copy, f"{sign}trainer.gradient_clip_algorithm=value", "trainer.max_epochs=3")
    saved = OmegaConf.load(Run(copy).config)
    assert saved.trainer.gradient_clip_algorithm == "value" and epochs(copy) == 3
    assert sum("gradient_clip_algorithm" in override for override in saved.overrides) == 1


@pytest.mark.slow
def test_time_that_is_up(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, *short(sounds), "trainer.max_epochs=1000", "trainer.max_time=00:00:00:03")
    count = epochs(tmp_path)
    assert 1 <= count < 1000
    resume(monkeypatch, tmp_path)
    assert epochs(tmp_path) == count
    assert (
        "nothing was left to train; a higher trainer.max_epochs=… or trainer.max_time=… goes on"
        in capsys.readouterr().out
    )
    resume(monkeypatch, tmp_path, "trainer.max_time=00:01:00:00", f"trainer.max_epochs={count + 1}")
    assert epochs(tmp_path) == count + 1 and "nothing was left" not in capsys.readouterr().out


def test_a_folder_below_home(copy: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A ``~`` in a user's configuration, and on the command line."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    resume(monkeypatch, "~/run", "trainer.max_epochs=3")
    assert epochs(copy) == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text("defaults:\n  - train\n  - _self_\nfolder: ~/other\n")
    start = "--config-dir=mine", "--config-name=mine", *short(sounds), "data.cache_dir=~/cache"
    monkeypatch.setattr(sys, "argv", ["train", *start, "trainer.max_epochs=1"])
    train.main()
    assert Run(tmp_path / "other").results.exists() and (tmp_path / "cache").is_dir()
    assert not (tmp_path / "~").exists()


def scheduled(sounds: Path, scheduler: str) -> list[str]:
    others = [option for option in short(sounds) if not option.startswith("scheduler")]
    return [*others, f"scheduler={scheduler}"]


@pytest.mark.parametrize("scheduler", ["one_cycle", "cosine"])
def test_a_planned_learning_rate_is_not_continued(
    scheduler: str, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, *scheduled(sounds, scheduler), "trainer.max_epochs=1")
    message = (
        rf"error: trainer.max_epochs=3: the learning rate of {tmp_path} was planned for its length; start a new run"
    )
    with pytest.raises(SystemExit, match=message):
        resume(monkeypatch, tmp_path, "trainer.max_epochs=3")
    with pytest.raises(SystemExit, match=r"trainer.limit_train_batches=1: the learning rate of .* was planned"):
        resume(monkeypatch, tmp_path, "trainer.limit_train_batches=1")
    resume(monkeypatch, tmp_path, "trainer.max_epochs=1")  # as it was
    assert epochs(tmp_path) == 1


@pytest.mark.parametrize("scheduler", ["one_cycle", "cosine"])
def test_a_planned_learning_rate_needs_an_end(scheduler: str, sounds: Path, tmp_path: Path) -> None:
    endless = "trainer.max_epochs=-1", "trainer.max_time=00:00:00:03"
    with pytest.raises(ValueError, match=rf"scheduler={scheduler} needs an end: set trainer.max_epochs"):
        run(tmp_path, *scheduled(sounds, scheduler), *endless)


def test_a_run_that_was_stopped_early_stays_stopped(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = "callbacks=early_stopping", "callbacks.early_stopping.patience=1", "+callbacks.early_stopping.min_delta=2"
    run(tmp_path, *short(sounds), *early, "trainer.max_epochs=9")
    assert epochs(tmp_path) == 2
    Run(tmp_path).results.unlink()  # as if it had been killed in the test
    before = read_checkpoint(Run(tmp_path).last)[0]
    resume(monkeypatch, tmp_path)
    after = read_checkpoint(Run(tmp_path).last)[0]
    assert epochs(tmp_path) == 2 and all(torch.equal(after[key], before[key]) for key in before)
