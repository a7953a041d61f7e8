"""Publishes the networks of runs, as their ``save_pretrained`` does: `python -m experiments.report.weights RUN …`.

The files that it writes are enough for `experiments.predict`, `experiments.evaluate` and `experiments.demo`, and
contain no path of this machine. ``make weights`` trains what is in pretrained/, and then calls this.
"""

import argparse
from pathlib import Path
from typing import Any

from experiments.card import Card, load_network
from experiments.data.inputs import Image, Waveform
from experiments.data.source import checked
from experiments.errors import one_line_errors
from experiments.networks import Own
from experiments.results import Results
from experiments.run import Run
from experiments.training.tasks.task import shown
from experiments.trust import build
from wavenets.models.pretrained import WEIGHTS

# The part of a run's configuration that is published, without the places of the data and the devices.
PUBLISHED = (
    *("name", "seed", "batch_size", "fraction", "rescale", "wavelet_loss"),
    *("model", "data", "augment", "task", "optimizer", "scheduler", "trainer"),
)
PLACES = "root", "metadata", "cache_dir"  # keys of the data that are paths
TRAINER = {"max_epochs", "gradient_clip_val", "accelerator", "precision"}


def publish(run: Run, out: Path) -> Path:
    """Write the best network of a run, which has been tested, with its card.

    Args:
        run: The run.
        out: Parent of the folder that is written, which has the name of the run.

    Raises:
        FileNotFoundError: The run is not finished, or its data are missing.
        ValueError: Its network is not one of ``wavenets.models``, nor a ``LogMelCNN``.
    """
    if not run.results.is_file():
        raise FileNotFoundError(f"{run.results} not found: {run.folder} is not a finished run of experiments.train")
    network, card = load_network(run.trained)
    if not isinstance(network, Own):
        raise ValueError(
            f"{type(network).__name__} in {run.trained} is neither a Network of wavenets.models nor a LogMelCNN"
        )
    network.save_pretrained(out / run.folder.name, about(network, card, Results.load(run.results)))
    return out / run.folder.name


def about(network: Own, card: Card, results: Results) -> dict[str, Any]:
    """Return what is published of a network: its card, its inputs, and its results."""
    source = checked(build(card.config["data"]))
    x = source.split("test")[0][0]
    config = {key: card.config[key] for key in PUBLISHED if key in card.config}
    config["data"] = {key: value for key, value in config["data"].items() if key not in PLACES}
    config["trainer"] = {key: value for key, value in config["trainer"].items() if key in TRAINER}
    folds = source.folds
    return card.to_dict() | {
        "config": config,
        "input_shape": list(x.shape),
        "normalisation": "waveforms within [-1, 1]" if isinstance(card.input, Waveform) else _of_images(card),
        "divided_by_root_mean_square": network.normalize,  # by the network itself
        "test": results.test | {"examples": results.test_examples, "folds": list(folds["test"]) if folds else None},
        "transformed": {results.transformation: results.transformed},
    }


def _of_images(card: Card) -> str:
    """Return the images that the network of ``Network.from_pretrained`` takes: there, nothing else normalises them."""
    pixels = "pixels within [0, 1]"
    if isinstance(card.input, Image) and card.input.mean is not None:
        return f"{pixels}, minus {list(card.input.mean)}, divided by {list(card.input.std or ())}"
    return pixels


def main() -> None:
    """Run the command."""
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
