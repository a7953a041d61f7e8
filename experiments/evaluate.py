"""Tests a trained network again: `python -m experiments.evaluate --help`."""

from experiments.answers import CONF, answer, nearest

if __name__ == "__main__":
    answer("evaluate")  # help and mistyped keys, before the imports that take seconds

import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from torch import nn

from experiments.arguments import readable
from experiments.card import find_checkpoint, load_network
from experiments.data.source import checked, checked_factors
from experiments.data.wrappers import Relabelled
from experiments.errors import one_line_errors
from experiments.evaluation.device import as_run, place
from experiments.evaluation.report import draw, report
from experiments.evaluation.views import asked_views, on_views
from experiments.report.tables import show_results
from experiments.results import Results
from experiments.run import Run
from experiments.trust import as_list, build

log = logging.getLogger(__name__)


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
    try:
        source = Relabelled(checked(build(before | changes, trust)), card.classes)
    except ValueError as error:
        for key in changes:
            if f"unexpected keyword argument '{key}'" in str(error):
                question = nearest(f"data.{key}", [f"data.{name}" for name in before])
                raise ValueError(f"data.{key} is unknown; {question}") from None
        raise
    if "root" not in changes and changes.get("test_fold", before.get("test_fold")) != before.get("test_fold"):
        log.warning(
            "the network was trained or validated on fold %s: its results there are too good",
            changes["test_fold"],
        )
    task = card.task(trust)
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
