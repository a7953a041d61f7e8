"""Tests a trained network again: `python -m experiments.evaluate --help`."""

import logging
import re
import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from experiments.data.relabel import Relabelled
from experiments.data.source import Extras, checked, checked_factors
from experiments.errors import one_line_errors
from experiments.report.results import draw, report
from experiments.report.tables import show_results
from experiments.run import Results, find_checkpoint, load_network
from experiments.training.place import as_run, place
from experiments.trust import as_list, build

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig) -> tuple[Results, Path]:
    """Tests the network of a checkpoint on the test fold of its run, or on other data with the same classes.

    Args:
        cfg: The composed configuration, see conf/evaluate.yaml.

    Returns:
        The results, and the JSON file beside the checkpoint that they were written to.

    Raises:
        FileNotFoundError: There is no such checkpoint, or no such data.
        ValueError: The checkpoint or a value is no good.
    """
    file = find_checkpoint(cfg.ckpt)
    if file.suffix == ".json":
        raise ValueError(f"{file} would be overwritten by its own results; give it another suffix")
    trust = as_list(cfg.trust)
    network, card = load_network(file, trust)
    changes: Any = OmegaConf.to_container(cfg.data)
    before = card.config["data"]
    source = Relabelled(checked(build(before | changes, trust)), card.classes)
    if "root" not in changes and changes.get("test_fold", before.get("test_fold")) != before.get("test_fold"):
        log.warning("the network was trained or validated on fold %s: it knows these examples", changes["test_fold"])
    task = card.task(trust)
    factors = next(f for f in (cfg.rescale, card.config["rescale"], Extras.of(source).test_factors) if f is not None)
    checked_factors(source, factors)
    results = report(place(network, as_run(cfg.trainer, card)), card, task, source, factors)
    results.save(file.with_suffix(".json"))
    draw(results, source.quantity, file.parent, f"{file.stem}_")
    return results, file.with_suffix(".json")


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="evaluate")
def command(cfg: DictConfig) -> None:
    """Runs the command with a configuration."""
    with one_line_errors():
        show_results(*evaluate(cfg))


def main(cfg: DictConfig | None = None) -> None:
    """Runs the command."""
    # Any key of the data may be given; Hydra would ask for a plus before those that conf/evaluate.yaml does not have.
    sys.argv = [re.sub(r"^data\.", "++data.", argument) for argument in sys.argv]
    command(cfg)


if __name__ == "__main__":
    main()
