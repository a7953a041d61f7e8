"""Runs are published as folders, which the commands take as they take a run."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from experiments import evaluate, predict
from experiments.card import find_checkpoint, load_network
from experiments.report import weights
from experiments.report.weights import publish
from experiments.results import Results
from experiments.run import Run
from tests.experiments.runs import run, tiny
from wavenets.models import MNet

SMALL = "data.duration=0.2", "wavelet_loss=0", "trainer.max_epochs=1", "data.trim=60"
MODELS = {"MNet": ["model=mnet", "model.depth=3", "model.normalize=true"], "LogMelCNN": ["model=log_mel"]}


@pytest.fixture(scope="module", params=MODELS)
def trained(request: pytest.FixtureRequest, sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run."""
    folder = tmp_path_factory.mktemp(request.param, numbered=False) / "noises"
    run(folder, *tiny(sounds, *MODELS[request.param]), *SMALL)
    return folder


@pytest.fixture(scope="module")
def published(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is written of it."""
    return publish(Run(trained), tmp_path_factory.mktemp("pretrained"))


def test_the_card_says_what_was_measured_and_names_no_place(trained: Path, published: Path) -> None:
    text = (published / "card.json").read_text()
    card, results = json.loads(text), json.loads((trained / "results.json").read_text())
    about = card["about"]
    assert published.name == "noises" and card["class"] == trained.parent.name
    assert about["classes"] == ["class0", "class1", "class2"]
    assert about["input"] == {"kind": "waveform", "sample_rate": 8000, "num_samples": 1600, "channels": 1}
    assert about["input_shape"] == [1, 1600]
    assert about["normalisation"] == "waveforms within [-1, 1]" and about["divided_by_root_mean_square"] is True
    assert about["test"] == {
        **{name: results[f"test_{name}"] for name in ("accuracy", "balanced_accuracy", "loss")},
        "examples": 3,
        "folds": [1],
    }
    assert about["transformed"] == {"playback speed": results["transformed"]}
    assert str(trained.parent) not in text and "/tmp" not in text and str(Path.home()) not in text


def test_predict_takes_the_folder(
    trained: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 4000), 8000)
    found = []
    for ckpt in trained, published:
        arguments = f"ckpt={ckpt}", f"files=[{tmp_path}/a.wav]", f"json={tmp_path}/all.json"
        monkeypatch.setattr(sys, "argv", ["predict", *arguments])
        with pytest.raises(SystemExit) as end:
            predict.main()
        assert not end.value.code
        found.append(json.loads((tmp_path / "all.json").read_text()))
    assert found[0] == found[1] and len(found[0]["predictions"][0]["windows"]) == 3


def test_evaluate_takes_the_folder_and_the_data(
    trained: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_network(find_checkpoint(trained))[1].config["data"]
    places = f"data.root={data['root']}", f"data.cache_dir={tmp_path}"
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={published}", *places])
    evaluate.main()
    before, after = Results.load(trained / "results.json"), Results.load(published / "model.json")
    assert (after.test, after.transformed, after.val) == (before.test, before.transformed, before.val)
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={published}"])
    with pytest.raises(SystemExit, match=r"missing .* 'root'"):
        evaluate.main()


def test_the_command_says_what_it_wrote(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["weights", str(trained), "--out", str(tmp_path)])
    weights.main()
    net, _ = load_network(find_checkpoint(tmp_path / "noises"))
    count = sum(parameter.numel() for parameter in net.parameters())
    accuracy = Results.load(trained / "results.json").test["accuracy"]
    size = {"MNet": "0.88", "LogMelCNN": "0.72"}[trained.parent.name]
    assert f"/noises: {size} MB, {count:,} parameters, test accuracy {accuracy:.1%}" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["weights", str(tmp_path), "--out", str(tmp_path / "new")])
    with pytest.raises(SystemExit, match=r"results.json not found: .* is not a finished run of experiments.train"):
        weights.main()
    assert not (tmp_path / "new").exists()


def test_a_folder_that_comes_from_no_run_is_named(tmp_path: Path) -> None:
    MNet(3).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"card.json is not the card of a run: it lacks 'config'"):
        load_network(find_checkpoint(tmp_path))
