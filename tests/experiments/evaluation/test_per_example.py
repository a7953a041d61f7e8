"""A row for each test example, whatever the task, while the examples are tested."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Subset, TensorDataset

from experiments.data.source import Source, Stage
from experiments.data.wrappers import Relabelled
from experiments.evaluation.measure import measure, outcome_of
from experiments.evaluation.per_example import writing
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.multi_label import MultiLabel
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.segmentation import Segmentation
from experiments.training.tasks.task import Task
from tests.experiments.evaluation.test_measure import Held, Maps


class Given(Source):
    """Inputs that are the outputs of the network, with files and groups as far as they are given."""

    def __init__(self, logits: Tensor, target: Tensor, classes: str, recordings: list[int] | None = None) -> None:
        self.examples, self.classes, self.numbers = TensorDataset(logits, target), list(classes), recordings
        self.paths: list[Path] | None = None

    def split(self, stage: Stage) -> Any:
        return self.examples

    def files(self, stage: Stage) -> list[Path] | None:
        return self.paths

    def recordings(self, stage: Stage) -> list[int] | None:
        return self.numbers


class Same(nn.Module):
    """The identity, with a weight that says where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def predictions(task: Task, source: Source, folder: Path) -> pd.DataFrame:
    measured = measure(Same(), task, source, 3, [], folder / "predictions.csv")
    table = pd.read_csv(folder / "predictions.csv", keep_default_na=False, na_values=[""])
    assert len(table) == measured.test_examples
    return table


LOGITS = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))


def test_classes_with_files_and_groups(tmp_path: Path) -> None:
    source = Given(LOGITS, torch.tensor([0, 1, 2, 0, 1, 2, 0]), "abc")
    source.paths = [Path("/x") / f"{row}, é.wav" for row in range(7)]
    source.group_of = {path: f"P{row % 2}" for row, path in enumerate(source.paths)}
    table = predictions(MultiClass(3), source, tmp_path)
    assert list(table) == ["file", "group", "truth", "predicted", "p_a", "p_b", "p_c"]
    assert table["file"].tolist() == list(map(str, source.paths))
    assert table["group"].tolist() == [f"P{row % 2}" for row in range(7)]
    assert table["truth"].tolist() == list("abcabca")
    assert table["predicted"].tolist() == ["abc"[row] for row in LOGITS.argmax(1)]
    found = torch.tensor(table[["p_a", "p_b", "p_c"]].to_numpy())
    torch.testing.assert_close(found, LOGITS.softmax(1).double(), rtol=1e-8, atol=0)
    more = Relabelled(source, ["z", *"abc"])  # of a network that knows more classes
    assert list(more.group_of) == source.paths
    source.examples = TensorDataset(torch.cat([LOGITS[:, :1] - 9, LOGITS], 1), source.examples.tensors[1])
    assert predictions(MultiClass(4), more, tmp_path)["truth"].tolist() == list("abcabca")


def test_recordings_are_rows_of_their_own(tmp_path: Path) -> None:
    source = Given(LOGITS, torch.tensor([1, 1, 0, 2, 2, 2, 0]), "abc", [4, 4, 9, 2, 2, 2, 7])
    source.paths = [Path(f"/x/{row}.wav") for row in (4, 4, 9, 2, 2, 2, 7)]
    table = predictions(MultiClass(3), source, tmp_path)
    assert table["file"].tolist() == ["/x/2.wav", "/x/4.wav", "/x/7.wav", "/x/9.wav"]
    assert table["truth"].tolist() == ["c", "b", "a", "a"]
    assert table["p_b"][1] == pytest.approx(LOGITS[:2].softmax(1).mean(0)[1].item(), rel=1e-6)


def test_several_labels_without_files(tmp_path: Path) -> None:
    target = (LOGITS > 0.3).float()
    table = predictions(MultiLabel(3), Given(LOGITS, target, "abc"), tmp_path)
    assert list(table) == ["item", "truth_a", "truth_b", "truth_c", "p_a", "p_b", "p_c"]
    assert table["item"].tolist() == list(range(7))
    assert table[["truth_a", "truth_b", "truth_c"]].to_numpy().tolist() == target.int().tolist()
    assert table["p_b"].tolist() == pytest.approx(LOGITS[:, 1].sigmoid().tolist(), rel=1e-8)


@pytest.mark.parametrize("numbers", [1, 2])
def test_numbers_in_their_units(numbers: int, tmp_path: Path) -> None:
    target = 1000 + LOGITS[:, 1 : 1 + numbers]
    task = Regression(numbers, [1000.0] * numbers, [2.0] * numbers)
    table = predictions(task, Given(LOGITS[:, :numbers], target.squeeze(1), "xy"[:numbers]), tmp_path)
    names = [""] if numbers == 1 else ["_x", "_y"]
    assert list(table) == ["item", *(f"truth{name}" for name in names), *(f"predicted{name}" for name in names)]
    for n, name in enumerate(names):
        assert table[f"truth{name}"].tolist() == pytest.approx(target[:, n].tolist(), rel=1e-8)
        assert table[f"predicted{name}"].tolist() == pytest.approx((1000 + 2 * LOGITS[:, n]).tolist(), rel=1e-7)


def test_maps_have_the_metrics_of_each_image_alone(tmp_path: Path) -> None:
    task, source = Segmentation(2, thin=True, objects=True, watershed_distance=2), Maps(6)
    measure(Held(), task, source, 4, [90], tmp_path / "predictions.csv")
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert {"item", "dice", "iou", "auroc", "centreline_dice", "object_f1"} <= {*table}
    for item in range(6):
        alone = outcome_of(Held(), task, Subset(source, [item]), 1).metrics
        assert {name: table[name][item] for name in alone if name != "loss"} == pytest.approx(
            {name: value for name, value in alone.items() if name != "loss"}, rel=1e-6
        )


def test_what_has_no_value_is_empty_and_a_task_of_others_has_its_loss(tmp_path: Path) -> None:
    nothing = torch.zeros(2, 1, 4, 4)
    with writing(tmp_path / "a.csv", Segmentation(2), Given(nothing, nothing, "ab")) as write:
        assert write is not None
        write(nothing - 1, nothing[:, 0].long())
    table = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    assert table["dice"].tolist() == ["", ""] and table["pixel_accuracy"].tolist() == ["1", "1"]

    class Squares(Task):
        def loss(self, logits: Tensor, target: Tensor) -> Tensor:
            return ((logits - target) ** 2).mean()

    with writing(tmp_path / "b.csv", Squares(3, "val_loss", "min"), Given(LOGITS, LOGITS, "abc")) as write:
        assert write is not None
        write(LOGITS[:4], 0 * LOGITS[:4])
        write(LOGITS[4:], 0 * LOGITS[4:])
    table = pd.read_csv(tmp_path / "b.csv")
    assert table["loss"].tolist() == pytest.approx((LOGITS**2).mean(1).tolist(), rel=1e-6)


def test_a_test_that_fails_leaves_the_file_of_before(tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    file.write_text("before")
    broken = LOGITS.clone()
    broken[5] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        measure(Same(), MultiClass(3), Given(broken, torch.zeros(7, dtype=torch.long), "abc"), 3, [], file)
    assert file.read_text() == "before" and [path.name for path in tmp_path.iterdir()] == [file.name]
