"""What a checkpoint says of its network, and what it may make."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from experiments import evaluate, predict
from experiments.card import Card, find_checkpoint, load_network
from experiments.data.inputs import Image, Waveform
from experiments.results import Results
from experiments.trust import ROOMS, build
from tests.experiments.runs import run, short


class Net(nn.Module):
    """A network outside of wavenets."""

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(1, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.abs().mean(-1))


def crafted(trained: Path, file: Path, *keys: str, value: Any) -> Path:
    """A copy of a checkpoint with another value in its configuration."""
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    node = checkpoint["card"]["config"]
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    torch.save(checkpoint, file)
    return file


def attacks(proof: Path) -> dict[str, tuple[tuple[str, ...], Any]]:
    shell = {"_target_": "torch.utils.collect_env.run", "command": f"touch {proof}"}
    return {
        "an argument of the model": (("model", "out_scales"), {"_target_": "builtins.bool", "_args_": [shell]}),
        "deep in a list": (("model", "out_scales"), [{"any": [shell]}]),
        "the model": (("model",), shell),
        "a class that is imported": (
            ("model",),
            {"_target_": "experiments.data.sound.workers.ProcessPoolExecutor", "initializer": shell},
        ),
        "another class": (("model",), {"_target_": "subprocess.Popen", "args": ["touch", str(proof)]}),
        "another class by way of a module": (
            ("model",),
            {"_target_": "experiments.data.sound.workers.multiprocessing.Process", "name": str(proof)},
        ),
        "a module's beginning": (("model",), {"_target_": "wavenets.modelsx.Net"}),
        "no text": (("model",), {"_target_": 3}),
        "an argument that it has not": (("model", "folder"), "/"),
        "no mapping": (("model",), "rm -r /"),
        "nothing": (("model",), {"depth": 3}),
    }


@pytest.mark.parametrize("attack", attacks(Path()))
def test_a_checkpoint_runs_nothing(attack: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = tmp_path / "proof"
    keys, value = attacks(proof)[attack]
    file = crafted(trained, tmp_path / "crafted.ckpt", *keys, value=value)
    message = r"may name; trust=|plain values only|not a _target_|unknown option folder"
    for command, arguments in (predict, ["files=[x.wav]"]), (evaluate, []):
        monkeypatch.setattr(sys, "argv", ["command", f"ckpt={file}", *arguments])
        with pytest.raises(SystemExit, match=message):
            command.main()
    assert not proof.exists()


@pytest.mark.parametrize("keys", [("data",), ("data", "root"), ("task",), ("task", "monitor")])
def test_evaluate_makes_no_other_data_or_task(keys: tuple[str, ...], trained: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    shell = {"_target_": "torch.utils.collect_env.run", "command": f"touch {proof}"}
    file = crafted(trained, tmp_path / "crafted.ckpt", *keys, value=shell)
    with pytest.raises(ValueError, match=r"may name; trust=|plain values only"):
        build(load_network(file)[1].config[keys[0]])
    assert not proof.exists()


def test_a_network_outside_of_wavenets_must_be_trusted(sounds: Path, tmp_path: Path) -> None:
    name = f"{__name__}.Net"
    run(tmp_path, *short(sounds), f"model._target_={name}", "trainer.max_epochs=1")
    best = tmp_path / "checkpoints" / "best.ckpt"
    with pytest.raises(ValueError, match=rf"{name} is not .* trust={__name__} allows"):
        load_network(best)
    assert isinstance(load_network(best, [__name__])[0], Net)


def test_plain_values_are_built() -> None:
    assert build({"_target_": f"{ROOMS[0]}.MNet", "depth": 3}, num_classes=2)(torch.zeros(1, 1, 8000)).shape == (1, 2)


def test_the_card_of_a_checkpoint_is_of_its_run(trained: Path) -> None:
    results = Results.load(trained / "results.json")
    card = load_network(trained / "checkpoints" / "best.ckpt")[1]
    assert Card.from_dict(card.to_dict()) == card
    assert (card.monitor, card.value, card.epoch) == ("val_accuracy", results.val["accuracy"], results.best_epoch)
    assert card.validation == results.val
    assert card.input == Waveform(8000, 800) and card.classes == results.classes
    assert card.config["model"]["in_channels"] == 1  # null in conf/model


@pytest.mark.parametrize("input", [None, Waveform(16000), Waveform(8000, 99, 2), Image(3), Image(1, (5, 7), mpp=0.25)])
def test_cards_are_plain_values(input: Any, tmp_path: Path) -> None:
    card = Card({"a": [1, None, {"b": 0.1}]}, ["x", "y"], input, 3, "val_loss", None, {"loss": 0.5})
    torch.save(card.to_dict(), tmp_path / "card")
    assert Card.from_dict(torch.load(tmp_path / "card", weights_only=True)) == card


@pytest.mark.parametrize(
    "input", [{"kind": "sound"}, {"kind": "image"}, {}, {"kind": "image", "channels": 1, "odd": 2}]
)
def test_an_unknown_input_is_not_a_card(input: Any, trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["card"]["input"] = input
    torch.save(checkpoint, tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match=r"odd.ckpt is not a checkpoint of experiments.train"):
        load_network(tmp_path / "odd.ckpt")


@pytest.mark.parametrize(
    "change, reason",
    [
        ("renamed", "Missing key"),
        ("no task", "KeyError: 'task'"),
        ("no such class", "Error locating target|Unable to import|wavenets.models.DigitCNN"),
    ],
)
def test_a_checkpoint_of_another_version_is_named(change: str, reason: str, trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    config, weights = checkpoint["card"]["config"], checkpoint["state_dict"]
    if change == "renamed":
        name = next(iter(weights))
        weights[f"{name}_before"] = weights.pop(name)
    elif change == "no task":
        del config["task"]
    else:
        config["model"]["_target_"] = "wavenets.models.DigitCNN"
    torch.save(checkpoint, tmp_path / "old.ckpt")
    with pytest.raises(ValueError, match=rf"old.ckpt is not of this version, or was changed \(.*({reason}).*train it"):
        load_network(tmp_path / "old.ckpt")


def test_a_checkpoint_is_found_in_the_folder_of_a_run(trained: Path, tmp_path: Path) -> None:
    assert find_checkpoint(str(trained)) == trained / "checkpoints" / "best.ckpt"
    assert find_checkpoint(trained / "checkpoints" / "last.ckpt").name == "last.ckpt"
    with pytest.raises(FileNotFoundError, match="it must be a checkpoint or the folder of a run"):
        find_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match="ckpt is null"):
        find_checkpoint(None)
