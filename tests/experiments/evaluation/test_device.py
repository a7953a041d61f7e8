"""The precision that a network calculates in is the fast one of its device."""

from pathlib import Path

import pytest
import torch
from torch import nn

from experiments.evaluation import device
from experiments.evaluation.device import place
from experiments.run import Run
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.trainer import make_trainer
from tests.experiments.runs import composed

MIXED = {"accelerator": "cpu", "precision": "bf16-mixed"}


@pytest.mark.parametrize("has, dtype", [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_is_not_emulated(
    has: bool, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda: has)
    caplog.set_level("INFO")
    network, dtypes = nn.Conv1d(1, 2, 3), []
    network.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    place(network, MIXED)(torch.ones(1, 1, 5))
    trainer, _ = make_trainer(
        composed("trainer.accelerator=cpu", "trainer.precision=bf16-mixed"), Run(tmp_path), MultiClass(3)
    )
    with trainer.precision_plugin.forward_context():
        network(torch.ones(1, 1, 5))
    assert dtypes == [dtype, dtype]
    assert ("no instructions for bfloat16" in caplog.text) != has


@pytest.mark.parametrize("accelerator, precision", [("cpu", "bf16-mixed"), ("auto", "bf16"), ("gpu", "bf16-mixed")])
def test_a_gpu_keeps_its_precision(accelerator: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda: False)
    for available in False, True:
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        emulated = accelerator == "cpu" or not available
        found = device.precision_of({"accelerator": accelerator, "precision": precision})
        assert found == ("32-true" if emulated else precision)


@pytest.mark.parametrize("precision", ["16-mixed", "32-true", "64-true", "bf16-true", None])
def test_other_precisions_are_kept(precision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda: False)
    assert device.precision_of({"accelerator": "cpu", "precision": precision}) == precision
