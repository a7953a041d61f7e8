"""Plots of the results of a run."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from experiments.report import plots


@pytest.mark.parametrize("name", ["7", "$\\frac{1$ ^", "a_$b$"])
def test_pictures_take_any_name(name: str, tmp_path: Path) -> None:
    plots.confusion(tmp_path / "a.png", [[1, 0], [1, 1]], [name, "other"])
    plots.by_class(tmp_path / "b.png", [0.5, None], [name, "other"])
    assert (tmp_path / "a.png").stat().st_size > 1000 < (tmp_path / "b.png").stat().st_size


@pytest.mark.parametrize(("metric", "value", "begin"), [("accuracy", 0.9, 0), ("auroc", 0.9, 0.5), ("auroc", 0.4, 0.4)])
def test_an_axis_begins_at_chance_or_below(metric: str, value: float, begin: float) -> None:
    ax = Figure().subplots()
    plots.metric_axis(ax, metric, horizontal=True)  # before anything is drawn
    assert ax.get_xlim()[0] == (0.5 if metric == "auroc" else 0)
    ax.plot([0, 1], [value, 1.0])
    plots.metric_axis(ax, metric)
    assert ax.get_ylim()[0] == begin
