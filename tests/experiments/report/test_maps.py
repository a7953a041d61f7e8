"""Plots of maps: what is drawn, and where."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from experiments.data.inputs import IGNORED
from experiments.report.maps import Case, _errors, overlays, scatter


def case(name: str, dice: float, size: tuple[int, int] = (20, 30), channels: int = 3) -> Case:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 2, (2, *size))
    return Case(name, rng.random((channels, *size)), truth + 256 * truth, prediction, dice)


def test_errors_have_their_colours() -> None:
    truth = np.array([[0, 1, 1, 2, IGNORED]])
    alphas = _errors(truth, np.array([[0, 1, 0, 1, 1]]))[0, :, 3]
    assert (alphas > 0).tolist() == [False, False, True, True, True]
    false_positive = _errors(np.zeros((1, 1)), np.ones((1, 1)))[0, 0]
    false_negative = _errors(np.ones((1, 1)), np.zeros((1, 1)))[0, 0]
    assert false_positive[0] > false_positive[2] and false_negative[2] > false_negative[0]  # orange; blue


def test_cases_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(Axes, "set_title", lambda self, label, **options: titles.append(label))
    cases = [case(name, dice) for name, dice in (("x", 0.9), ("y", 0.5), ("$z", 0.1))]
    for shown in cases, cases[::2], cases[:1]:
        overlays(tmp_path / "cases.png", shown, ["background", "vessel"])
    named = [title for title in titles if ": " in title]
    assert named == ["best: x", "median: y", r"worst: \$z", "best: x", r"worst: \$z", "best: x"]
    assert [title for title in titles if "0.1" in title] == ["errors (Dice 0.100)"] * 2


@pytest.mark.slow
def test_any_image_can_be_drawn(tmp_path: Path) -> None:
    classes = ["background", *(f"$class_{number}$" for number in range(12))]
    for number, channels in enumerate((1, 2, 3, 7)):
        shown = case("$1_2$.png", float("nan"), (1500 if number == 0 else 100 + number, 40), channels)
        overlays(tmp_path / f"{channels}.png", [shown], classes)
        assert (tmp_path / f"{channels}.png").stat().st_size > 10_000


def test_scatter(tmp_path: Path) -> None:
    true = np.random.default_rng(0).normal(size=(30, 4)) * [1, 10, 100, 0]
    scatter(tmp_path / "four.png", true + 1, true, ["a", "b_$", "c$", "same"], ["mm", "%", "$", ""])
    scatter(tmp_path / "one.png", true[:, :1], true[:, :1], ["a"])
    four, one = (Image.open(tmp_path / name).size for name in ("four.png", "one.png"))
    assert four[0] == 3 * one[0] and four[1] == 2 * one[1]
