"""The folder of a run: which checkpoint is used, who may write there, and what its configuration may make."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments import run as runs
from experiments import train
from experiments.card import find_checkpoint
from experiments.run import Run


def test_the_best_checkpoint_is_used_and_else_the_last(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert not run.started
    run.checkpoints.mkdir()
    run.last.touch()
    assert run.started and run.trained == run.last
    run.best.touch()
    assert run.trained == run.best
    run.last.unlink()
    assert run.started


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PATIENCE", 0.01)
    refused = pytest.raises(ValueError, match=r"another run is training in .*new; choose another place with folder=")
    assert not Run(tmp_path / "new").busy
    with Run(tmp_path / "new").held(), refused, Run(tmp_path / "new").held():
        pass
    with Run(tmp_path / "new").held():
        assert Run(tmp_path / "new").busy
    assert not Run(tmp_path / "new").busy
    with Run(tmp_path / "new").held():
        pass


def test_a_start_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    for name, kept in ("new", False), ("mine", True), ("trained", True):
        run = Run(tmp_path / name)
        if name == "mine":  # held something before
            run.folder.mkdir()
            (run.folder / "notes.txt").touch()
        with pytest.raises(ValueError, match="wrong"), run.held():
            (run.folder / "train.log").touch()
            run.config.touch()
            if name == "trained":
                run.checkpoints.mkdir()
                run.last.touch()
            raise ValueError("wrong")
        assert run.folder.exists() == kept


def test_a_mistake_on_the_command_line_leaves_no_folder(tmp_path: Path) -> None:
    start = [sys.executable, "-m", "experiments.train", "seed=-1", f"folder={tmp_path}/run"]
    done = subprocess.run(start, capture_output=True, text=True)
    assert done.returncode == 1 and "seed=-1" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_of_runs_stands_for_its_newest_finished_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for time, (name, finished) in enumerate({"b": True, "c": True, "a": True, "d": False}.items()):
        run = Run(tmp_path / name)
        run.checkpoints.mkdir(parents=True)
        run.best.touch()
        if finished:
            run.results.touch()
            os.utime(run.results, (time, time))
    with caplog.at_level(logging.INFO):
        assert find_checkpoint(tmp_path) == Run(tmp_path / "a").best
    assert f"{tmp_path}/a, the newest finished run in {tmp_path}" in caplog.text
    assert find_checkpoint(tmp_path / "b") == Run(tmp_path / "b").best
    with pytest.raises(FileNotFoundError, match="not found; it must be"):
        find_checkpoint(tmp_path / "b" / "checkpoints")
    for name in "sweep/1", "study/share1_seed0":  # the runs of a sweep count as well
        run = Run(tmp_path / name)
        run.checkpoints.mkdir(parents=True)
        run.best.touch()
        run.results.touch()
        os.utime(run.results, (5, 5))
    assert find_checkpoint(tmp_path) == Run(tmp_path / "sweep" / "1").best


def test_resume_makes_no_other_class(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, proof = tmp_path / "run", tmp_path / "proof"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").write_bytes((trained / "checkpoints" / "last.ckpt").read_bytes())
    for key in "data.root", "optimizer.lr", "trainer.callbacks":
        config = OmegaConf.load(trained / "config.yaml")
        shell = {"_target_": "torch.utils.collect_env.run", "command": f"touch {proof}"}
        OmegaConf.update(config, key, shell, force_add=True)
        OmegaConf.save(config, folder / "config.yaml")
        monkeypatch.setattr(sys, "argv", ["train", f"resume={folder}"])
        with pytest.raises(SystemExit, match=r"torch.utils.collect_env.run is not .* trust=torch.utils.collect_env"):
            train.main()
    assert not proof.exists()
