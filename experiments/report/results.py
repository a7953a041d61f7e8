"""What a trained network came to: the numbers of a run, and their pictures."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import nn

from experiments.data.folds import in_order
from experiments.data.source import Extras, Source
from experiments.report import plots
from experiments.report.measure import measure
from experiments.run import Card, Results
from experiments.training.task import Task


def report(network: nn.Module, card: Card, task: Task, source: Source, factors: Sequence[float]) -> Results:
    """Tests a trained network.

    Args:
        network: The network.
        card: The card of its checkpoint.
        task: Gives the metrics.
        source: Gives the test examples.
        factors: Test on inputs rescaled by these as well.
    """
    config, folds = card.config, Extras.of(source).folds
    measured = asdict(measure(network, task, source, config["batch_size"], factors))
    return Results(
        name=config["name"],
        seed=config["seed"],
        quantity=str(source.quantity),
        classes=[str(name) for name in source.classes],
        val=card.validation,
        test_fold=folds["test"][0] if folds else None,
        folds=in_order(fold for stage in folds.values() for fold in stage),
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        best_epoch=card.epoch,
        **measured.pop("by_class"),
        **measured,
    )


def draw(results: Results, quantity: str, folder: Path, prefix: str = "") -> None:
    """Draws how a network did: what is told class by class, and the metric against the rescaling.

    Args:
        results: Its results.
        quantity: What the rescaling changes.
        folder: Where confusion.png or classes.png, and rescaled.png go.
        prefix: Stands before their names.
    """
    if results.confusion is not None:
        plots.confusion(folder / f"{prefix}confusion.png", results.confusion, results.classes)
    if results.class_average_precision is not None:
        plots.by_class(folder / f"{prefix}classes.png", results.class_average_precision, results.classes)
    if results.rescaled:
        values = {float(factor): value for factor, value in results.rescaled.items()}
        chance = 1 / len(results.classes) if results.monitor == "accuracy" else None
        plots.rescaled(folder / f"{prefix}rescaled.png", values, results.monitor, chance, quantity)
