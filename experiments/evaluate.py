"""Test a trained network again: `python -m experiments.evaluate --help`."""

from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.checkpoint import find_checkpoint, load_network
from experiments.errors import one_line_errors
from experiments.results import report, write_json
from experiments.tables import show_results


def evaluate(cfg: DictConfig) -> tuple[dict[str, Any], Path]:
    """Test the network of a checkpoint on the test fold of its run.

    Args:
        cfg: the composed configuration, see conf/evaluate.yaml.

    Returns:
        The results, and the JSON file beside the checkpoint that they were written to.

    Raises:
        FileNotFoundError: there is no such checkpoint, or no such data.
        ValueError: the checkpoint or a value is no good.
    """
    file = find_checkpoint(cfg.ckpt)
    network, card = load_network(file)
    config = card["config"]
    changes = {key: value for key, value in cfg.data.items() if value is not None}
    dataset = instantiate(config["data"] | changes)
    factors = config["rescale"] if cfg.rescale is None else cfg.rescale
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    results = report(network, card, dataset, factors, file.parent, f"{file.stem}_")
    write_json(file.with_suffix(".json"), results)
    return results, file.with_suffix(".json")


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Run the command."""
    with one_line_errors():
        show_results(*evaluate(cfg))


if __name__ == "__main__":
    main()
