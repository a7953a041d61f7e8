"""Plots of the results of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.data.inputs import Image, Input, Waveform
from experiments.data.source import Source
from experiments.data.transformation import named
from experiments.evaluation.measure import Measurement, Outcome
from experiments.evaluation.prediction import Prediction
from experiments.evaluation.report import draw
from experiments.report import maps, plots
from experiments.report.style import metric_axis
from experiments.results import Results
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.segmentation import Segmentation
from experiments.training.tasks.task import Task
from wavenets import Grid
from wavenets.nn import LiftingConv1d


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a test draws, which are not written."""
    drawn: list[Figure] = []

    def savefig(figure: Figure, file: Path, **options: Any) -> None:
        drawn.append(figure)
        file.touch()

    monkeypatch.setattr(Figure, "savefig", savefig)
    return drawn


def recording(task: Task, values: list[list[float]]) -> Prediction:
    """The prediction of a recording of two windows, for two classes or numbers."""
    return Prediction("a.wav", task, ["a", "b"], np.array(values), [(0, 1), (1, 2)], [False, False])


OUTLINE = np.arange(2.0), np.zeros(2), np.zeros(2)
EPOCHS = [{"epoch": n, "lr": 0.1, "val_mae": 40.0 / n, "val_accuracy": 0.1 * n, "val_loss": 1 / n} for n in (1, 2)]


@pytest.mark.parametrize("name", ["7", "$\\frac{1$ ^", "a_$b$"])
def test_pictures_take_any_name(name: str, tmp_path: Path) -> None:
    plots.confusion(tmp_path / "a.png", [[1, 0], [1, 1]], [name, "other"], "clips")
    plots.by_class(tmp_path / "b.png", [0.5, None], [name, "other"])
    assert (tmp_path / "a.png").stat().st_size > 1000 < (tmp_path / "b.png").stat().st_size


@pytest.mark.parametrize(("metric", "value", "begin"), [("accuracy", 0.9, 0), ("auroc", 0.9, 0.5), ("auroc", 0.4, 0.4)])
def test_an_axis_begins_at_chance_or_below(metric: str, value: float, begin: float) -> None:
    ax = Figure().subplots()
    metric_axis(ax, metric, horizontal=True)  # before anything is drawn
    assert ax.get_xlim()[0] == (0.5 if metric == "auroc" else 0)
    ax.plot([0, 1], [value, 1.0])
    metric_axis(ax, metric)
    assert ax.get_ylim()[0] == begin


@pytest.mark.parametrize(("metric", "values"), [("mae", [3.0, 8.0]), ("rmse", [0.001, 0.002]), ("r2", [-4.0, 0.5])])
@pytest.mark.parametrize("horizontal", [False, True])
def test_the_axis_of_a_metric_without_limits_is_that_of_the_values(
    metric: str, values: list[float], horizontal: bool
) -> None:
    ax = Figure().subplots()
    metric_axis(ax, metric, horizontal)
    x, y = (values, [0.0, 1.0]) if horizontal else ([0.0, 1.0], values)
    ax.plot(x, y)
    metric_axis(ax, metric, horizontal)
    low, high = ax.get_xlim() if horizontal else ax.get_ylim()
    assert low < values[0] < values[1] < high and high - low < 2 * (values[1] - values[0])


@pytest.mark.parametrize(("metric", "legend"), [("mae", "upper right"), ("accuracy", "lower right")])
def test_curves_are_those_of_any_task(metric: str, legend: str, figures: list[Figure], tmp_path: Path) -> None:
    plots.curves(tmp_path / "a.png", EPOCHS, 2, metric)
    loss, middle, _ = figures[0].axes
    assert loss.get_ylabel() == "loss"
    low, high = middle.get_ylim()
    assert low < 20 < 40 < high if metric == "mae" else (low, high) == (0, 1.02)
    place = middle.get_legend()
    assert place is not None and place._loc == place.codes[legend]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("task", "limits", "label"),
    [
        (Regression(2), None, "number, window by window"),
        (MultiClass(2), (-0.02, 1.02), "probability, window by window"),
    ],
)
def test_a_timeline_shows_numbers_of_any_size(
    task: Task, limits: tuple[float, float] | None, label: str, figures: list[Figure], tmp_path: Path
) -> None:
    values = [[40.0, -7.0], [50.0, -8.0]] if limits is None else [[0.4, 0.6], [0.5, 0.5]]
    plots.timeline(tmp_path / "a.png", recording(task, values), 2, OUTLINE)
    ax = figures[0].axes[1]
    low, high = ax.get_ylim()
    assert (low < -8 < 50 < high) if limits is None else (low, high) == limits
    assert ax.get_ylabel() == label


@pytest.mark.parametrize(
    ("task", "input", "title"),
    [
        (MultiClass(2), Waveform(8000), "clips"),
        (MultiClass(2), Image(3), "images"),
        (MultiClass(2), None, "examples"),
        (Segmentation(2), Image(3), "pixels"),
        (Segmentation(2), Waveform(8000), "samples"),
    ],
)
def test_the_confusion_matrix_names_what_it_counts(
    task: Task, input: Input | None, title: str, figures: list[Figure], tmp_path: Path
) -> None:
    source = Source()
    source.input = input
    details = {"confusion": [[2, 1], [0, 1]]}
    results = Results("a", 0, "accuracy", ["x", "y"], {}, {}, 4, details=details)
    draw(results, Measurement("accuracy", {}, 4, {}, {}, Outcome({}, details, 4), []), task, source, tmp_path)
    assert figures[0].axes[0].get_title() == f"Test: 75.0% of 4 {title}"


PICTURES: dict[str, Callable[[Path], None]] = {
    "curves": lambda file: plots.curves(file, EPOCHS, 1, "mae"),
    "confusion": lambda file: plots.confusion(file, [[1, 0], [1, 1]], ["a", "b"], "clips"),
    "by_class": lambda file: plots.by_class(file, [0.5, None], ["a", "b"]),
    "transformed": lambda file: plots.transformed(file, {0.5: 0.1, 1: 0.9}, "accuracy", 0.5, named("size")),
    "timeline": lambda file: plots.timeline(file, recording(MultiClass(2), [[0, 1], [1, 0]]), 2, OUTLINE),
    "kernels": lambda file: plots.kernels(file, LiftingConv1d(1, 3, 9, 2, grid=Grid(1)), 8000),
    "overlays": lambda file: maps.overlays(
        file, [maps.Case("a", np.zeros((1, 8, 8)), np.eye(8), np.eye(8), 1.0)], ["background", "cell"]
    ),
    "scatter": lambda file: maps.scatter(file, np.ones((2, 1)), np.zeros((2, 1)), ["a"]),
}


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("picture", PICTURES)
def test_pictures_are_whole_or_not_there(picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"the picture of before")
    with pytest.raises(OSError, match="no space left"):
        PICTURES[picture](file)
    assert file.read_bytes() == b"the picture of before" and list(tmp_path.iterdir()) == [file]
    monkeypatch.undo()
    PICTURES[picture](file)
    assert file.read_bytes().startswith(b"\x89PNG") and list(tmp_path.iterdir()) == [file]
