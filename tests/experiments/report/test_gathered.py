"""Runs that were started by hand are shown as a study."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from experiments import study
from experiments.report.gathered import gathered
from experiments.report.grid import Study, average


def write_run(
    folder: Path, fold: int | None, seed: int = 0, accuracy: float = 0.5, config: Any = None, **changes: Any
) -> Path:
    """Write what a run leaves behind; return its folder."""
    folder.mkdir(parents=True)
    results = {
        **{"name": "net", "overrides": [f"data.test_fold={fold}", f"seed={seed}"], "seed": seed, "test_fold": fold},
        **{"folds": [1, 2, 3, 4, 5], "test_accuracy": accuracy, "val_accuracy": accuracy / 2},
        **{"monitor": "accuracy", "classes": ["a", "b"], "test_examples": 4, "transformation": "size"},
        **{"transformed": {"0.5": accuracy / 3, "2": accuracy / 4}, **changes},
    }
    (folder / "results.json").write_text(json.dumps(results))
    values = {
        **{"name": results["name"], "seed": seed, "optimizer": {"lr": 0.01}, "folder": str(folder), "compile": None},
        **{"data": {"_target_": "Set", "root": str(folder), "test_fold": fold, "val_fold": None}},
        **{"trainer": {"accelerator": "cpu", "devices": 1, "precision": "32-true"}, "callbacks": {}},
    }
    OmegaConf.save(OmegaConf.merge(values, config or {}), folder / "config.yaml")
    return folder


def test_the_mean_is_over_the_folds_of_each_seed(tmp_path: Path) -> None:
    accuracies = np.random.default_rng(0).uniform(size=(4, 3)).round(4)
    for fold in range(4):
        for seed in range(3):
            write_run(tmp_path / f"{fold}-{seed}", fold + 1, seed, accuracies[fold, seed])
    found = gathered("mine", [tmp_path])
    assert list(found.arms) == ["net"] and len(found.cells) == 12
    mean = average(found.cells, (cell.test for cell in found.cells))
    by_seed = accuracies.mean(axis=0)
    assert (mean.value, mean.deviation) == pytest.approx((by_seed.mean(), by_seed.std(ddof=1)))
    assert found.factors == ["0.5", "2"] and found.transformation == "size" and found.chance == 0.5
    assert found.spread == "± is the standard deviation over 3 seeds, each the mean over 4 folds."


def test_the_first_folder_has_the_first_arm(tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "b", 1, name="mine"), write_run(tmp_path / "a", 1, name="theirs")
    assert list(gathered("both", [one, other]).arms) == ["mine", "theirs"]
    for folder, predicted in (one, "xx"), (other, "xy"):
        rows = [f"{n}.wav,x,{name},0.5,0.5\n" for n, name in enumerate(predicted)]
        (folder / "predictions.csv").write_text("file,truth,predicted,p_x,p_y\n" + "".join(rows))
    (found,) = gathered("both", [one, other]).paired
    assert (found.arm, found.against, found.difference, found.p) == ("theirs", "mine", -0.5, 1.0)


def test_what_the_configurations_differ_in_is_an_arm_of_its_own(tmp_path: Path) -> None:
    # The command lines are alike: the difference is in files that they name, or that were edited in between.
    write_run(tmp_path / "a", 1)
    write_run(tmp_path / "b", 2, config={"optimizer": {"lr": 10.0}})
    write_run(tmp_path / "c", 3, config={"callbacks": {"early_stopping": {"patience": 3}}})
    write_run(tmp_path / "d", 4, name="other", config={"trainer": {"precision": "bf16-mixed"}})
    write_run(tmp_path / "e", 5)
    arms: dict[str, list[Any]] = {}
    for cell in gathered("mine", [tmp_path]).cells:
        arms.setdefault(cell.arm, []).append(cell.fold)
    patience = "callbacks.early_stopping.patience"
    assert arms == {
        f"net optimizer.lr=0.01 {patience}=-": [1, 5],
        f"net optimizer.lr=0.01 {patience}=3": [3],
        f"net optimizer.lr=10.0 {patience}=-": [2],
        "other": [4],
    }


def test_two_sets_under_one_name_are_two_arms(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1, classes=["x", "y"], config={"data": {"metadata": "birds.csv"}})
    write_run(tmp_path / "b", 2, classes=["p", "q"], config={"data": {"metadata": "frogs.csv"}})
    assert set(gathered("mine", [tmp_path]).arms) == {"net classes=p, q", "net classes=x, y"}


def test_machinery_makes_no_difference(tmp_path: Path) -> None:
    machinery = {
        **{"name": "mine", "compile": "default", "checkpointing": True, "num_workers": 3, "rescale": [2]},
        **{"trainer": {"accelerator": "gpu", "devices": 2, "strategy": "ddp"}, "logger": {"csv": {"name": "csv"}}},
        **{"data": {"root": "/elsewhere", "cache_dir": "/tmp", "num_workers": 4, "val_fold": 4, "seed": 3}},
    }
    write_run(tmp_path / "a", 1)
    write_run(tmp_path / "b", 2, 3, config=machinery)
    assert list(gathered("mine", [tmp_path]).arms) == ["net"]


def test_shares_are_apart(tmp_path: Path) -> None:
    for share in 0.5, 1.0:
        write_run(tmp_path / str(share), 1, config={"fraction": share})
    found = gathered("mine", [tmp_path / "0.5", str(tmp_path / "1.0")])
    assert list(found.arms) == ["net"] and found.fractions == [0.5, 1.0]


@pytest.mark.parametrize("content", [None, "", "a: [", "[]", "7"])
def test_a_run_without_its_configuration_is_named(content: str | None, tmp_path: Path) -> None:
    config = write_run(tmp_path / "a", 1) / "config.yaml"
    config.unlink() if content is None else config.write_text(content)
    with pytest.raises(ValueError, match=r"a/config\.yaml is missing or damaged.*a/results\.json"):
        gathered("mine", [tmp_path])


def test_an_amount_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1, transformed={"abc": 0.5})
    with pytest.raises(ValueError, match=r"a/results\.json is not the results\.json .*'abc'"):
        gathered("mine", [tmp_path])


def test_runs_of_other_metrics_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1)
    write_run(tmp_path / "b", 2, transformation="angle")
    with pytest.raises(ValueError, match=r"a/results\.json is of .*'size'.*b/results\.json of .*'angle'"):
        gathered("mine", [tmp_path])


def test_duplicates_are_named(tmp_path: Path) -> None:
    for name in "a", "b":
        write_run(tmp_path / name, 2, seed=7)
    with pytest.raises(ValueError, match=r"a/results\.json and .*b/results\.json are both net, seed 7"):
        gathered("mine", [tmp_path])


def test_without_folds_or_validation(tmp_path: Path) -> None:
    for seed, accuracy in enumerate([0.2, 0.6]):
        write_run(tmp_path / str(seed), None, seed, accuracy, folds=[], val_accuracy=None)
    found = gathered("mine", [tmp_path])
    assert average(found.cells, (cell.test for cell in found.cells)).value == pytest.approx(0.4)
    assert found.spread == "± is the standard deviation over 2 seeds."
    found.save(tmp_path / "study.json")
    json.loads((tmp_path / "study.json").read_text(), parse_constant=pytest.fail)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for fold in 1, 2, 4:
        write_run(tmp_path / "sweep" / str(fold), fold, accuracy=fold / 10)
    arguments = f"runs=[{tmp_path}/sweep]", f"folder={tmp_path}/shown"
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    study.main()
    out = capsys.readouterr().out
    assert ", in percent" in out and "23.3 ± 15.3" in out
    assert Study.load(tmp_path / "shown" / "study.json").cells[0].test == 0.1
    monkeypatch.setattr(sys, "argv", ["study", f"runs=[{tmp_path}/none]", f"folder={tmp_path}/nothing"])
    with pytest.raises(SystemExit, match=r"error: no results.json below .*/none; a run has one when it is tested"):
        study.main()
    monkeypatch.setattr(
        sys, "argv", ["study", f"runs=[{tmp_path}/sweep,{tmp_path}/none]", f"folder={tmp_path}/nothing"]
    )
    with pytest.raises(SystemExit, match=r"error: no results.json below [^,]*/none; a run has one when it is tested"):
        study.main()
    assert not (tmp_path / "nothing").exists()


def test_the_command_shows_errors_in_the_units_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    errors: dict[str, Any] = {
        "monitor": "mae",
        "test_mae": 8.25,
        "val_mae": 8.5,
        "transformed": {"0.5": 17.0, "2": 12.0},
    }
    write_run(tmp_path / "run", 1, **errors)
    monkeypatch.setattr(sys, "argv", ["study", f"runs=[{tmp_path}/run]", f"folder={tmp_path}/shown"])
    study.main()
    out = capsys.readouterr().out
    assert "percent" not in out and "8.25" in out and "8.75" in out  # the flatness
