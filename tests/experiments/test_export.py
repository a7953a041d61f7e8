"""The version of the operators of an exported file."""

import sys
from pathlib import Path

import onnx
import pytest
import torch

from experiments import export
from experiments.data.inputs import Waveform
from tests.experiments.runs import saved
from tests.slow import quickly
from wavenets.models import MNet


@pytest.fixture
def made(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return saved(MNet(3, num_classes=2), tmp_path / "run", "multi_class", Waveform(8000, 8000), ["a", "b"])


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["export", *arguments])
    export.main()


@pytest.mark.parametrize("opset", quickly([17, 18, 20], 18))
def test_the_file_has_the_opset(opset: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command compares its outputs with those of the network."""
    command(monkeypatch, f"ckpt={made}", f"out={tmp_path}/net.onnx", f"opset={opset}")
    assert onnx.load(tmp_path / "net.onnx").metadata_props
    versions = {entry.domain: entry.version for entry in onnx.load(tmp_path / "net.onnx").opset_import}
    assert versions[""] == opset


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["opset=17", "format=export"], r"error: opset=17 is for format=onnx, not for format=export"),
        (["opset=new"], r"error: opset=new is not a whole number"),
        (["opset=5"], r"error: opset=5: "),
        (["opset=999"], r"error: opset=999 cannot be written by this version of torch; opset=\d+ can"),
        (["opset=true"], r"error: opset=True is not a whole number"),
        (["shape=[1,a]"], r"error: shape=\[1, 'a'\] is not \[channels,samples\] or \[channels,height,width\]"),
        (["shape=800"], r"error: shape=800 is not \[channels,samples\]"),
        (["shape=[1]"], r"error: shape=\[1\] is not \[channels,samples\]"),
    ],
)
def test_mistakes(
    arguments: list[str], message: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=message) as end:
        command(monkeypatch, f"ckpt={made}", *arguments)
    assert "\n" not in str(end.value) and not list(made.rglob("*.onnx"))
