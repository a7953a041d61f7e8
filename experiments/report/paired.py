"""Two networks compared on the same test examples, from their predictions.csv."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.data.tables import read_csv
from experiments.report.auroc import auroc_difference
from experiments.training.tasks.task import in_table

log = logging.getLogger(__name__)

RESAMPLES = 5000
Key = tuple[int, Any]  # seed, fold


@dataclass(frozen=True)
class Comparison:
    """The difference of two arms on the same test examples.

    The interval is a percentile bootstrap over independent units: groups such as patients, or else files. The test is
    the exact binomial test of the units on which one arm has more right than the other, see `test`. They concern
    these networks: how much other trainings would differ, the deviation over seeds says.

    Attributes:
        arm: The arm.
        against: The arm whose metric is subtracted.
        fraction: Share of the training examples.
        metric: What is compared: the mean of a value of each example, or for two classes the AUROC.
        difference: The difference of the means; of the AUROC, the mean over folds and seeds.
        low: Lower end of the 95 % interval. ``None``: there is only one unit.
        high: Upper end of the 95 % interval.
        p: Probability of such a difference between arms that are equally good. ``None``: it is not of the accuracy.
        examples: Number of examples.
        units: Number of groups or files.
        seeds: Number of seeds, over which the values of an example are averaged.
        folds: Number of folds, whose examples are pooled.
    """

    arm: str
    against: str
    fraction: float
    metric: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    examples: int
    units: int
    seeds: int = 1
    folds: int = 1

    @property
    def text(self) -> str:
        """The difference, its interval and p, as people write them; shares are in percent."""
        ends = [in_table(self.metric, end, "+") for end in (self.low, self.high) if end is not None]
        interval = f" ({' to '.join(ends)})" if ends else ""
        p = "" if self.p is None else f", p {self.p:.2g}" if self.p else ", p < 1e-300"  # of float64, 0 is less
        return f"{in_table(self.metric, self.difference, '+')}{interval}{p}"

    @property
    def test(self) -> str:
        """Name of the test: the sign test of the units, which is McNemar's if these are examples, right or wrong."""
        return "McNemar's exact test" if self.seeds == 1 and self.units == self.examples else "the exact sign test"

    @property
    def over(self) -> str:
        """What the examples are."""
        units = f" in {self.units:,} groups or recordings" if self.units < self.examples else ""
        folds = f" of {self.folds} folds" if self.folds > 1 else ""
        seeds = f", means over {self.seeds} seeds" if self.seeds > 1 else ""
        return f"{self.examples:,} test examples{units}{folds}{seeds}"


def compare(
    pairs: Mapping[Key, tuple[Path, Path]], metric: str, arm: str = "", against: str = "", fraction: float = 1.0
) -> Comparison:
    """Compare two arms by the predictions.csv of their runs.

    The value of an example is averaged over seeds first; the examples of all folds are pooled. Where each seed has a
    test set of its own, its examples are examples of their own. The AUROC is that of each network, which its folds and
    seeds have in turn, as the scores of two networks cannot be pooled.

    Args:
        pairs: Seed and fold → predictions.csv of the arm and of the one it is compared with.
        metric: The metric of the study: the AUROC of two classes is compared; for maps it must be a column of the
            files, or else Dice is compared. Otherwise it is what the columns of the files allow.
        arm: Name of the arm.
        against: Name of the arm that it is compared with.
        fraction: Share of the training examples.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or the examples of two files are not the same.
    """
    from scipy.stats import binomtest  # takes a second to import

    parts = [_matched(*files, metric).assign(seed=seed, fold=str(fold)) for (seed, fold), files in pairs.items()]
    measured, table = parts[0].attrs["metric"], pd.concat(parts)
    if (table.groupby(["fold", "name", "nth"])["truth"].nunique() > 1).any():
        table["fold"] = table["fold"] + " " + table["seed"].astype(str)  # every seed is another set
    each = table.groupby(["fold", "unit", "name", "nth"])["difference"].mean()  # sorted: the order does not matter
    units = each.groupby(["fold", "unit"]).agg(["sum", "count"])
    difference, low, high, p = float(each.mean()), None, None, None
    if measured == "auroc":
        difference, *ends = auroc_difference(table, parts[0].attrs["positive"], RESAMPLES)
        low, high = ends if len(units) > 1 else (None, None)
    elif len(units) > 1:
        low, high = _interval(units["sum"].to_numpy(), units["count"].to_numpy())
    if measured == "accuracy":
        better, worse = int((units["sum"] > 0).sum()), int((units["sum"] < 0).sum())
        p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    seeds, folds = ({key[place] for key in pairs} for place in (0, 1))
    return Comparison(
        *(arm, against, fraction, measured, difference, low, high, p),
        *(len(each), len(units), len(seeds), len(folds)),
    )


def against_first(
    arms: Sequence[str], files: Mapping[tuple[str, float, int, Any], Path], metric: str
) -> list[Comparison]:
    """Compare each arm of a study with the first. An arm that cannot be compared is named in a warning.

    Args:
        arms: Names of the arms.
        files: Arm, fraction, seed and fold → predictions.csv of the run.
        metric: The metric of the study.
    """
    found = []
    for arm in arms[1:]:
        for fraction in sorted({key[1] for key in files}):
            pairs = {
                (seed, fold): (file, files[arms[0], fraction, seed, fold])
                for (one, share, seed, fold), file in files.items()
                if (one, share) == (arm, fraction) and (arms[0], fraction, seed, fold) in files
            }
            try:
                found += [compare(pairs, metric, arm, arms[0], fraction)] if pairs else []
            except (FileNotFoundError, ValueError) as error:
                log.warning("%s is not compared with %s example by example: %s", arm, arms[0], error)
    return found


def _matched(file: Path, other: Path, metric: str) -> pd.DataFrame:
    """Return name, unit and truth of each example of two files, and the difference of its two values."""
    one, two = _read(file, metric), _read(other, metric)
    if (measured := one.attrs["metric"]) != two.attrs["metric"]:
        raise ValueError(f"{file} has the {measured} of each example, {other} the {two.attrs['metric']}")
    both = one.merge(two, "outer", on=["name", "nth"], suffixes=("", "_other"), indicator="where")
    if (alone := both["where"] != "both").any():
        name, where = both[alone].iloc[0][["name", "where"]]
        only = file if where == "left_only" else other
        raise ValueError(f"{file} and {other} are of different test examples: only {only} has {name}")
    if (differs := both["truth"] != both["truth_other"]).any():
        name, truth, others = both[differs].iloc[0][["name", "truth", "truth_other"]]
        raise ValueError(f"{file} and {other} are of different test examples: {name} is {truth} and {others}")
    values = both[["value", "value_other"]].dropna(how="all")
    if values.empty:
        raise ValueError(f"{file} has no {measured} of any example")
    values = values.fillna(1.0)  # without foreground: rightly nothing, where the other network found something
    both = both.loc[values.index].assign(difference=values["value"] - values["value_other"])
    both.attrs = one.attrs
    return both


def _read(file: Path, metric: str) -> pd.DataFrame:
    """Return name, number among those of its name, unit, value and truth of each example; ``attrs`` has the metric."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} not found; experiments.evaluate ckpt={file.parent} writes it")
    table = read_csv(file, [], texts=True)
    names = next((table[key] for key in ("file", "item") if key in table), None)
    if names is None:
        raise ValueError(f"{file} has no column file or item; it is not a predictions.csv of experiments.train")
    truth, predicted, p = (
        table[[name for name in map(str, table) if name == what or name.startswith(f"{what}_")]]
        for what in ("truth", "predicted", "p")
    )
    try:
        measured, values = _values(table, truth, predicted, p, metric)
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); test the run again with experiments.evaluate") from error
    folder = os.path.commonpath(list(map(os.path.dirname, names))) if "file" in table else ""
    short = names.str.removeprefix(folder)  # the same data may lie elsewhere
    unit = short if "group" not in table else table["group"].where(table["group"].notna(), short)
    columns = {"name": short, "nth": names.groupby(names).cumcount(), "unit": unit, "value": values}
    found = pd.DataFrame({**columns, "truth": truth.fillna("").agg("|".join, axis=1) if len(truth.columns) else ""})
    found.attrs = {"metric": measured, "positive": str(p.columns[-1]).removeprefix("p_") if len(p.columns) else ""}
    return found


def _values(
    table: pd.DataFrame, truth: pd.DataFrame, predicted: pd.DataFrame, p: pd.DataFrame, metric: str
) -> tuple[str, Any]:
    """Return the metric that the examples have by the columns of their task, and its value for each."""
    if "predicted" in table and len(p.columns) == 2 and metric == "auroc":
        return "auroc", p.iloc[:, -1].astype(float)
    if "predicted" in table and len(p.columns):
        return "accuracy", (table["truth"] == table["predicted"]).astype(float)
    if len(p.columns):
        from sklearn.metrics import label_ranking_average_precision_score  # takes a second to import

        true, likely = truth.astype(int).to_numpy(), p.astype(float).to_numpy()
        each = [label_ranking_average_precision_score(true[[row]], likely[[row]]) for row in range(len(true))]
        return "label ranking average precision", each
    if len(predicted.columns):
        errors = truth.astype(float).to_numpy() - predicted.astype(float).to_numpy()
        return "mae", np.abs(errors).mean(1)
    if (column := next((name for name in (metric, "dice", "loss") if name in table), None)) is None:
        raise ValueError(f"it has no column {metric}")
    return column, table[column].astype(float)


def _interval(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of examples, of whose units the sums and the counts are given."""
    from scipy.stats import bootstrap

    found = bootstrap(
        (sums, counts),
        lambda sums, counts, axis: sums.sum(axis) / counts.sum(axis),
        n_resamples=RESAMPLES,
        batch=max(1, 2**22 // len(sums)),  # as much memory as 2²² numbers
        paired=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
