"""Two runs compared example by example, against slow and independent calculations."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from experiments.report import auroc as auroc_module
from experiments.report.grid import Arm, Cell, Study
from experiments.report.page import section
from experiments.report.paired import Comparison, against_first, compare
from experiments.report.study_table import table

Values = Sequence[Any] | np.ndarray
RNG = np.random.default_rng(3)


def write(to: Path, right: Values, groups: Values | None = None, root: str = "/data", **columns: Any) -> Path:
    """Write predictions for two classes of which some are right; return the file."""
    to.parent.mkdir(parents=True, exist_ok=True)
    truth = ["ab"[row % 2] for row in range(len(right))]
    rows = {
        "file": [f"{root}/{row}.wav" for row in range(len(right))],
        **({} if groups is None else {"group": groups}),
        "truth": truth,
        "predicted": [true if good else "ab".replace(true, "") for true, good in zip(truth, right, strict=True)],
        "p_a": 0.5,
        "p_b": 0.5,
    }
    pd.DataFrame(rows | columns).to_csv(to, index=False)
    return to


def pair(folder: Path, one: Values, other: Values, **options: Any) -> tuple[Path, Path]:
    return write(folder / "one.csv", one, **options), write(folder / "other.csv", other, **options)


def test_mcnemars_test_is_that_of_the_discordant_pairs(tmp_path: Path) -> None:
    one, other = RNG.random(80) < 0.9, RNG.random(80) < 0.6
    found = compare({(0, None): pair(tmp_path, one, other)}, "accuracy")
    better, worse = int((one & ~other).sum()), int((other & ~one).sum())
    n = better + worse
    assert found.p == pytest.approx(2 * sum(comb(n, k) for k in range(worse + 1)) / 2**n, rel=1e-12)
    assert found.difference == pytest.approx(one.mean() - other.mean(), rel=1e-12)
    assert (found.metric, found.examples, found.units) == ("accuracy", 80, 80)
    same = compare({(0, None): pair(tmp_path, one, one)}, "accuracy")
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def slow_interval(differences: np.ndarray, units: np.ndarray, count: int = 20_000) -> tuple[float, float]:
    names = np.unique(units)
    rows = {name: differences[units == name] for name in names}
    rng = np.random.default_rng(11)
    means = [np.concatenate([rows[name] for name in rng.choice(names, len(names))]).mean() for _ in range(count)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize("grouped", [False, True])
def test_the_interval_is_the_bootstraps_over_examples_or_groups(grouped: bool, tmp_path: Path) -> None:
    groups = np.sort(RNG.integers(15, size=200)) if grouped else None
    hard = np.zeros(200) if groups is None else RNG.normal(size=15)[groups]
    one, other = norm.cdf(hard + 0.8) > RNG.random(200), norm.cdf(-hard) > RNG.random(200)
    found = compare({(0, None): pair(tmp_path, one, other, groups=groups)}, "accuracy")
    low, high = slow_interval(one.astype(float) - other, np.arange(200) if groups is None else groups)
    assert found.low is not None and found.high is not None
    assert (found.low, found.high) == (
        pytest.approx(low, abs=(high - low) / 20),
        pytest.approx(high, abs=(high - low) / 20),
    )
    assert found.units == (15 if grouped else 200) and found.examples == 200
    if groups is not None:  # groups of which one network has more right
        sums = np.bincount(groups, one.astype(float) - other)
        better, worse = (sums > 0).sum(), (sums < 0).sum()
        tail = sum(comb(better + worse, k) for k in range(min(better, worse) + 1)) / 2 ** (better + worse)
        assert found.p == pytest.approx(min(1, 2 * tail), rel=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
def test_the_auroc_of_two_classes_is_that_of_each_network(
    grouped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = np.arange(150) // 5 if grouped else np.arange(150)
    truth, pairs, scores = np.arange(150) % 2, {}, {}
    for key in [(seed, fold) for seed in range(2) for fold in range(2)]:
        hard = RNG.normal(size=150)[groups]
        files = []
        for arm, signal in ("one", 1.0), ("other", 0.6):
            score = np.round(norm.cdf(signal * truth + RNG.normal(size=150) + 0.5 * hard), 2)  # some are equal
            files.append(tmp_path / f"{arm}{key}.csv")
            write(files[-1], truth == 1, groups if grouped else None, f"/data/{key[1]}", p_a=1 - score, p_b=score)
            scores[key, arm] = score
        pairs[key] = files[0], files[1]
    found = compare(pairs, "auroc")
    rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]

    def auroc(score: np.ndarray, rows: np.ndarray) -> float:
        positive, negative = (score[rows][truth[rows] == label] for label in (1, 0))
        pairs = positive[:, None] - negative
        return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())

    def difference(drawn: dict[int, np.ndarray]) -> float:
        one, other = ([auroc(scores[key, arm], drawn[key[1]]) for key in pairs] for arm in ("one", "other"))
        return float(np.subtract(one, other).mean())

    assert found.difference == pytest.approx(difference(dict.fromkeys(range(2), np.arange(150))), rel=1e-9)
    draws = [
        {fold: np.concatenate([rows[i] for i in RNG.integers(len(rows), size=len(rows))]) for fold in range(2)}
        for _ in range(1000)
    ]
    low, high = np.quantile([difference(drawn) for drawn in draws], [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx([low, high], abs=(high - low) / 10)
    assert (found.metric, found.p, found.units, found.examples) == ("auroc", None, 2 * len(rows), 300)
    monkeypatch.setattr(auroc_module, "MEMORY", 10_000)  # in 75 parts
    assert compare(pairs, "auroc") == found


def test_examples_of_one_class_have_no_auroc(tmp_path: Path) -> None:
    pairs = {(0, None): pair(tmp_path, [True] * 9, [False] * 9, truth="a")}
    with pytest.raises(ValueError, match="the test examples of a fold are all of one class"):
        compare(pairs, "auroc")


def test_the_auroc_is_not_of_more_classes_than_two(tmp_path: Path) -> None:
    pairs = {(0, None): pair(tmp_path, RNG.random(30) < 0.8, RNG.random(30) < 0.5, p_c=0.0)}
    assert compare(pairs, "auroc").metric == "accuracy"


def test_neither_the_order_nor_the_folder_of_the_examples_matters(tmp_path: Path) -> None:
    one, other = RNG.random(60) < 0.8, RNG.random(60) < 0.5
    first = compare(
        {(0, None): pair(tmp_path / "a", one, other, groups=(groups := RNG.permutation(60) % 20))}, "accuracy"
    )
    moved, there = pair(tmp_path / "b", one, other, groups=groups, root="/elsewhere/data")
    pd.read_csv(moved).sample(frac=1, random_state=1).to_csv(moved, index=False)
    assert compare({(0, None): (moved, tmp_path / "a" / "other.csv")}, "accuracy") == first
    back = compare({(0, None): (there, moved)}, "accuracy")
    assert (back.difference, back.p) == (-first.difference, first.p)
    assert first.low is not None and first.high is not None
    assert (back.low, back.high) == (pytest.approx(-first.high, abs=1e-12), pytest.approx(-first.low, abs=1e-12))


def test_windows_of_a_recording_are_matched_in_their_order_and_drawn_together(tmp_path: Path) -> None:
    files = [f"/x/{row // 4}.wav" for row in range(40)]
    one, other = RNG.random(40) < 0.8, RNG.random(40) < 0.5
    found = compare({(0, None): pair(tmp_path, one, other, file=files)}, "accuracy")
    assert (found.examples, found.units) == (40, 10)
    assert found.difference == pytest.approx(one.mean() - other.mean(), rel=1e-12)


def test_seeds_are_averaged_and_folds_are_pooled(tmp_path: Path) -> None:
    right = RNG.random((2, 3, 2, 30)) < np.array([0.8, 0.6])[:, None, None, None]  # arm, seed, fold, example
    pairs = {
        (seed, fold): (
            write(tmp_path / f"one{seed}{fold}.csv", right[0, seed, fold], root=f"/data/{fold}"),
            write(tmp_path / f"other{seed}{fold}.csv", right[1, seed, fold], root=f"/data/{fold}"),
        )
        for seed in range(3)
        for fold in range(2)
    }
    found = compare(pairs, "accuracy")
    differences = (right[0].astype(float) - right[1]).mean(0).ravel()
    assert found.difference == pytest.approx(differences.mean(), rel=1e-12)
    assert (found.examples, found.seeds, found.folds) == (60, 3, 2)
    low, high = slow_interval(differences, np.arange(60))
    assert [found.low, found.high] == pytest.approx([low, high], abs=(high - low) / 20)
    assert found.over == "60 test examples of 2 folds, means over 3 seeds"


def test_examples_without_files_are_those_of_their_seed_where_every_seed_has_a_set_of_its_own(tmp_path: Path) -> None:
    pairs = {}
    for seed in range(2):
        files = []
        for arm in "ab":
            truth = ["x", "y", "x", "y"] if seed == 0 else ["y", "y", "x", "x"]
            predicted = truth if arm == "a" else ["x"] * 4
            files.append(tmp_path / f"{arm}{seed}.csv")
            rows = {"item": range(4), "truth": truth, "predicted": predicted, "p_x": 0.5, "p_y": 0.5}
            pd.DataFrame(rows).to_csv(files[-1], index=False)
        pairs[seed, None] = files[0], files[1]
    found = compare(pairs, "accuracy")
    assert (found.examples, found.units, found.difference, found.p) == (8, 8, 0.5, 2 / 2**4)


def maps(file: Path, dice: Sequence[float], **more: Any) -> Path:
    pd.DataFrame({"file": [f"/x/{row}.png" for row in range(len(dice))], "dice": dice, **more}).to_csv(
        file, index=False
    )
    return file


def test_maps_are_compared_by_the_metric_of_each_image(tmp_path: Path) -> None:
    nan = float("nan")
    one, other = maps(tmp_path / "1.csv", [0.5, nan, nan, 0.9]), maps(tmp_path / "2.csv", [0.4, nan, 0.0, 0.7])
    found = compare({(0, 1): (one, other)}, "dice")
    assert found.difference == pytest.approx((0.1 + 1 + 0.2) / 3)  # rightly nothing is 1; nothing in both is left out
    assert (found.metric, found.examples, found.p) == ("dice", 3, None)
    one = maps(tmp_path / "1.csv", [0.5, 0.5], iou=[0.3, 0.2])
    other = maps(tmp_path / "2.csv", [0.5, 0.4], iou=[0.1, 0.1])
    assert compare({(0, 1): (one, other)}, "iou").difference == pytest.approx(0.15)
    assert compare({(0, 1): (one, other)}, "auroc").metric == "dice"
    alone = compare({(0, 1): (maps(tmp_path / "1.csv", [0.5]), maps(tmp_path / "2.csv", [0.4]))}, "dice")
    assert (alone.low, alone.high, alone.text) == (None, None, "+10.0")
    assert replace(alone, p=0.0).text == "+10.0, p < 1e-300"


def test_numbers_and_several_labels(tmp_path: Path) -> None:
    truth, values = RNG.normal(size=(2, 20)), RNG.normal(size=(2, 2, 20))
    files = []
    for arm in range(2):
        columns = {
            f"{kind}_{name}": of[n]
            for kind, of in (("truth", truth), ("predicted", values[arm]))
            for n, name in enumerate("xy")
        }
        files.append(tmp_path / f"{arm}.csv")
        pd.DataFrame({"file": range(20), **columns}).to_csv(files[-1], index=False)
    found = compare({(0, 1): (files[0], files[1])}, "r2")
    assert found.difference == pytest.approx(np.abs(values[0] - truth).mean() - np.abs(values[1] - truth).mean())
    assert (found.metric, found.p, found.text.split()[0]) == ("mae", None, f"{found.difference:+.3g}")  # no percent
    tags = {"file": ["a", "b"], "truth_x": [1, 0], "truth_y": [0, 1], "truth_z": [0, 1]}
    pd.DataFrame(tags | {"p_x": [0.9, 0.1], "p_y": [0.5, 0.8], "p_z": [0.1, 0.7]}).to_csv(files[0], index=False)
    pd.DataFrame(tags | {"p_x": [0.2, 0.9], "p_y": [0.5, 0.8], "p_z": [0.1, 0.7]}).to_csv(files[1], index=False)
    found = compare({(0, 1): (files[0], files[1])}, "auroc")
    assert found.metric == "label ranking average precision"
    assert found.difference == pytest.approx(1 - (1 / 2 + (1 / 2 + 2 / 3) / 2) / 2)


def test_what_cannot_be_compared_is_named(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", [True] * 4)
    longer = write(tmp_path / "longer.csv", [True] * 5)
    with pytest.raises(
        ValueError, match=r"one.csv and .*longer.csv are of different test examples: only .*longer.csv has /4.wav"
    ):
        compare({(0, 1): (one, longer)}, "accuracy")
    swapped = write(tmp_path / "swapped.csv", [True] * 4, truth=["b", "b", "a", "b"])
    with pytest.raises(ValueError, match=r"different test examples: /0.wav is a and b"):
        compare({(0, 1): (one, swapped)}, "accuracy")
    with pytest.raises(ValueError, match=r"has the accuracy of each example, .* the dice"):
        compare({(0, 1): (one, maps(tmp_path / "maps.csv", [0.1] * 4))}, "accuracy")
    with pytest.raises(
        FileNotFoundError, match=r"none/predictions.csv not found; experiments.evaluate ckpt=.*/none writes"
    ):
        compare({(0, 1): (one, tmp_path / "none" / "predictions.csv")}, "accuracy")
    with pytest.raises(ValueError, match=r"maps.csv is damaged \(.*abc"):
        compare({(0, 1): (maps(tmp_path / "maps.csv", ["abc"]), one)}, "dice")  # type: ignore[list-item]
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"x.csv has no column file or item"):
        compare({(0, 1): (tmp_path / "x.csv", one)}, "accuracy")
    with pytest.raises(ValueError, match=r"1.csv has no dice of any example"):
        nothing = [maps(tmp_path / f"{n}.csv", [float("nan")] * 2) for n in (1, 2)]
        compare({(0, 1): (nothing[0], nothing[1])}, "dice")


def test_each_arm_against_the_first_on_the_runs_that_both_have(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {}
    for arm, seeds in {"plain": [0, 1], "ours": [1, 2], "odd": [0], "lost": [0]}.items():
        for seed in seeds:
            file = tmp_path / arm / str(seed) / "predictions.csv"
            files[arm, 1.0, seed, None] = file
            if arm != "lost":
                write(file, [arm == "ours" or row < 5 for row in range(10 + (arm == "odd"))])
    with caplog.at_level(logging.WARNING):
        (found,) = against_first(["plain", "ours", "odd", "lost"], files, "accuracy")
    assert (found.arm, found.against, found.fraction, found.seeds) == ("ours", "plain", 1.0, 1)
    assert (found.difference, found.p) == (0.5, 2 / 2**5)
    odd, lost = (record.getMessage() for record in caplog.records)
    assert odd.startswith("odd is not compared with plain") and "/10.wav" in odd and "predictions.csv not found" in lost


def test_a_study_keeps_and_shows_it(tmp_path: Path) -> None:
    cells = [Cell(arm, 1.0, 0, None, 1, 1.0, None, 0.5, {}, {}) for arm in ("plain", "ours")]
    one = Comparison("ours", "plain", 1.0, "accuracy", 0.032, 0.011, 0.053, 0.0031, 1000, 40, 1, 1)
    study = Study("s", "S", "", "accuracy", "size", 1000, None, 0, {"plain": Arm([]), "ours": Arm([])}, cells, [one])
    study.save(tmp_path / "study.json")
    assert Study.load(tmp_path / "study.json") == study
    columns, rows = table(study)
    assert [row[columns.index("against plain")] for row in rows] == ["", "+3.2 (+1.1 to +5.3), p 0.0031"]
    assert study.pairing.endswith("40 groups or recordings); p is of the exact sign test.")
    alone = replace(study, paired=[replace(one, units=1000)])
    assert alone.pairing.endswith("(bootstrap over 1,000 test examples); p is of McNemar's exact test.")
    text = section(study, tmp_path)
    assert study.pairing in text and "1,000 test examples in 40 groups or recordings" in study.pairing
    older = json.loads((tmp_path / "study.json").read_text())
    del older["paired"]
    (tmp_path / "study.json").write_text(json.dumps(older))
    without = Study.load(tmp_path / "study.json")
    assert without.paired == [] and without.pairing == "" and not any("against" in name for name in table(without)[0])


def test_studies_that_were_published_before_are_read() -> None:
    files = sorted((Path(__file__).parents[3] / "docs" / "results").glob("*.json"))
    assert files and all(Study.load(file).cells for file in files)
