"""Tests a trained network again: `python -m experiments.evaluate --help`."""

from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig

from experiments.data.source import Extras, checked
from experiments.errors import one_line_errors
from experiments.report.results import draw, report
from experiments.report.tables import show_results
from experiments.run import Results, find_checkpoint, load_network
from experiments.training.task import Task
from experiments.trust import as_list, build


def evaluate(cfg: DictConfig) -> tuple[Results, Path]:
    """Tests the network of a checkpoint on the test fold of its run.

    Args:
        cfg: The composed configuration, see conf/evaluate.yaml.

    Returns:
        The results, and the JSON file beside the checkpoint that they were written to.

    Raises:
        FileNotFoundError: There is no such checkpoint, or no such data.
        ValueError: The checkpoint or a value is no good.
    """
    file = find_checkpoint(cfg.ckpt)
    trust = as_list(cfg.trust)
    network, card = load_network(file, trust)
    changes = {key: value for key, value in cfg.data.items() if value is not None}
    source = checked(build(card.config["data"] | changes, trust))
    task: Task = build(card.config["task"], trust, num_classes=len(card.classes))
    factors = next(f for f in (cfg.rescale, card.config["rescale"], Extras.of(source).test_factors) if f is not None)
    for factor in factors:
        source.check_factor(factor)
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    results = report(network, card, task, source, factors)
    results.save(file.with_suffix(".json"))
    draw(results, source.quantity, file.parent, f"{file.stem}_")
    return results, file.with_suffix(".json")


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Runs the command."""
    with one_line_errors():
        show_results(*evaluate(cfg))


if __name__ == "__main__":
    main()
