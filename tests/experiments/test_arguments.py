"""The command line as people write it."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments import cores, train
from experiments.arguments import readable
from experiments.data.sets.urbansound8k import UrbanSound8K
from tests.experiments.runs import short


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("name=été", "été"),
        ("data.root=/home/jürgen/data", "/home/jürgen/data"),
        ("+data.root=~/data", "/home/jürgen/data"),
        ("folder=~", "/home/jürgen"),
        ('name="été"', "été"),
        ("name='a~b'", "a~b"),
        ("rescale=[1,2]", [1, 2]),
        ("files=[~/a,été b.wav, c]", ["/home/jürgen/a", "été b.wav", "c"]),
    ],
)
def test_values(argument: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jürgen")
    (override,) = OverridesParser.create().parse_overrides(readable([argument]))
    assert override.value() == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0 is not a whole number of at least 1"),
        ("task.label_smoothing=1.5", "task.label_smoothing=1.5 is not a number from 0 to 1"),
        ("task.class_weights={cow:2}", "task.class_weights: cow is not a class; the classes are class0"),
    ],
)
def test_wrong_values_are_one_line(
    override: str, message: str, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *short(sounds), override, f"folder={tmp_path}"])
    with pytest.raises(SystemExit, match=f"^error: {message}"):
        train.main()


def test_overfitting_one_batch(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = "trainer.overfit_batches=1", "trainer.max_epochs=1", "test=false"
    monkeypatch.setattr(sys, "argv", ["train", *short(sounds), *options, f"folder={tmp_path}"])
    train.main()
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()


def test_processes_are_those_of_the_job(sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 192)
    assert cores.cores() == 3
    assert UrbanSound8K(sounds, sample_rate=8000, duration=0.1).num_workers == 3
