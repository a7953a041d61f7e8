"""How the commands are started: from a wheel in any folder, as a sweep, and on several devices."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import torch.distributed
from setuptools import build_meta

from tests.experiments.runs import CONF, composed, short

REPOSITORY = CONF.parent


def test_a_wheel_holds_the_commands_and_their_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    for folder in "wavenets", "experiments", "conf", "tests":
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE":
        shutil.copy(REPOSITORY / file, source)
    expected = {f"experiments/{file.relative_to(source)}" for file in source.rglob("*.yaml")}  # nothing else is "conf"
    expected |= {str(file.relative_to(source)) for file in (source / "experiments" / "examples").iterdir()}
    code = {file.relative_to(source) for file in source.glob("*/**/*.py")}
    expected |= {str(file) for file in code if file.parts[0] != "tests"}
    monkeypatch.chdir(source)
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    wheel = zipfile.ZipFile(tmp_path / build_meta.build_wheel(str(tmp_path)))
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected | {"wavenets/py.typed"}

    wheel.extractall(tmp_path / "site")
    (tmp_path / "mine" / "conf").mkdir(parents=True)
    start = [sys.executable, "-m", "experiments.train", "experiment=esc10_m5", "--cfg", "job"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(start, cwd=tmp_path / "mine", env=environment, capture_output=True, text=True)
    assert "_target_: experiments.data.sets.esc50.ESC50" in done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch was built without gloo")
def test_two_processes_train_one_network(sounds: Path, tmp_path: Path) -> None:
    ddp = "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"
    start = [sys.executable, "-m", "experiments.train", *short(sounds), *ddp, "trainer.max_epochs=2", "batch_size=4"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*start, f"folder={tmp_path}/run"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(pd.read_csv(tmp_path / "run" / "metrics.csv")["epoch"]) == [1, 2]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["test_examples"], results["epochs"]) == (3, 2)
    steps = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert steps == 2 * 24 / (2 * 4)  # each process sees half of the clips


@pytest.mark.parametrize(
    ("plugin", "overrides"),
    [
        ("hydra_joblib_launcher", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
        ("hydra_optuna_sweeper", ["hydra/sweeper=optuna", "hydra.sweeper.direction=maximize"]),
    ],
)
def test_sweeps_compose(plugin: str, overrides: list[str]) -> None:
    pytest.importorskip(f"hydra_plugins.{plugin}")
    assert composed(*overrides).trainer.devices == 1
