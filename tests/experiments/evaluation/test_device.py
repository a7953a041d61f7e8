"""The precision that a network calculates in is the fast one of its device."""

import platform
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


@pytest.mark.parametrize(
    "machine, onednn, avx512_bf16, amx, has",
    [
        ("x86_64", False, False, False, False),  # AVX2
        ("x86_64", True, False, False, False),  # AVX-512 without the extension
        ("AMD64", True, True, False, True),
        ("x86_64", True, False, True, True),
        ("aarch64", True, False, False, True),
        ("aarch64", False, False, False, False),
    ],
)
def test_a_cpu_has_bfloat16_if_it_has_instructions_for_it(
    machine: str, onednn: bool, avx512_bf16: bool, amx: bool, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert device.has_bfloat16() == has


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
