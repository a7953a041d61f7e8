"""The results of a study in one JSON file, from which its table and its pictures are drawn."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from experiments.data.source import Fold
from experiments.data.transformation import named
from experiments.files import finite, write_text
from experiments.report.paired import Comparison
from experiments.results import number


@dataclass(frozen=True)
class Arm:
    """A network and its training, which a study compares with others.

    Attributes:
        overrides: Arguments of ``experiments.train``.
        parameters: Number of learned parameters.
        chosen: The values that were best on validation, by key.
        tried: The monitored validation metric of every value tried, by ``key=value``.
        prediction: Time of a prediction of one example in seconds, see ``benchmarks.predictions``. ``None``: unknown.
    """

    overrides: list[str]
    parameters: int = 0
    chosen: dict[str, Any] = field(default_factory=dict)
    tried: dict[str, float] = field(default_factory=dict)
    prediction: float | None = None


@dataclass(frozen=True)
class Cell:
    """One run of a study. The metrics are those of `results.Results`; the values of the monitored one.

    ``further`` holds those other metrics of the test that the study names, ``tests`` all metrics of its further tests,
    by the name of the test.
    """

    arm: str
    fraction: float
    seed: int
    fold: Fold | None
    epochs: int
    seconds: float
    val: float | None  # None: not validated
    test: float
    transformed: dict[str, float]
    moved: dict[str, float]
    tests: dict[str, dict[str, float]] = field(default_factory=dict)
    further: dict[str, float] = field(default_factory=dict)

    def at(self, amount: str) -> float:
        """Return the metric on examples that are transformed by one of `Study.amounts`."""
        return self.transformed.get(amount, self.test)


@dataclass(frozen=True)
class Mean:
    """A mean over runs, and its standard deviation: see `average`. ``None``: one run."""

    value: float
    deviation: float | None = None

    @property
    def spread(self) -> float:
        """The deviation; 0 if there is none."""
        return self.deviation or 0.0


@dataclass(frozen=True)
class Study:
    """The results of a study.

    Attributes:
        name: Name of the study.
        title: Title, in a few words.
        about: Description, in a few sentences; each line is a paragraph.
        metric: The metric of all numbers, such as ``"accuracy"``.
        transformation: Name of the transformation of the test examples, such as ``"playback speed"``.
        test_examples: Number of test examples of a fold.
        chance: The metric of guessing. ``None``: unknown.
        missing: Number of runs that are not finished.
        arms: The arms that it compares.
        cells: The runs.
        paired: Each arm against the first, on the same test examples. Empty: it is not known.
        paired_tests: The same for the further tests, by name.
    """

    name: str
    title: str
    about: str
    metric: str
    transformation: str
    test_examples: int
    chance: float | None
    missing: int
    arms: dict[str, Arm]
    cells: list[Cell]
    paired: list[Comparison] = field(default_factory=list)
    paired_tests: dict[str, list[Comparison]] = field(default_factory=dict)

    @property
    def fractions(self) -> list[float]:
        """The shares of the training examples, in order."""
        return sorted({cell.fraction for cell in self.cells})

    @property
    def factors(self) -> list[str]:
        """The factors at which all runs were tested, in order."""
        shared = set.intersection(*(set(cell.transformed) for cell in self.cells)) if self.cells else set()
        return sorted(shared, key=float)

    @property
    def amounts(self) -> list[str]:
        """The factors, and the one that changes nothing, of the test as it is; none without factors."""
        neutral = [f"{named(self.transformation).neutral:g}"] if self.factors else []
        return sorted({float(amount): amount for amount in (*neutral, *self.factors)}.values(), key=float)

    @property
    def tests(self) -> list[str]:
        """The further tests that all runs have had, in the order of the study."""
        return [name for name in self.cells[0].tests if all(name in cell.tests for cell in self.cells)]

    @property
    def further(self) -> list[str]:
        """The other metrics that all runs have, in the order of the study."""
        return [name for name in self.cells[0].further if all(name in cell.further for cell in self.cells)]

    def of(self, arm: str, fraction: float) -> list[Cell]:
        """Return the runs of an arm on a share of the examples."""
        return [cell for cell in self.cells if (cell.arm, cell.fraction) == (arm, fraction)]

    def value(self, cell: Cell, metric: str, test: str = "") -> float:
        """Return a metric of a run in a further test, or in its own, whose name is empty."""
        if test:
            return cell.tests[test][metric]
        return cell.test if metric == self.metric else cell.further[metric]

    def paired_in(self, test: str) -> list[Comparison]:
        """Return the comparisons in a further test, or in that of the runs, whose name is empty."""
        return self.paired_tests.get(test, []) if test else self.paired

    @property
    def hours(self) -> float:
        """The time of all trainings with their tests. Arms that differ in views alone share a training."""
        trained = [name for name, arm in self.arms.items() if not any(o.startswith("views.") for o in arm.overrides)]
        return sum(cell.seconds for cell in self.cells if cell.arm in trained) / 3600

    @property
    def spread(self) -> str:
        """A sentence that states over what a ± is a standard deviation, see `average`."""
        seeds, folds = ({getattr(cell, key) for cell in self.cells} for key in ("seed", "fold"))
        if len(seeds) > 1:
            return f"± is the standard deviation over {len(seeds)} seeds" + (
                f", each the mean over {len(folds)} folds." if len(folds) > 1 else "."
            )
        return f"± is the standard deviation over {len(folds)} folds." if len(folds) > 1 else "One run of each."

    @property
    def pairing(self) -> str:
        """A sentence that states what the columns of `paired` and `paired_tests` are; empty if there are none."""
        if not self.paired:
            return ""
        pairs = [*self.paired, *chain.from_iterable(self.paired_tests.values())]
        metrics, over = ("; ".join(dict.fromkeys(of)) for of in zip(*((c.metric, c.over) for c in pairs), strict=True))
        tests = " and ".join(dict.fromkeys(c.test for c in pairs if c.p is not None))
        return (
            f"“Against {self.paired[0].against}” is the difference of the {metrics.replace('_', ' ')} on the same "
            f"examples, with its 95 % interval (bootstrap over {over})" + (f"; p is of {tests}." if tests else ".")
        )

    def save(self, file: Path) -> None:
        """Write a JSON file with a line for each run, whole or not at all."""
        values = finite(asdict(self))
        cells = ",\n  ".join(json.dumps(cell, ensure_ascii=False) for cell in values.pop("cells"))
        head = json.dumps(values, indent=1, ensure_ascii=False).removesuffix("\n}")
        write_text(file, f'{head},\n "cells": [\n  {cells}\n ]\n}}\n')

    @classmethod
    def load(cls, file: Path) -> "Study":
        """Read a study.json.

        Raises:
            ValueError: The file is something else.
        """
        try:
            values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            arms = {name: Arm(**arm) for name, arm in values.pop("arms").items()}
            cells, paired = map(_cell, values.pop("cells")), _comparisons(values.pop("paired", []))
            tests = {name: _comparisons(some) for name, some in values.pop("paired_tests", {}).items()}
            return cls(**values, arms=arms, cells=list(cells), paired=paired, paired_tests=tests)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is not a study.json of experiments.study ({error})") from error


def _cell(values: Mapping[str, Any]) -> Cell:
    """Return a run that was read from JSON."""
    amounts = {key: {a: number(v) for a, v in values[key].items()} for key in ("transformed", "moved")}
    tests = {name: {key: number(v) for key, v in test.items()} for name, test in values.get("tests", {}).items()}
    further = {key: number(v) for key, v in values.get("further", {}).items()}
    return Cell(**{**values, **amounts, "tests": tests, "further": further, "test": number(values["test"])})


def _comparisons(values: Iterable[Mapping[str, Any]]) -> list[Comparison]:
    return [Comparison(**one) for one in values]


def average(cells: Iterable[Cell], values: Iterable[float]) -> Mean:
    """Average a value of runs over the folds for each seed, and then over the seeds.

    The standard deviation is that over the seeds; if there is one seed, it is that over the folds.

    Args:
        cells: The runs, at least one.
        values: The value of each.
    """
    pairs = list(zip(cells, values, strict=True))
    units = [cell.seed for cell, _ in pairs]
    if len(set(units)) == 1:
        units = [cell.fold for cell, _ in pairs]  # type: ignore[misc]
    means = [mean(value for one, (_, value) in zip(units, pairs, strict=True) if one == unit) for unit in set(units)]
    return Mean(mean(means), stdev(means) if len(means) > 1 else None)
