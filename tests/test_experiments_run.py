"""A run's folder, its card and results, and what a checkpoint may make."""

import doctest
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from experiments import evaluate, predict, train
from experiments.data import source
from experiments.run import Card, Results, load_network
from experiments.trust import ROOMS, build
from tests.experiment_runs import run, run_on, tiny, write_set


class Nothing:
    """No dataset."""


class Net(nn.Module):
    """A network outside of wavenets."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(1, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.abs().mean(-1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    net = tiny(write_set(tmp_path_factory.mktemp("set")), "model=w_sample_cnn")
    run(folder, *net, "trainer.max_epochs=1", "rescale=[]")
    return folder


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
            {"_target_": "experiments.data.workers.ProcessPoolExecutor", "initializer": shell},
        ),
        "another class": (("model",), {"_target_": "subprocess.Popen", "args": ["touch", str(proof)]}),
        "another class by way of a module": (
            ("model",),
            {"_target_": "experiments.data.workers.multiprocessing.Process", "name": str(proof)},
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
    message = r"may name; trust=|plain values only|no _target_|unknown option folder"
    for command, arguments in (predict, ["files=[x.wav]"]), (evaluate, []):
        monkeypatch.setattr(sys, "argv", ["command", f"ckpt={file}", *arguments])
        with pytest.raises(SystemExit, match=message):
            command.main()
    assert not proof.exists()


@pytest.mark.parametrize("keys", [("data",), ("data", "root"), ("task",), ("task", "monitor")])
def test_evaluate_makes_no_other_data_or_task(keys: tuple[str, ...], trained: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    shell = {"_target_": "torch.utils.collect_env.run", "command": f"touch {proof}"}
    card = load_network(crafted(trained, tmp_path / "crafted.ckpt", *keys, value=shell))[1]
    with pytest.raises(ValueError, match=r"may name; trust=|plain values only"):
        build(card.config[keys[0]])
    assert not proof.exists()


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


def test_a_network_of_ones_own_must_be_trusted(trained: Path, tmp_path: Path) -> None:
    name = f"{__name__}.Net"
    options = tiny(write_set(tmp_path / "set"), "model=w_sample_cnn")
    own = f"model._target_={name}", "~model.base", "~model.out_scales", "~model.readout", "wavelet_loss=0"
    run(tmp_path / "run", *options, *own, "trainer.max_epochs=1", "rescale=[]")
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    with pytest.raises(ValueError, match=rf"{name} is not .* trust={__name__} allows"):
        load_network(best)
    assert isinstance(load_network(best, [__name__])[0], Net)


def test_plain_values_are_built() -> None:
    assert build({"_target_": f"{ROOMS[0]}.MNet", "depth": 3}, num_classes=2)(torch.zeros(1, 1, 8000)).shape == (1, 2)


def test_card_and_results_are_what_was_written(trained: Path) -> None:
    values = json.loads((trained / "results.json").read_text())
    results = Results.load(trained / "results.json")
    assert results.to_dict() == values
    names = "accuracy", "balanced_accuracy", "loss"
    assert results.test == {name: values[f"test_{name}"] for name in names}
    assert (results.test_fold, results.test_clips, len(results.folds)) == (1, 3, 10)
    card = load_network(trained / "checkpoints" / "best.ckpt")[1]
    assert Card.from_dict(card.to_dict()) == card
    assert (card.monitor, card.value, card.epoch) == ("val_accuracy", values["val_accuracy"], 1)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "net", "odd": 1}', "7"])
def test_what_is_no_results_json_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results.json is not the results.json of experiments.train"):
        Results.load(tmp_path / "results.json")


def documented_source() -> Any:
    """The class in the documentation of `Source`."""
    assert source.Source.__doc__ is not None
    example = doctest.DocTestParser().get_examples(source.Source.__doc__)
    namespace: dict[str, Any] = {"__name__": "documented"}
    for part in example:
        exec(part.source, namespace)
    return namespace["Tones"]


def test_a_dataset_as_documented_works_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("documented")
    module.Tones = documented_source()
    monkeypatch.setitem(sys.modules, "documented", module)
    results = run_on(module.Tones, tmp_path)
    assert results["classes"] == ["low", "high"] and results["rescaled"] == {} and results["test_fold"] is None
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={tmp_path}", "trust=documented", "rescale=[0.5,1]"])
    evaluate.main()
    again = Results.load(tmp_path / "checkpoints" / "best.json")
    assert again.rescaled["1"] == again.test["accuracy"] == results["test_accuracy"]
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={tmp_path}", "trust=documented", "rescale=[-1]"])
    with pytest.raises(SystemExit, match="rescale=-1 is out of range; a pitch is above 0"):
        evaluate.main()


def test_what_is_no_dataset_is_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Nothing is no dataset: it lacks classes, quantity, split"):
        run_on(Nothing, tmp_path)
