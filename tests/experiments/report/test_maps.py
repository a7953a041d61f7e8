"""Plots of maps: what is drawn, and where."""

from pathlib import Path

import numpy as np
import pytest
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


def test_best_median_and_worst(tmp_path: Path) -> None:
    """The files are the same if cases are left out that are neither the best, the median nor the worst."""
    cases = [case(f"{dice}", dice) for dice in (0.5, 0.1, 0.9, 0.7, 0.3)]
    overlays(tmp_path / "all.png", cases, ["background", "vessel"])
    overlays(tmp_path / "three.png", [cases[2], cases[0], cases[1]], ["background", "vessel"])
    overlays(tmp_path / "other.png", cases[2:], ["background", "vessel"])
    pictures = [np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("all", "three", "other")]
    assert (pictures[0] == pictures[1]).all()
    assert pictures[0].shape != pictures[2].shape or (pictures[0] != pictures[2]).any()


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
