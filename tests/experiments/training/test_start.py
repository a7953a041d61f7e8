"""Training that starts from the weights of another run."""

import logging
import sys
from pathlib import Path

import pytest
import torch

from experiments import train
from experiments.card import load_network, read_checkpoint
from experiments.models.log_mel import LogMelCNN
from experiments.run import Run
from experiments.training.start import start_from
from tests.experiments.runs import run, saved, short
from wavenets.models import CNN, MNet

STILL = "optimizer.lr=0", "trainer.max_epochs=1"


def test_a_run_starts_from_the_weights(sounds: Path, trained_m3: Path, tmp_path: Path) -> None:
    """With a learning rate of 0, the weights at the end are those at the start."""
    run(tmp_path / "run", *short(sounds), *STILL, f"weights={trained_m3}", "seed=5")
    theirs, ours = load_network(Run(trained_m3).best)[0], load_network(Run(tmp_path / "run").last)[0]
    for (name, a), b in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_resumed_run_keeps_its_own_weights(
    sounds: Path, trained_m3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "run", *short(sounds), "trainer.max_epochs=1", f"weights={trained_m3}")
    before = read_checkpoint(Run(tmp_path / "run").last)[0]
    monkeypatch.setattr(train, "start_from", lambda *_: pytest.fail("the weights were loaded again"))
    monkeypatch.setattr(sys, "argv", ["train", f"resume={tmp_path}/run", "trainer.max_epochs=2"])
    train.main()
    after = read_checkpoint(Run(tmp_path / "run").last)[0]
    assert any(not torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("kind", ["run", "checkpoint", "pretrained"])
def test_another_number_of_classes_has_a_new_head(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    old, new = CNN(10, width=4), CNN(3, width=4)
    folder = saved(old, tmp_path / "run", "multi_class", None, [str(n) for n in range(10)])
    old.save_pretrained(tmp_path / "weights")
    sources = {"run": folder, "checkpoint": Run(folder).best, "pretrained": tmp_path / "weights"}
    head = {n for n, p in new.named_parameters() if p.shape != old.get_parameter(n).shape}
    before = {name: p.clone() for name, p in new.named_parameters()}
    with caplog.at_level(logging.INFO):
        start_from(new, sources[kind])
    (layer,) = {name.rpartition(".")[0] for name in head}
    for name, p in new.named_parameters():
        expected = before if name.startswith(layer) else dict(old.named_parameters())
        assert torch.equal(p, expected[name]), name
    (line,) = caplog.messages
    assert f"new, as their shapes differ: {layer}" in line and str(sources[kind]) in line


def test_a_network_of_the_experiments_starts_from_its_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    old, new = LogMelCNN(3, sample_rate=8000), LogMelCNN(3, sample_rate=8000, base="3/2", num_scales=4)
    old.save_pretrained(tmp_path)
    start_from(new, tmp_path)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(new.parameters(), old.parameters(), strict=True))


def test_what_does_not_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = saved(CNN(3, width=4), tmp_path / "cnn", "multi_class", None, ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"weights=.*cnn: no layer of this network has a shape that fits"):
        start_from(MNet(num_classes=3, depth=3), folder)
    scaled = saved(CNN(3, width=4, base=2, num_scales=3), tmp_path / "scaled", "multi_class", None, ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"the weights were learned on base 2"):
        start_from(CNN(3, width=4, base=3, num_scales=3), scaled)
    with pytest.raises(FileNotFoundError, match=r"weights=nowhere: "):
        start_from(CNN(3), "nowhere")
    more = CNN(3, width=4)
    more.register_parameter("gain", torch.nn.Parameter(torch.ones(2)))
    start_from(more, folder)
    assert caplog.messages[-1].endswith("do not fit everywhere; layers not in it: gain")
