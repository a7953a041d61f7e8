"""A dataset is a subclass of `Source`; what it does not define has defaults."""

import doctest
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from experiments import evaluate
from experiments.data import source
from experiments.data.inputs import IGNORED
from experiments.data.source import Source, Stage, checked, checked_factors, unpacked
from experiments.data.transformation import PLAYBACK, Rotation
from experiments.results import Results
from tests.experiments.runs import run_on


class Nothing:
    """Not a dataset."""


class Turned(Source):
    """One image with a mask that counts in its upper half."""

    classes, transformation, test_factors = ("none", "some"), Rotation(), (0, 90)

    def split(self, stage: Stage) -> Dataset[Any]:
        mask = torch.tensor([[[0, 1], [1, 0]]])
        return TensorDataset(torch.rand(1, 1, 2, 2), mask, torch.tensor([[[True, True], [False, False]]]))


def documented_source() -> type[Source]:
    """Return the class in the documentation of `Source`."""
    assert source.Source.__doc__ is not None
    namespace: dict[str, Any] = {"__name__": "documented"}
    for part in doctest.DocTestParser().get_examples(source.Source.__doc__):
        exec(part.source, namespace)
    found: type[Source] = namespace["Tones"]
    return found


def test_a_dataset_as_documented_works_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tones: Any = documented_source()
    module: Any = ModuleType("documented")
    module.Tones = tones
    monkeypatch.setitem(sys.modules, "documented", module)
    results = run_on(tones, tmp_path)
    assert results["classes"] == ["low", "high"] and results["transformed"] == {} and results["test_fold"] is None

    def again(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={tmp_path}", "trust=documented", *arguments])
        evaluate.main()

    with pytest.raises(SystemExit, match=r"rescale=0.5: Tones has no transformation; use rescale=\[\]"):
        again("rescale=[0.5]")
    monkeypatch.setattr(tones, "transformation", PLAYBACK)
    again("rescale=[0.5,1]")
    found = Results.load(tmp_path / "checkpoints" / "best.json")
    assert found.transformation == "playback speed" and set(found.transformed) == {"0.5", "1"}
    assert found.transformed["1"] == found.test["accuracy"] == results["test_accuracy"]
    with pytest.raises(
        SystemExit, match=r"rescale=-1 is out of range; for playback speed, choose values from 0\.25 to 4"
    ):
        again("rescale=[-1]")


def test_what_is_not_a_dataset_is_named_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Nothing is not a dataset: it must be a subclass of experiments"):
        run_on(Nothing, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_dataset_names_its_classes() -> None:
    class Unnamed(Source):
        """No classes."""

    with pytest.raises(ValueError, match="Unnamed has no classes"):
        checked(Unnamed())
    with pytest.raises(NotImplementedError):
        Unnamed().split("train")
    assert checked(turned := Turned()) is turned


def test_the_default_is_the_transformation_of_each_example() -> None:
    turned = Turned()
    x, target, where = turned.transformed("test", 90)[0]
    original, mask, counts = turned.split("test")[0]
    assert x.shape == original.shape and torch.equal(target, mask.rot90()) and torch.equal(where, counts.rot90())
    assert unpacked([x, target, where])[1].tolist() == [[1, IGNORED], [0, IGNORED]]
    with pytest.raises(ValueError, match="rescale=400 is out of range"):
        turned.transformed("test", 400)
    assert turned.recordings("test") is turned.files("test") is None and not turned.folds


@pytest.mark.parametrize("factors", [2, "2", ["a"], [None], None])
def test_amounts_that_are_not_a_list_of_numbers(factors: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a list of numbers; write rescale=\[0.5,1,2\]"):
        checked_factors(Turned(), factors)


def test_amounts_are_those_of_the_data_or_of_the_user() -> None:
    assert checked_factors(Turned(), Turned.test_factors) == [0, 90]
    assert checked_factors(Source(), []) == []
    with pytest.raises(ValueError, match="rescale=1: Source has no transformation"):
        checked_factors(Source(), [1])


def test_unpacking_leaves_labels_alone() -> None:
    x, label = torch.zeros(2, 1, 3), torch.tensor([1, 0])
    assert unpacked([x, label]) == (x, label)
    where = torch.tensor([True, False])
    assert unpacked([x, label, where])[1].tolist() == [1, IGNORED] and label.tolist() == [1, 0]
