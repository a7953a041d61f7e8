"""Plots of the results of a run."""

from pathlib import Path

import pytest

from experiments.report import plots


@pytest.mark.parametrize("name", ["7", "$\\frac{1$ ^", "a_$b$"])
def test_pictures_take_any_name(name: str, tmp_path: Path) -> None:
    plots.confusion(tmp_path / "a.png", [[1, 0], [1, 1]], [name, "other"])
    plots.by_class(tmp_path / "b.png", [0.5, None], [name, "other"])
    assert (tmp_path / "a.png").stat().st_size > 1000 < (tmp_path / "b.png").stat().st_size
