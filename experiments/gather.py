"""Gathers the results of many runs: `python -m experiments.gather FOLDER`."""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import one_line_errors
from experiments.report.tables import show
from experiments.run import Results, write_json

# What may differ between the runs of one row of the table.
VARIED = (
    *(
        "experiment=",
        "seed=",
        "folder=",
        "name=",
        "num_workers=",
        "rescale=",
        "hydra.",
        "trainer=",
        "trainer.devices=",
    ),
    *("data.test_fold=", "data.val_fold=", "data.root=", "data.cache_dir=", "data.num_workers="),
)


def label(results: Results) -> str:
    """Names what was run: the experiment, and what the command line changed in it."""
    return " ".join([results.name, *(o for o in results.overrides if not o.startswith(VARIED))])


def gather(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Averages runs over the folds, each fold over its seeds first; without folds, over the seeds.

    Args:
        files: results.json of the runs.

    Returns:
        For each experiment its `name`, `monitor`, `folds`, `missing_folds`, `seeds` and `runs`; and for the metrics
        that all runs have (`test_accuracy`, `val_accuracy`, …) and each factor of `rescaled` the `mean` and the `std`
        over the folds (of the sample, n - 1; None for one fold).

    Raises:
        ValueError: two runs are of the same experiment, fold and seed.
    """
    experiments: dict[str, dict[tuple[Any, Any], tuple[Path, Results]]] = defaultdict(dict)
    for file in files:
        results = Results.load(file)
        runs, key = experiments[label(results)], (results.test_fold, results.seed)
        if key in runs:
            raise ValueError(
                f"{runs[key][0]} and {file} are both {label(results)}, fold {key[0]}, seed {key[1]}; move one away"
            )
        runs[key] = file, results
    return [_average(name, [results for _, results in runs.values()]) for name, runs in sorted(experiments.items())]


def _average(name: str, runs: list[Results]) -> dict[str, Any]:
    unit = "seed" if runs[0].test_fold is None else "test_fold"
    units = sorted({getattr(run, unit) for run in runs})

    def over_units(values: list[float]) -> dict[str, float | None]:
        pairs = list(zip(runs, values, strict=True))
        means = [np.mean([value for run, value in pairs if getattr(run, unit) == one]) for one in units]
        return {"mean": float(np.mean(means)), "std": float(np.std(means, ddof=1)) if len(means) > 1 else None}

    def averaged(stage: str) -> dict[str, dict[str, float | None]]:
        values = [getattr(run, stage) for run in runs]
        return {key: over_units([v[key] for v in values]) for key in values[0] if all(key in v for v in values)}

    return {
        "name": name,
        "monitor": runs[0].monitor,
        "folds": units if unit == "test_fold" else [],
        "missing_folds": sorted(set(runs[0].folds) - set(units)),
        "seeds": sorted({run.seed for run in runs}),
        "runs": len(runs),
        **{f"test_{metric}": value for metric, value in averaged("test").items()},
        **{f"val_{metric}": value for metric, value in averaged("val").items()},
        "rescaled": averaged("rescaled"),
    }


def _percent(value: dict[str, float | None] | None) -> str:
    if value is None:
        return ""
    spread = "" if value["std"] is None else f" ± {100 * value['std']:.1f}"
    return f"{100 * (value['mean'] or 0):.1f}{spread}"


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.gather",
        description="Gather the results.json of all runs under the folders: mean ± standard deviation over the folds, "
        "in percent, as a table and as gathered.json in the first folder.",
    )
    parser.add_argument("folder", type=Path, nargs="+", help="folder with runs, such as the folder of a multirun")
    folders: list[Path] = parser.parse_args().folder
    with one_line_errors():
        files = sorted({file.resolve() for folder in folders for file in folder.rglob("results.json")})
        if not files:
            raise FileNotFoundError(f"no results.json under {', '.join(map(str, folders))}; is a run finished there?")
        rows = gather(files)
        write_json(folders[0] / "gathered.json", {"experiments": rows})
    factors = sorted({factor for row in rows for factor in row["rescaled"]}, key=float)
    names = list(dict.fromkeys(row["monitor"] for row in rows))
    table = [
        ["folds", *(str(len(row["folds"])) for row in rows)],
        ["seeds", *(str(len(row["seeds"])) for row in rows)],
        *([f"test {name.replace('_', ' ')}", *(_percent(row.get(f"test_{name}")) for row in rows)] for name in names),
        *([f"  rescaled ×{factor}", *(_percent(row["rescaled"].get(factor)) for row in rows)] for factor in factors),
        *(
            [f"validation {name.replace('_', ' ')}", *(_percent(row.get(f"val_{name}")) for row in rows)]
            for name in names
        ),
    ]
    show("In percent, mean ± standard deviation over folds", ["", *(row["name"] for row in rows)], table)
    for row in rows:
        if row["missing_folds"]:
            print(f"{row['name']}: folds {', '.join(map(str, row['missing_folds']))} are missing")
    print(folders[0] / "gathered.json")


if __name__ == "__main__":
    main()
