"""Testing a trained network again, on its own data or on others."""

import contextlib
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hydra import compose, initialize_config_dir

from experiments import evaluate, predict
from experiments.card import load_network
from experiments.evaluation.device import place
from experiments.results import Results
from tests.experiments.runs import CONF, evaluated, write_set


def test_evaluate_gives_the_results_of_the_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={trained}"])
    evaluate.main()
    at_the_end = json.loads((trained / "results.json").read_text())
    again = json.loads((trained / "checkpoints" / "best.json").read_text())
    for key in "overrides", "epochs", "seconds":  # of the training
        del again[key], at_the_end[key]
    assert again == at_the_end
    assert (trained / "checkpoints" / "best_transformed.png").exists()


def test_predictions_of_the_run_s_own_test_are_in_its_folder_and_others_beside_the_checkpoint(
    trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    of_the_training = pd.read_csv(run / "predictions.csv")
    results = Results.load(run / "results.json")
    assert len(of_the_training) == results.test_examples
    right = of_the_training["truth"] == of_the_training["predicted"]
    assert right.mean() == pytest.approx(results.test["accuracy"], rel=1e-6)
    probabilities = of_the_training[[f"p_{name}" for name in results.classes]].to_numpy()
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-6)
    assert [results.classes[row] for row in probabilities.argmax(1)] == of_the_training["predicted"].tolist()
    assert all(Path(file).is_file() for file in of_the_training["file"])
    (run / "predictions.csv").unlink()
    for file in (run / "checkpoints").glob("*.csv"):
        file.unlink()
    evaluated(f"ckpt={run}", "rescale=[]", "views.num_scales=2")
    pd.testing.assert_frame_equal(pd.read_csv(run / "predictions.csv"), of_the_training, rtol=1e-5)
    views = pd.read_csv(run / "views_predictions.csv")
    assert views["file"].tolist() == of_the_training["file"].tolist() and not views.equals(of_the_training)
    assert not list((run / "checkpoints").glob("*.csv"))
    before = (run / "predictions.csv").read_bytes()
    evaluated(f"ckpt={run}", "rescale=[]", "++data.test_fold=3", "views.num_scales=2")
    evaluated(f"ckpt={run}/checkpoints/last.ckpt", "rescale=[]")
    assert (run / "predictions.csv").read_bytes() == before
    assert {file.name for file in (run / "checkpoints").glob("*.csv")} == {
        f"{name}_predictions.csv" for name in ("best", "views_best", "last")
    }
    elsewhere = pd.read_csv(run / "checkpoints" / "best_predictions.csv")["file"]
    assert set(elsewhere).isdisjoint(of_the_training["file"])


def test_evaluate_elsewhere_and_at_other_speeds(trained: Path, tmp_path: Path) -> None:
    root = write_set(tmp_path / "moved")
    changes = [f"ckpt={trained}/checkpoints/last.ckpt", f"++data.root={root}", f"++data.cache_dir={tmp_path}/cache"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        results, file, _ = evaluate.evaluate(compose("evaluate", [*changes, "rescale=[0.25,0.7,4]"]))
    assert list(results.transformed) == ["0.25", "0.7", "4"]
    assert file == trained / "checkpoints" / "last.json"


def test_evaluate_on_another_fold_or_with_any_other_value_of_the_data(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last = Path(shutil.copy(trained / "checkpoints" / "last.ckpt", trained / "copy.ckpt"))
    monkeypatch.setattr(
        sys, "argv", ["evaluate", f"ckpt={last}", "data.test_fold=3", "data.duration=0.2", "rescale=[]"]
    )
    evaluate.main()
    results = Results.load(last.with_suffix(".json"))
    assert (results.test_fold, results.transformed) == (3, {})
    assert "tested with another data.test_fold" in capsys.readouterr().out
    root = Results.load(trained / "results.json")
    assert results.test["loss"] != root.test["loss"]


@pytest.mark.slow
def test_classes_are_found_by_their_names(trained: Path, tmp_path: Path) -> None:
    same = f"ckpt={trained}", f"++data.cache_dir={tmp_path}/cache", "rescale=[]"
    before = evaluated(*same)
    csv = write_set(tmp_path / "set") / "metadata" / "UrbanSound8K.csv"
    table = pd.read_csv(csv)
    table.assign(classID=(table["classID"] + 1) % 3).to_csv(csv, index=False)
    other = evaluated(*same, f"++data.root={tmp_path}/set")
    assert (other.classes, other.test, other.details) == (before.classes, before.test, before.details)
    table.assign(**{"class": table["class"].replace("class1", "cow")}).to_csv(csv, index=False)
    with pytest.raises(ValueError, match="does not know the class cow; it knows class0, class1, class2"):
        evaluated(*same, f"++data.root={tmp_path}/set")
    table[table["classID"] != 1].to_csv(csv, index=False)  # fewer classes are no harm
    fewer = evaluated(*same, f"++data.root={tmp_path}/set")
    assert fewer.test_examples == 2 and len(fewer.details["confusion"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("command", [evaluate, predict])
def test_precision_and_device_are_the_run_s_or_asked_for(
    command: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[Any] = []

    def placing(network: Any, trainer: Any) -> Any:
        placed.append(trainer)
        return place(network, trainer)

    monkeypatch.setattr(command, "place", placing)
    soundfile.write(tmp_path / "a.wav", np.ones(800), 8000)
    arguments = [f"files=[{tmp_path}/a.wav]"] if command is predict else ["rescale=[]"]
    for changes in [], ["trainer.precision=bf16-mixed", "trainer.accelerator=cpu"]:
        monkeypatch.setattr(sys, "argv", ["command", f"ckpt={trained}", *arguments, *changes])
        with contextlib.suppress(SystemExit):
            command.main()
    assert [trainer["precision"] for trainer in placed] == ["32-true", "bf16-mixed"]
    assert [trainer["accelerator"] for trainer in placed] == ["auto", "cpu"]
    monkeypatch.setattr(sys, "argv", ["command", f"ckpt={trained}", *arguments, "trainer.precision=7"])
    with pytest.raises(SystemExit, match="error: Precision 7 is invalid"):
        command.main()


def test_a_network_of_nan_gives_no_result(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    for name, weight in checkpoint["state_dict"].items():
        weight.fill_(torch.nan) if weight.is_floating_point() and not name.endswith("_extra_state") else None
    torch.save(checkpoint, tmp_path / "nan.ckpt")
    with pytest.raises(ValueError, match="the network's outputs are NaN"):
        evaluated(f"ckpt={tmp_path}/nan.ckpt")
    soundfile.write(tmp_path / "a.wav", np.ones(800), 8000)
    monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={tmp_path}/nan.ckpt", f"files=[{tmp_path}/a.wav]"])
    with pytest.raises(SystemExit) as end:
        predict.main()
    out, err = capsys.readouterr()
    assert end.value.code == 1 and "error: " in err and "NaN or infinite" in err and "%" not in out


def test_a_checkpoint_is_not_overwritten_by_its_results(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path / "x.json")
    with pytest.raises(ValueError, match="json would be overwritten"):
        evaluated(f"ckpt={tmp_path}/x.json")


def test_the_nearest_key_of_the_data_is_named(trained: Path) -> None:
    with pytest.raises(ValueError, match=r"^data.test_flod is unknown; did you mean data.test_fold\?$"):
        evaluated(f"ckpt={trained}", "++data.test_flod=3")


@pytest.mark.parametrize("rescale", ["2", "[abc]", "abc"])
def test_factors_that_are_no_list_of_numbers(rescale: str, trained: Path) -> None:
    with pytest.raises(ValueError, match=r"rescale=.* is not a list of numbers; write rescale=\[0.5,1,2\]"):
        evaluated(f"ckpt={trained}", f"rescale={rescale}")


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_named(damage: str, trained: Path, tmp_path: Path) -> None:
    content = bytearray((trained / "checkpoints" / "best.ckpt").read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        with zipfile.ZipFile(trained / "checkpoints" / "best.ckpt") as archive:
            weight = max(map(archive.read, archive.namelist()), key=len)
        content[content.index(weight) + len(weight) // 2] ^= 0xFF  # torch would load it
    (tmp_path / "best.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"best.ckpt is damaged"):
        load_network(tmp_path / "best.ckpt")


@pytest.mark.parametrize("command", [evaluate, predict])
def test_a_file_that_is_not_a_checkpoint(
    command: object, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_checkpoint = shutil.copy(trained / "config.yaml", tmp_path / "best.ckpt")
    for path, complaint in (
        (no_checkpoint, "is not a checkpoint of experiments.train$"),
        (tmp_path / "none.ckpt", "not found"),
    ):
        arguments = ["files=[a.wav]"] if command is predict else []
        monkeypatch.setattr(sys, "argv", ["command", f"ckpt={path}", *arguments])
        with pytest.raises(SystemExit, match=complaint):
            command.main()  # type: ignore[attr-defined]


def test_the_output_may_be_the_name_of_the_file(trained: Path, tmp_path: Path) -> None:
    for name in "first", "second.json":
        evaluated(f"ckpt={trained}", "rescale=[]", f"output={tmp_path}/out/{name}")
    files = {file.name for file in (tmp_path / "out").iterdir()}
    assert {"first.json", "second.json", "second_predictions.csv"} <= files
    assert {name.replace("first", "second") for name in files} == {name for name in files if "second" in name}
