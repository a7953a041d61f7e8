"""Gathering runs into mean ± standard deviation."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from experiments.gather import gather, main
from experiments.run import write_json


def write_run(
    folder: Path, fold: int, seed: int = 0, accuracy: float = 0.5, config_changes: Any = None, **changes: Any
) -> Path:
    folder.mkdir(parents=True)
    results = {
        **{"name": "net", "overrides": [f"data.test_fold={fold}", f"seed={seed}"], "seed": seed, "test_fold": fold},
        **{"folds": [1, 2, 3, 4, 5], "test_accuracy": accuracy, "val_accuracy": accuracy / 2},
        **{"monitor": "accuracy", "classes": ["a", "b"], "test_clips": 4},
        **{"rescaled": {"0.5": accuracy / 3, "2": accuracy / 4}, **changes},
    }
    (folder / "results.json").write_text(json.dumps(results))
    config = {
        **{"name": results["name"], "seed": seed, "optimizer": {"lr": 0.01}, "folder": str(folder), "compile": None},
        **{"data": {"_target_": "Set", "root": str(folder), "test_fold": fold, "val_fold": None}},
        **{"trainer": {"accelerator": "cpu", "devices": 1, "precision": "32-true"}, "callbacks": {}},
    }
    OmegaConf.save(OmegaConf.merge(config, config_changes or {}), folder / "config.yaml")
    return folder / "results.json"


def test_mean_and_deviation_over_folds(tmp_path: Path) -> None:
    accuracies = np.random.default_rng(0).uniform(size=(4, 3))
    files = [
        write_run(tmp_path / f"{fold}-{seed}", fold + 1, seed, accuracies[fold, seed])
        for fold in range(4)
        for seed in range(3)
    ]
    (row,) = gather(files)
    over_folds = accuracies.mean(axis=1)
    assert row["test_accuracy"] == pytest.approx({"mean": np.mean(over_folds), "std": np.std(over_folds, ddof=1)})
    assert row["rescaled"]["2"] == pytest.approx(
        {"mean": np.mean(over_folds) / 4, "std": np.std(over_folds, ddof=1) / 4}
    )
    assert (row["folds"], row["missing_folds"], row["seeds"], row["runs"]) == ([1, 2, 3, 4], [5], [0, 1, 2], 12)


def test_what_the_configurations_differ_in_is_an_experiment_of_its_own(tmp_path: Path) -> None:
    # The command lines are alike: the difference is in files that they name, or that were edited in between.
    files = [
        write_run(tmp_path / "a", 1),
        write_run(tmp_path / "b", 2, config_changes={"optimizer": {"lr": 10.0}}),
        write_run(tmp_path / "c", 3, config_changes={"callbacks": {"early_stopping": {"patience": 3}}}),
        write_run(tmp_path / "d", 4, name="other", config_changes={"trainer": {"precision": "bf16-mixed"}}),
        write_run(tmp_path / "e", 5),
    ]
    rows = gather(files)
    patience, precision = "callbacks.early_stopping.patience", "trainer.precision=32-true"
    assert [(row["name"], row["folds"]) for row in rows] == [
        (f"net optimizer.lr=0.01 {patience}=-", [1, 5]),
        (f"net optimizer.lr=0.01 {patience}=3", [3]),
        (f"net optimizer.lr=10.0 {patience}=-", [2]),
        ("other", [4]),
    ]
    assert precision not in str(rows)


def test_two_sets_under_one_name_are_two_experiments(tmp_path: Path) -> None:
    files = [
        write_run(tmp_path / "a", 1, classes=["x", "y"], config_changes={"data": {"metadata": "birds.csv"}}),
        write_run(tmp_path / "b", 2, classes=["p", "q"], config_changes={"data": {"metadata": "frogs.csv"}}),
    ]
    assert [row["name"] for row in gather(files)] == ["net classes=p, q", "net classes=x, y"]


def test_machinery_makes_no_difference(tmp_path: Path) -> None:
    machinery = {
        **{"name": "mine", "compile": "default", "checkpointing": True, "num_workers": 3, "rescale": [2]},
        **{"trainer": {"accelerator": "gpu", "devices": 2, "strategy": "ddp"}, "logger": {"csv": {"name": "csv"}}},
        **{"data": {"root": "/elsewhere", "cache_dir": "/tmp", "num_workers": 4, "val_fold": 4, "seed": 3}},
    }
    files = [write_run(tmp_path / "a", 1), write_run(tmp_path / "b", 2, 3, name="mine", config_changes=machinery)]
    (row,) = gather(files)
    assert (row["name"], row["folds"], row["seeds"]) == ("net", [1, 2], [0, 3])


@pytest.mark.parametrize("content", [None, "", "a: [", "[]", "7"])
def test_a_run_without_its_configuration_is_named(content: str | None, tmp_path: Path) -> None:
    file = write_run(tmp_path / "a", 1)
    (tmp_path / "a" / "config.yaml").unlink()
    if content is not None:
        (tmp_path / "a" / "config.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"a/config.yaml is missing or damaged.*a/results.json"):
        gather([file])


def test_a_factor_that_is_no_number_is_named(tmp_path: Path) -> None:
    file = write_run(tmp_path / "a", 1, rescaled={"abc": 0.5})
    with pytest.raises(ValueError, match=r"a/results.json is not the results.json .*'abc'"):
        gather([file])


def test_what_is_not_known_stays_so(tmp_path: Path) -> None:
    files = [write_run(tmp_path / name, fold, val_accuracy=None) for fold, name in ((1, "a"), (2, "b"))]
    (row,) = gather(files)
    assert row["test_accuracy"]["mean"] == 0.5 and np.isnan(row["val_accuracy"]["mean"])
    write_json(tmp_path / "gathered.json", row)
    assert json.loads((tmp_path / "gathered.json").read_text())["val_accuracy"] == {"mean": None, "std": None}


def test_duplicates_are_named(tmp_path: Path) -> None:
    files = [write_run(tmp_path / name, 2, seed=7) for name in ("a", "b")]
    with pytest.raises(ValueError, match=r"a/results.json and .*b/results.json are both net, fold 2, seed 7"):
        gather(files)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for fold in 1, 2, 4:
        write_run(tmp_path / "sweep" / str(fold), fold, accuracy=fold / 10)
    monkeypatch.setattr(sys, "argv", ["gather", str(tmp_path)])
    main()
    out = capsys.readouterr().out
    assert "23.3 ± 15.3" in out
    assert "net: folds 3, 5 are missing" in out
    gathered = json.loads((tmp_path / "gathered.json").read_text())
    assert gathered["experiments"][0]["test_accuracy"]["mean"] == pytest.approx(0.7 / 3)


def test_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gather", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"error: no results.json under"):
        main()


def test_a_dataset_without_folds_varies_over_its_seeds(tmp_path: Path) -> None:
    files = [
        write_run(tmp_path / str(seed), 1, seed, accuracy, test_fold=None, folds=[])
        for seed, accuracy in enumerate([0.2, 0.6])
    ]
    (row,) = gather(files)
    assert row["test_accuracy"] == pytest.approx({"mean": 0.4, "std": np.std([0.2, 0.6], ddof=1)})
    assert (row["folds"], row["missing_folds"], row["seeds"]) == ([], [], [0, 1])
