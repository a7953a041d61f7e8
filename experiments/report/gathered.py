"""Runs that were started by hand, as a study: runs with equal settings are an arm, named by what differs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from omegaconf import OmegaConf
from yaml import YAMLError

from experiments.report.grid import Arm, Cell, Study
from experiments.report.paired import against_first
from experiments.results import Results
from experiments.run import Run

# What may differ between the runs of one arm: their seeds and folds, …
VARIED = ("seed", "fraction", "data.seed", "data.test_fold", "data.val_fold")
# … and what does not change the results of a run.
MACHINERY = (
    *("name", "folder", "resume", "overrides", "trust", "logger", "rescale", "num_workers", "checkpointing", "compile"),
    *("data.root", "data.cache_dir", "data.metadata", "data.num_workers"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.sync_batchnorm"),
    *("trainer.deterministic", "trainer.benchmark", "trainer.logger", "trainer.log_every_n_steps"),
    *("trainer.enable_progress_bar", "trainer.default_root_dir", "trainer.num_sanity_val_steps"),
)


def gathered(name: str, folders: Sequence[Path | str]) -> Study:
    """Return the finished runs in some folders, and in the folders below them, as a study.

    Args:
        name: Name of the study.
        folders: Folders of runs.

    Raises:
        FileNotFoundError: There is no finished run in one of the folders.
        ValueError: Two runs are the same, or are of other metrics or transformations, or a file is damaged.
    """
    below = {folder: sorted(Path(folder).expanduser().rglob("results.json")) for folder in folders}
    if empty := [str(folder) for folder, files in below.items() if not files]:
        raise FileNotFoundError(f"no results.json below {', '.join(empty)}; a run has one when it is tested")
    files = list(dict.fromkeys(chain.from_iterable(below.values())))  # the first folder has the first arm
    runs = {file: Results.load(file) for file in files}
    kinds = {(results.monitor, results.transformation): file for file, results in runs.items()}
    if len(kinds) > 1:
        (one, other), (first, second) = kinds.values(), kinds
        raise ValueError(f"{one} is of {first}, {other} of {second}; a study has one metric and one transformation")
    labels = dict(zip(files, _labels(files, runs), strict=True))
    cells: dict[tuple[Any, ...], tuple[Cell, Path]] = {}
    for file, results in runs.items():
        cell = cell_of(results, labels[file], float(_flat(file).get("fraction", 1.0)), results.test_fold)
        key = cell.arm, cell.fraction, cell.seed, cell.fold
        if key in cells:
            raise ValueError(f"{cells[key][1]} and {file} are both {cell.arm}, seed {cell.seed}; move one away")
        cells[key] = cell, file
    first_results = next(iter(runs.values()))
    arms = {label: Arm(runs[file].overrides, runs[file].parameters) for file, label in labels.items()}
    predictions = {key: Run(file.parent).predictions for key, (_, file) in cells.items()}
    return Study(
        name=name,
        title=f"Runs in {', '.join(map(str, folders))}",
        about="",
        metric=first_results.monitor,
        transformation=first_results.transformation,
        test_examples=first_results.test_examples,
        chance=1 / len(first_results.classes) if first_results.monitor == "accuracy" else None,
        missing=0,
        arms=arms,
        cells=[cell for cell, _ in cells.values()],
        paired=against_first(list(arms), predictions, first_results.monitor),
    )


def cell_of(
    results: Results,
    arm: str,
    fraction: float,
    fold: Any,
    tests: Mapping[str, Results] = MappingProxyType({}),
    metrics: Iterable[str] = (),
) -> Cell:
    """Return the results of a run, and those of its further tests, as a cell of a study.

    Args:
        results: Those of the run.
        arm: Name of its arm.
        fraction: Share of the training examples.
        fold: The fold that was tested.
        tests: The results of its further tests by name.
        metrics: Names of the metrics that are wanted beside the monitored one.

    Raises:
        ValueError: The run has no such metric.
    """
    metric = results.monitor
    if unknown := [name for name in metrics if name not in results.test]:
        raise ValueError(f"{results.name} has no metric {unknown[0]} for study.metrics, but {', '.join(results.test)}")
    further = {name: round(results.test[name], 5) for name in metrics}
    transformed, moved = [
        {key: round(v, 5) for key, v in values.items()} for values in (results.transformed, results.moved)
    ]
    val = round(results.val[metric], 5) if metric in results.val else None
    seconds, test = results.seconds, round(results.test[metric], 5)
    others = {name: {key: round(v, 5) for key, v in other.test.items()} for name, other in tests.items()}
    return Cell(
        *(arm, fraction, results.seed, fold, results.epochs, seconds),
        *(val, test, transformed, moved, others, further),
    )


def _labels(files: Iterable[Path], runs: dict[Path, Results]) -> list[str]:
    """Return the name of each run's arm: the name of the run, and what distinguishes it from others of that name."""
    # Sets with other classes are different sets, whatever the name of data.metadata.
    arms = pd.DataFrame([_arm(file) | {"classes": ", ".join(runs[file].classes)} for file in files]).fillna("-")
    names = [runs[file].name for file in files]
    labels = []
    for row, name in enumerate(names):
        rivals = arms[[other == name for other in names]]
        differing = arms.loc[row][rivals.nunique() > 1]
        labels.append(" ".join([name, *(f"{key}={value}" for key, value in differing.items())]))
    return labels


def _arm(file: Path) -> dict[str, str]:
    below = tuple(f"{key}." for key in (*VARIED, *MACHINERY))
    flat = _flat(file).items()
    given = {key: v for key, v in flat if not (key.startswith("views.") and v is None)}  # older runs have no views
    return {key: str(v) for key, v in given.items() if key not in (*VARIED, *MACHINERY) and not key.startswith(below)}


def _flat(file: Path) -> dict[str, Any]:
    config = Run(file.parent).config
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(config))
        flat: dict[Any, Any] = pd.json_normalize(values).to_dict("records")[0]
        _ = flat["seed"]  # every run has one
    except (AttributeError, LookupError, NotImplementedError, OSError, YAMLError) as error:
        raise ValueError(f"{config} is missing or damaged, so the run of {file} is unknown") from error
    return flat
