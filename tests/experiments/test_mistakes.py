"""A wrong value is one line, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.answers import CONF
from experiments.errors import one_line_errors
from experiments.run import Run
from tests.experiments.runs import composed, short
from tests.experiments.runs import train_command as command


def test_a_sweep_goes_on_after_a_job_that_cannot_run(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        command(
            monkeypatch, "-m", *short(sounds), "trainer.max_epochs=1", "optimizer.lr=-1,0.001", f"folder={tmp_path}"
        )  # fmt: skip
    assert end.value.code == 1
    out, err = capsys.readouterr()
    assert "optimizer.lr=-1 is not a number of at least 0" in out + err and "Traceback" not in out + err
    assert (tmp_path / "1" / "results.json").exists() and not (tmp_path / "0" / "results.json").exists()


def test_a_sweep_that_has_no_name_is_named_by_its_data_and_model(tmp_path: Path) -> None:
    sweep = ["-m", "data=synthetic", "model=mnet", "batch_size=0,-1"]
    environment = os.environ | {"PYTHONPATH": str(CONF.parent)}
    start = [sys.executable, "-m", "experiments.train", *sweep]
    done = subprocess.run(start, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr and done.returncode == 1
    assert "batch_size=-1 is not a whole number of at least 1" in done.stdout + done.stderr
    assert [folder.name for folder in (tmp_path / "runs").iterdir()] == ["synthetic_mnet"]


def test_a_sweep_resumes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command(monkeypatch, "-m", f"resume={tmp_path}", "test=true", f"folder={tmp_path}/sweep")
    out, err = capsys.readouterr()
    assert f"resume={tmp_path} does not go with -m; resume one run after the other" in out + err


@pytest.mark.parametrize("option", ["max_epochs=0", "limit_train_batches=0", "fast_dev_run=true"])
def test_a_run_that_trains_nothing(option: str, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="error: no epoch was trained, so that there is nothing to test"):
        command(monkeypatch, *short(sounds), f"++trainer.{option}", f"folder={tmp_path}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=-1", "seed=-1 is not a whole number of at least 0"),
        ("seed=abc", "seed=abc is not a whole number"),
        ("seed=4294967296", "seed=4294967296 is too large; the largest is 4294967295"),
        ("fraction=abc", "fraction=abc is not a number"),
        ("batch_size=0", "batch_size=0 is not a whole number of at least 1"),
        ("wavelet_loss=abc", "wavelet_loss=abc is not a number of at least 0"),
        ("optimizer.lr=abc", "optimizer.lr=abc is not a number"),
        ("optimizer.lr=nan", "optimizer.lr=nan is not a number"),
        ("optimizer.weight_decay=abc", "optimizer.weight_decay=abc is not a number"),
        ("trainer.max_epochs=1.5", "trainer.max_epochs=1.5 is not a whole number of at least -1"),
        ("trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch=0 is not a whole number of at least 1"),
        ("test=no", "test=no is neither true nor false"),
        ("task=segmentation", r"task=segmentation needs maps, as model=unet returns, not \(\d+, 3\)"),
        ("rescale=1", "rescale=1 is not a list of numbers"),
        ("rescale=[abc]", r"rescale=\['abc'\] is not a list of numbers"),
        ("compile=nonsense", "compile=nonsense: .*default"),
        ("trainer=gpu", "No supported gpu backend|No available GPU|accelerator"),
        ("trainer.devices=0", "devices"),
        ("trainer.accelerator=tpu", "torch_xla|TPU"),
        ("+model.color=red", "color"),
        ("model._target_=wavenets.models.None", "wavenets.models.None"),
        ("+callbacks.x._target_=lightning.pytorch.callbacks.LearningRateFinder", "LearningRateFinder changes what"),
        ("+callbacks.x._target_=lightning.pytorch.callbacks.BatchSizeFinder", "BatchSizeFinder changes what"),
        ("trainer.max_time=5", "a value of trainer.… has a wrong type"),
        ("views.num_scales=50", "views.num_scales=50 needs inputs of "),
        ("data.test_fold=null", "data.test_fold=None is not a fold"),
    ],
)
def test_a_wrong_value_is_one_line(
    override: str, message: str, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if override == "trainer=gpu" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(SystemExit, match=f"error: .*({message})") as error:
        command(monkeypatch, *short(sounds), override, f"folder={tmp_path}")
    assert "\n" not in str(error.value)


def test_a_run_continues_with_single_keys(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"trainer=gpu: a run continues with .* key by key, such as trainer.acc"):
        command(monkeypatch, f"resume={trained}", "trainer=gpu")


def test_the_folder_is_free_after_an_error(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="seed=-1"):
        command(monkeypatch, *short(sounds), "seed=-1", f"folder={tmp_path}")
    with Run(tmp_path).held():
        assert composed().seed == 0


def test_batch_norm_of_one_value_names_the_remedy() -> None:
    with pytest.raises(SystemExit, match=r"^error: batch norm .* set a larger batch_size"), one_line_errors():
        torch.nn.BatchNorm1d(2)(torch.zeros(1, 2))
