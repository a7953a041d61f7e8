"""What results.json of a run holds."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.results import Results


def test_results_are_what_was_written(trained: Path) -> None:
    values = json.loads((trained / "results.json").read_text())
    results = Results.load(trained / "results.json")
    assert results.to_dict() == values
    names = "accuracy", "balanced_accuracy", "loss"
    assert results.test == {name: values[f"test_{name}"] for name in names}
    assert results.val == {name: values[f"val_{name}"] for name in names}
    assert (results.test_fold, results.test_examples, len(results.folds)) == (1, 3, 10)
    assert results.transformation == "playback speed" and list(results.transformed) == ["1", "2"]
    assert sum(map(sum, results.details["confusion"])) == 3


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "net", "odd": 1}', "7"])
def test_what_is_not_results_json_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results.json is not the results.json of experiments.train"):
        Results.load(tmp_path / "results.json")


def given(**more: Any) -> Results:
    values: dict[str, Any] = {"name": "a", "seed": 0, "monitor": "auroc", "classes": ["a"], "test_examples": 1}
    return Results(**{"test": {}, "val": {}, **values, **more})


def test_amounts_are_written_alike() -> None:
    read = Results.from_dict(given().to_dict() | {"transformed": {"0.50": 0.1, "2.0": None}})
    assert list(read.transformed) == ["0.5", "2"] and pd.isna(read.transformed["2"])


def test_what_is_not_a_number_is_null_in_json(tmp_path: Path) -> None:
    odd = {"test": {"auroc": float("nan")}, "val": {"loss": float("inf")}, "transformed": {"2": float("nan")}}
    given(**odd, details={"each": [0.5, float("nan")]}).save(tmp_path / "results.json")
    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert content["test_auroc"] is content["val_loss"] is content["transformed"]["2"] is None
    assert content["details"] == {"each": [0.5, None]}
    assert pd.isna(Results.load(tmp_path / "results.json").test["auroc"])
