"""Tests a trained network again: `python -m experiments.evaluate --help`."""

from experiments.answers import CONF, answer, nearest

if __name__ == "__main__":
    answer("evaluate")  # help and mistyped keys, before the imports that take seconds

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from torch import nn

from experiments.arguments import readable
from experiments.card import find_checkpoint, load_network
from experiments.data.source import checked, checked_factors
from experiments.data.splits import log_counts
from experiments.data.wrappers import Relabelled
from experiments.errors import one_line_errors
from experiments.evaluation.device import as_run, place
from experiments.evaluation.report import draw, report
from experiments.evaluation.views import asked_views, on_views
from experiments.report.tables import show_results
from experiments.results import Results
from experiments.run import Run
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.segmentation import Segmentation
from experiments.training.tasks.task import Task
from experiments.trust import as_list, build

log = logging.getLogger(__name__)

SPLIT = "test_fold", "folds", "seed", "group"  # what says which examples are tested


def evaluate(cfg: DictConfig) -> tuple[Results, Path, Results | None]:
    """Test the network of a checkpoint on the test fold of its run, or on other data with the same classes.

    Args:
        cfg: The composed configuration, see conf/evaluate.yaml.

    Returns:
        The results, the JSON file that they were written to, and, if views are asked for beside the network as it is,
        the results of the network on these, which are in a file whose name begins with views_.

    Raises:
        FileNotFoundError: The checkpoint or the data are missing.
        ValueError: The checkpoint is damaged, or a value is wrong.
    """
    file = find_checkpoint(cfg.ckpt)
    output = file.with_suffix("") if cfg.output is None else Path(str(cfg.output).removesuffix(".json")).expanduser()
    if file.suffix == ".json" and cfg.output is None:
        raise ValueError(f"{file} would be overwritten by its own results; rename it, with another suffix")
    trust = as_list(cfg.trust)
    network, card = load_network(file, trust)
    changes: Any = OmegaConf.to_container(cfg.data)
    before = card.config["data"]
    if fixed := [key for key in ("mean", "std") if changes.get(key, before.get(key)) != before.get(key)]:
        raise ValueError(f"data.{fixed[0]} belongs to the trained network, and cannot be changed; leave it out")
    task = card.task(trust)
    try:
        found = checked(build(_named_masks(before | changes, task, card.classes), trust))
        if isinstance(task, Regression) and (lacking := [name for name in card.classes if name not in found.classes]):
            raise ValueError(f"the data lack {', '.join(lacking)}, which the network predicts")
        source = Relabelled(found, card.classes)
    except ValueError as error:
        for key in changes:
            if f"unexpected keyword argument '{key}'" in str(error):
                question = nearest(f"data.{key}", [f"data.{name}" for name in before])
                raise ValueError(f"data.{key} is unknown; {question}") from None
        raise
    moved = [f"data.{key}" for key in SPLIT if changes.get(key, before.get(key)) != before.get(key)]
    if moved and not changes.keys() & {"root", "metadata"}:
        log.warning(
            "the network may have been trained or validated on the examples that are tested with another %s: its "
            "results there are too good",
            ", ".join(moved),
        )
    log_counts(source, ["test"])
    factors = next(f for f in (cfg.rescale, card.config["rescale"], source.test_factors) if f is not None)
    checked_factors(source, factors)
    trainer = as_run(cfg.trainer, card)

    views, run = asked_views(cfg.views), Run(file.parent.parent)
    own = cfg.output is None and file == run.trained and not changes  # the test of the run
    as_tested = own and not asked_views(card.config.get("views"))

    def test(network: nn.Module, views: dict[str, Any], name: str) -> Results:
        start = time.monotonic()
        folder, prefix = (run.folder, "views_" if views else "") if as_tested else (output.parent, f"{name}_")
        predictions = folder / f"{prefix}predictions.csv"
        results, measured = report(place(network, trainer), card, task, source, factors, predictions)
        results = replace(results, views=views, seconds=round(time.monotonic() - start, 1))
        results.save(output.with_name(f"{name}.json"))
        draw(results, measured, task, source, output.parent, f"{name}_")
        return results

    wrapped = on_views(network, task, cfg.views)
    if not (views or cfg.as_is):
        raise ValueError("as_is=false leaves nothing to test without views.…; set views.num_scales or views.rotations")
    output.parent.mkdir(parents=True, exist_ok=True)
    results = test(network, {}, output.name) if cfg.as_is else test(wrapped, views, output.name)
    both = test(wrapped, views, f"views_{output.name}") if views and cfg.as_is else None
    return results, output.with_name(f"{output.name}.json"), both


def _named_masks(data: dict[str, Any], task: Task, classes: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of the data, with the values of masks if these are the names of the network's classes.

    The set would find the values by itself, and give others to the classes if it lacks one of them.
    """
    unnamed = isinstance(task, Segmentation) and data.get("mask_values", 0) is None and data.get("classes") is None
    if not unnamed or len(classes) < 3 or not all(name.isdecimal() for name in classes):
        return data
    return data | {"mask_values": [int(name) for name in classes]}


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
def command(cfg: DictConfig) -> None:
    """Run the command with a configuration."""
    with one_line_errors():
        show_results(*evaluate(cfg))


def main(cfg: DictConfig | None = None) -> None:
    """Run the command."""
    sys.argv = readable(sys.argv, "evaluate")
    command(cfg)


if __name__ == "__main__":
    main()
