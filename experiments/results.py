"""What is left of a run: its numbers as JSON and its pictures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from experiments import plots
from experiments.loading import SplitDataset
from experiments.measure import measure


def report(
    network: nn.Module,
    card: dict[str, Any],
    dataset: SplitDataset,
    factors: Sequence[float],
    folder: Path,
    prefix: str = "",
) -> dict[str, Any]:
    """Test a trained network and draw how it did.

    Args:
        network: the network.
        card: of its checkpoint.
        dataset: gives the test split.
        factors: test on inputs rescaled by these as well.
        folder: where confusion.png and rescaled.png go.
        prefix: stands before their names.

    Returns:
        What `measure` gives, and what identifies the run.
    """
    config = card["config"]
    folds = getattr(dataset, "folds", {})
    results = {
        "name": config["name"],
        "seed": config["seed"],
        "test_fold": folds["test"][0] if folds else None,
        "folds": sorted(fold for stage in folds.values() for fold in stage),
        "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "best_epoch": card["epoch"],
        "val_accuracy": card["val_accuracy"],
        **measure(network, dataset, config["batch_size"], factors),
    }
    plots.confusion(folder / f"{prefix}confusion.png", results["confusion"], results["classes"])
    if factors:
        quantity = "playback speed" if card["sample_rate"] else "size of the test images"
        accuracies = {float(factor): accuracy for factor, accuracy in results["rescaled"].items()}
        plots.rescaled(folder / f"{prefix}rescaled.png", accuracies, len(results["classes"]), quantity)
    return results


def write_json(file: Path, results: dict[str, Any]) -> None:
    """Write results, whole or not at all."""
    unfinished = file.with_suffix(".partial")
    unfinished.write_text(json.dumps(results, indent=2) + "\n")
    unfinished.replace(file)
