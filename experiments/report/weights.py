"""Publishes the networks of runs, as ``Network.save_pretrained`` does: `python -m experiments.report.weights RUN …`.

What it writes of a run is enough for `experiments.predict`, `experiments.evaluate` and `experiments.demo`, and names no
place on this machine. ``make weights`` trains what is in pretrained/, and then calls this.
"""

import argparse
from pathlib import Path
from typing import Any

from experiments.data.source import Extras, checked
from experiments.errors import one_line_errors
from experiments.run import Card, Results, Run, load_network
from experiments.training.task import shown
from experiments.trust import build
from wavenets.models import Network
from wavenets.models.pretrained import WEIGHTS

# What is told of a run's configuration. Elsewhere the data lie elsewhere, and other devices are used.
TOLD = (
    *("name", "seed", "batch_size", "fraction", "rescale", "wavelet_loss"),
    *("model", "data", "augment", "task", "optimizer", "scheduler", "trainer"),
)
PLACES = "root", "metadata", "cache_dir"  # of the data
TRAINER = {"max_epochs", "gradient_clip_val", "accelerator", "precision"}


def publish(run: Run, out: Path) -> Path:
    """Writes the best network of a run, which has been tested, with all that its card is to say.

    Args:
        run: The run.
        out: Folder of the folder that is written, whose name is the run's.

    Raises:
        FileNotFoundError: The run is not finished, or its data are not there.
        ValueError: Its network is none of ``wavenets.models``.
    """
    if not run.results.is_file():
        raise FileNotFoundError(f"{run.results} not found: {run.folder} is no finished run of experiments.train")
    network, card = load_network(run.trained)
    if not isinstance(network, Network):
        raise ValueError(f"{type(network).__name__} in {run.trained} is no Network of wavenets.models")
    network.save_pretrained(out / run.folder.name, about(network, card, Results.load(run.results)))
    return out / run.folder.name


def about(network: Network, card: Card, results: Results) -> dict[str, Any]:
    """Gives what there is to tell of a network: its card, its inputs, and how well it does on them."""
    source = checked(build(card.config["data"]))
    x, _ = source.split("test")[0]
    config = {key: card.config[key] for key in TOLD if key in card.config}
    config["data"] = {key: value for key, value in config["data"].items() if key not in PLACES}
    config["trainer"] = {key: value for key, value in config["trainer"].items() if key in TRAINER}
    folds = Extras.of(source).folds
    return card.to_dict() | {
        "config": config,
        "input_shape": list(x.shape),
        "normalisation": "waveforms within [-1, 1]" if card.sample_rate else "pixels within [0, 1]",
        "divided_by_root_mean_square": network.normalize,  # by the network itself
        "test": results.test | {"examples": results.test_clips, "folds": list(folds["test"]) if folds else None},
        "rescaled": {results.quantity: results.rescaled},
    }


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument("--out", type=Path, default=Path("pretrained"), help="folder of the folders that are written")
    options = parser.parse_args()
    with one_line_errors():
        for folder in options.runs:
            written, results = publish(Run(folder), options.out), Results.load(Run(folder).results)
            size = (written / WEIGHTS).stat().st_size / 1e6
            metric = f"test {results.monitor.replace('_', ' ')} {shown(results.monitor, results.test[results.monitor])}"
            print(f"{written}: {size:.2f} MB, {results.parameters:,} parameters, {metric}")


if __name__ == "__main__":
    main()
