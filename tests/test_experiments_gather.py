"""Gathering runs into mean ± standard deviation."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.gather import gather, main


def write_run(folder: Path, fold: int, seed: int = 0, accuracy: float = 0.5, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    results = {
        **{"name": "net", "overrides": [f"data.test_fold={fold}", f"seed={seed}"], "seed": seed, "test_fold": fold},
        **{"folds": [1, 2, 3, 4, 5], "test_accuracy": accuracy, "val_accuracy": accuracy / 2},
        **{"monitor": "accuracy", "classes": ["a", "b"], "test_clips": 4},
        **{"rescaled": {"0.5": accuracy / 3, "2": accuracy / 4}, **changes},
    }
    (folder / "results.json").write_text(json.dumps(results))
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


def test_what_was_changed_is_an_experiment_of_its_own(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", 1)
    other = write_run(tmp_path / "b", 1, overrides=["data.test_fold=1", "optimizer.lr=0.1"])
    assert [row["name"] for row in gather([one, other])] == ["net", "net optimizer.lr=0.1"]


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
