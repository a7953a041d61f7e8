"""The table of a study."""

from collections.abc import Mapping
from statistics import mean
from typing import Any

from experiments.data.transformation import named
from experiments.report.grid import Mean, Study, average
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
    smallest mean over the factors and the test as it is, which need not be one of them.
    """
    shares, chosen = len(study.fractions) > 1, any(arm.chosen for arm in study.arms.values())
    elsewhere = [(place, one) for place in study.tests for one in (study.metric, *study.further)]
    timed = any(arm.prediction for arm in study.arms.values())
    against = {(one.arm, one.fraction): one.text for one in study.paired}
    columns = [
        *["", "parameters"],
        *(["chosen on validation"] if chosen else []),
        *(["training share"] if shares else []),
        *["runs", "minutes", *(["ms"] if timed else []), f"test {study.metric.replace('_', ' ')}"],
        *([f"against {study.paired[0].against}"] if against else []),
        *map(metric_name, study.further),
        *(place if one == study.metric else f"{place} {metric_name(one)}" for place, one in elsewhere),
        *(named(study.transformation).label(float(factor)) for factor in study.factors),
        *(["flatness"] if study.factors else []),
    ]
    rows, metric = [], study.metric
    for name, arm in study.arms.items():
        for fraction in study.fractions:
            if not (cells := study.of(name, fraction)):
                continue
            test = average(cells, (cell.test for cell in cells))
            means = [average(cells, (cell.transformed[factor] for cell in cells)) for factor in study.factors]
            values = [m.value for m in (test, *means)]
            flatness = [in_table(metric, max(values) - min(values))] if means else []
            rows.append(
                [
                    *[name, f"{arm.parameters:,}"],
                    *([_listed(arm.chosen)] if chosen else []),
                    *([f"{fraction:.0%}"] if shares else []),
                    *[str(len(cells)), f"{mean(cell.seconds for cell in cells) / 60:.1f}"],
                    *([_milliseconds(arm.prediction)] if timed else []),
                    written(metric, test),
                    *([against.get((name, fraction), "")] if against else []),
                    *(written(other, average(cells, (c.further[other] for c in cells))) for other in study.further),
                    *(written(one, average(cells, (c.tests[place][one] for c in cells))) for place, one in elsewhere),
                    *(written(metric, m) for m in means),
                    *flatness,
                ]
            )
    return columns, rows


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:,.{0 if seconds >= 0.01 else 1}f}"


def _listed(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.removeprefix('optimizer.')} {value}" for key, value in chosen.items())
