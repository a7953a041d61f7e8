"""What commands answer before they import what they need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.answers import answer
from experiments.cli import COMMANDS
from tests.experiments.runs import CONF, composed

HEAVY = "torch", "lightning", "torchmetrics", "librosa", "matplotlib", "pandas", "sklearn"


@pytest.mark.parametrize(("command", "script"), [*((command, False) for command in COMMANDS), ("train", True)])
def test_help_imports_nothing_heavy(command: str, script: bool, tmp_path: Path) -> None:
    start = (
        f"sys.argv = ['wavenets', {command!r}, '--help']; from experiments.cli import main; main()"
        if script
        else f"sys.argv = [{command!r}, '--help']; runpy.run_module('experiments.{command}', run_name='__main__')"
    )
    code = (
        f"import atexit, runpy, sys; sys.path[0] = {str(CONF.parent)!r}\n"
        f"atexit.register(lambda: print('imported:', [name for name in {HEAVY} if name in sys.modules]))\n{start}"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"python -m experiments.{command}" in result.stdout
    assert result.stdout.splitlines()[-1] == "imported: []"
    assert list(tmp_path.iterdir()) == []


def test_help_that_nobody_reads_to_the_end_is_no_error() -> None:
    help = subprocess.Popen(
        [sys.executable, "-m", "experiments.train", "-h"],
        cwd=CONF.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert help.stdout and help.stderr
    help.stdout.close()
    assert help.stderr.read() == b""
    help.wait()


@pytest.mark.parametrize(
    ("command", "overrides", "line"),
    [
        ("train", "trainer.epochs=5", "trainer.epochs is unknown; did you mean trainer.max_epochs?"),
        ("train", "epochs=5", "epochs is unknown; did you mean trainer.max_epochs?"),
        ("train", "seed=0,1", r"seed=0,1 has several values; .* add -m, and a list is written \[0,1\]"),
        ("train", "model.widht=3 model=cnn", "model.widht is unknown; did you mean model.width?"),
        ("train", "data.test_fld=1", "data.test_fld is unknown; did you mean data.test_fold?"),
        ("train", "data=csv data.metdata=a.csv", "data.metdata is unknown; did you mean data.metadata?"),
        ("train", "seed=1 data=drivee batch_size=2", "data=drivee is unknown; did you mean data=drive?"),
        ("train", "augment=[noise,flipp]", "augment=flipp is unknown; did you mean augment=flip?"),
        ("train", "-m seed=0,1 model.dpeth=3,5", "model.dpeth is unknown; did you mean model.depth?"),
        ("train", "+seed=3", r"\+seed=3: seed exists already; leave out the \+"),
        ("train", "model.xyz=3", "model.xyz is unknown; --help lists what there is"),
        ("train", "name='a", "name='a cannot be read; .*quotes.*"),
        ("study", "study=vesels", "study=vesels is unknown; did you mean study=vessels?"),
        ("study", "launcher=null", "launcher=None is unknown; choose one of local, slurm"),
        ("study", "study=esc1", "study=esc1 is unknown; did you mean study=esc10?"),
        ("evaluate", "ckp=runs/a", "ckp is unknown; did you mean ckpt?"),
        ("predict", "ckpt=runs/a fils=[a.wav]", "fils is unknown; did you mean files?"),
        ("export", "ckpt=runs/a fromat=onnx", "fromat is unknown; did you mean format?"),
        ("predict", "ckpt=runs/a files=['']", r"files=\[''\] has an empty value; write one, or leave files out"),
        ("predict", "ckpt=runs/a files=[a.wav] maps=", "maps= has an empty value; write one, or leave maps out"),
        ("train", "-m seed=0,1 folder=''", "folder='' has an empty value; write one, or leave folder out"),
        ("demo", "ckpt=runs/a prot=80", "prot is unknown; did you mean port?"),
    ],
)
def test_the_nearest_key_is_named(command: str, overrides: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [command, *overrides.split()])
    with pytest.raises(SystemExit, match=f"^error: {line.replace('?', '[?]')}$") as error:
        answer(command)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("command", "overrides"),
    [
        ("train", "data=csv data.metadata=list.csv model=cnn model.rotations=4 name=été"),
        ("train", "-m seed=0,1 data.test_fold=range(1,6) model=cnn,resnet"),
        ("train", "+model.mine=3 experiment=null logger=null ~seed"),
        ("train", "resume=runs/a data.metadata=b.csv trainer.max_epochs=3"),
        ("evaluate", "ckpt=runs/a data.anything=3 views.rotations=4"),
    ],
)
def test_what_exists_is_not_answered(command: str, overrides: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [command, *overrides.split()])
    answer(command)
    assert composed("seed=3").seed == 3  # Hydra is left as it was


@pytest.mark.parametrize("key", ["folder", "resume"])
def test_a_folder_that_cannot_be_one_is_named(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["train", f"{key}={tmp_path}/file/run"])
    with pytest.raises(SystemExit, match=f"^error: {tmp_path}/file is a file, not a folder for a run"):
        answer("train")
    monkeypatch.setattr(sys, "argv", ["train", f"{key}={tmp_path}/new/run"])
    answer("train")
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path)  # root may write everywhere
    with pytest.raises(SystemExit, match=f"^error: {tmp_path} cannot be written; set folder=…"):
        answer("train")


def test_own_configurations_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text("title: Mine\n")
    monkeypatch.setattr(sys, "argv", ["study", "--config-dir", str(tmp_path), "study=mine", "study.titel=Ours"])
    with pytest.raises(SystemExit, match=r"^error: study.titel is unknown; did you mean study.title\?$"):
        answer("study")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("defaults:\n  - override /model: unet\n", "Could not override 'model@experiment.model'"),
        ("# @package _global_\ndefaults:\n  - override /model: unett\n", "Could not find 'model/unett'"),
        ("# @package _global_\nmodel: {width: 3\n", "mine.yaml.*line 2"),
    ],
)
def test_faults_of_own_configurations_are_named(
    text: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["train", "--config-dir", str(tmp_path), "seed=3", "experiment=mine"])
    with pytest.raises(SystemExit, match=f"^error: experiment=mine: .*{line}") as error:
        answer("train")
    assert "\n" not in str(error.value)
