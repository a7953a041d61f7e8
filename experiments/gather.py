"""Gathers the results of many runs: `python -m experiments.gather FOLDER`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from yaml import YAMLError

from experiments.errors import one_line_errors
from experiments.report.tables import show
from experiments.run import Results, Run, write_json

# What may differ between the runs of one row of the table: their folds and seeds, over which it is the average, …
VARIED = ("seed", "data.seed", "data.test_fold", "data.val_fold")
# … and what does not change what a run comes to.
MACHINERY = (
    *("name", "folder", "resume", "overrides", "trust", "logger", "rescale", "num_workers", "checkpointing", "compile"),
    *("data.root", "data.cache_dir", "data.metadata", "data.num_workers"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.sync_batchnorm"),
    *("trainer.deterministic", "trainer.benchmark", "trainer.logger", "trainer.log_every_n_steps"),
    *("trainer.enable_progress_bar", "trainer.default_root_dir", "trainer.num_sanity_val_steps"),
)


def experiment(file: Path) -> dict[str, str]:
    """Gives what the run of a results.json was: its configuration, key by key, without what may differ.

    Raises:
        ValueError: There is no config.yaml beside it, or it is damaged.
    """
    config = Run(file.parent).config
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(config))
        flat: dict[Any, Any] = pd.json_normalize(values).to_dict("records")[0]
        flat.pop("seed")  # every run has one
    except (AttributeError, LookupError, NotImplementedError, OSError, YAMLError) as error:
        raise ValueError(f"{config} is missing or damaged, so that it is not known what {file} is of") from error
    below = tuple(f"{key}." for key in (*VARIED, *MACHINERY))
    return {key: str(v) for key, v in flat.items() if key not in (*VARIED, *MACHINERY) and not key.startswith(below)}


def gather(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Averages runs over the folds, each fold over its seeds first; without folds, over the seeds.

    Runs are of the same experiment if their config.yaml says the same but for `VARIED` and `MACHINERY`. Experiments of
    one name are told apart by what differs.

    Args:
        files: results.json of the runs.

    Returns:
        For each experiment its `name`, `monitor`, `folds`, `missing_folds`, `seeds` and `runs`; and for the metrics
        that all runs have (`test_accuracy`, `val_accuracy`, …) and each factor of `rescaled` the `mean` and the `std`
        over the folds (of the sample, n - 1; None for one fold).

    Raises:
        ValueError: two runs are of the same experiment, fold and seed, or a file is damaged.
    """
    runs = [(file, Results.load(file)) for file in files]
    # By its classes a set is another one, whatever data.metadata is called.
    configurations = [experiment(file) | {"classes": ", ".join(results.classes)} for file, results in runs]
    table = pd.DataFrame(configurations).fillna("-")
    groups = [list(same.index) for _, same in table.groupby(list(table))]
    rows = []
    for group in groups:
        name = runs[group[0]][1].name
        rivals = table.loc[[other[0] for other in groups if runs[other[0]][1].name == name]]
        differing = rivals.loc[group[0], rivals.nunique() > 1]
        label = " ".join([name, *(f"{key}={value}" for key, value in differing.items())])
        rows.append(_average(label, [runs[row] for row in group]))
    return sorted(rows, key=lambda row: str(row["name"]))


def _average(name: str, files: Sequence[tuple[Path, Results]]) -> dict[str, Any]:
    runs = [results for _, results in files]
    seen: dict[tuple[Any, int], Path] = {}
    for file, run in files:
        other = seen.setdefault(key := (run.test_fold, run.seed), file)
        if other != file:
            raise ValueError(f"{other} and {file} are both {name}, fold {key[0]}, seed {key[1]}; move one away")
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
