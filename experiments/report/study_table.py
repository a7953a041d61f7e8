"""The table of a study."""

from collections.abc import Mapping, Sequence
from itertools import chain
from statistics import mean
from typing import Any

from experiments.data.transformation import named
from experiments.report.grid import Cell, Mean, Study, average
from experiments.report.style import metric_name
from experiments.training.tasks.task import in_table


def written(metric: str, mean: Mean) -> str:
    """Return the mean of a metric as people write it.

    Example:
        >>> written("accuracy", Mean(0.9, 0.012)), written("mae", Mean(8.25, 0.4))
        ('90.0 ± 1.2', '8.25 ± 0.4')
    """
    numbers = [value for value in (mean.value, mean.deviation) if value is not None]
    return " ± ".join(in_table(metric, value) for value in numbers)


def table(study: Study) -> tuple[list[str], list[list[str]]]:
    """Return the table of a study: its columns, and a row for each arm and share of the training examples.

    If arms are compared on the same test examples, a column has the differences from the first arm. ``minutes`` are
    those of a training with its tests, ``ms`` the time of a prediction, and ``flatness`` is the largest less the
    smallest mean over the factors and the test as it is, which need not be one of them. Further metrics come last.
    """
    shares, chosen = len(study.fractions) > 1, any(arm.chosen for arm in study.arms.values())
    timed, tests = any(arm.prediction for arm in study.arms.values()), ("", *study.tests)
    further = [(metric, test) for test in tests for metric in study.further]
    columns = [
        *["", "parameters"],
        *(["chosen on validation"] if chosen else []),
        *(["training share"] if shares else []),
        *["runs", "minutes", *(["ms"] if timed else [])],
        *chain.from_iterable(_columns(study, test) for test in tests),
        *(named(study.transformation).label(float(factor)) for factor in study.factors),
        *(["flatness"] if study.factors else []),
        *(f"{test} {metric_name(metric)}".strip() for metric, test in further),
    ]
    rows = []
    for name, arm in study.arms.items():
        for fraction in study.fractions:
            if not (cells := study.of(name, fraction)):
                continue
            means = [average(cells, (cell.transformed[factor] for cell in cells)) for factor in study.factors]
            values = [average(cells, (cell.at(amount) for cell in cells)).value for amount in study.amounts]
            flatness = [in_table(study.metric, max(values) - min(values))] if means else []
            rows.append(
                [
                    *[name, f"{arm.parameters:,}"],
                    *([_listed(arm.chosen)] if chosen else []),
                    *([f"{fraction:.0%}"] if shares else []),
                    *[str(len(cells)), f"{mean(cell.seconds for cell in cells) / 60:.1f}"],
                    *([_milliseconds(arm.prediction)] if timed else []),
                    *chain.from_iterable(_values(study, test, cells) for test in tests),
                    *(written(study.metric, m) for m in means),
                    *flatness,
                    *(written(metric, _mean(study, metric, test, cells)) for metric, test in further),
                ]
            )
    return columns, rows


def _columns(study: Study, test: str) -> list[str]:
    """Return the columns of a further test, or of the test of the runs, whose name is empty."""
    compared = [f"{test} against {one.against}".strip() for one in study.paired_in(test)[:1]]
    return [test or f"test {study.metric.replace('_', ' ')}", *compared]


def _values(study: Study, test: str, cells: Sequence[Cell]) -> list[str]:
    """Return the values of the runs of a row in `_columns`."""
    paired, row = study.paired_in(test), (cells[0].arm, cells[0].fraction)
    compared = [next((one.text for one in paired if (one.arm, one.fraction) == row), "")] if paired else []
    return [written(study.metric, _mean(study, study.metric, test, cells)), *compared]


def _mean(study: Study, metric: str, test: str, cells: Sequence[Cell]) -> Mean:
    return average(cells, (study.value(cell, metric, test) for cell in cells))


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:,.{0 if seconds >= 0.01 else 1}f}"


def _listed(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.removeprefix('optimizer.')} {value}" for key, value in chosen.items())
