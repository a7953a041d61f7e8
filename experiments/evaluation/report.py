"""The results of a trained network, and their pictures."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from experiments.card import Card
from experiments.data.inputs import Image, Waveform
from experiments.data.source import Source
from experiments.data.splits import in_order
from experiments.data.transformation import named
from experiments.evaluation.measure import Case, Measurement, measure
from experiments.report import maps, plots
from experiments.results import Results
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.segmentation import Segmentation
from experiments.training.tasks.task import Task


def report(
    network: nn.Module, card: Card, task: Task, source: Source, factors: Sequence[float], predictions: Path
) -> tuple[Results, Measurement]:
    """Test a trained network.

    Args:
        network: The network.
        card: The card of its checkpoint.
        task: Has the metrics.
        source: Has the test examples.
        factors: Amounts of the source's transformation to test at as well.
        predictions: CSV file to write, with a row for each test example.
    """
    measured = measure(network, task, source, card.config["batch_size"], factors, predictions)
    results = Results(
        name=card.config["name"],
        seed=card.config["seed"],
        monitor=measured.monitor,
        classes=[str(name) for name in source.classes],
        test=measured.test,
        val=card.validation,
        test_examples=measured.test_examples,
        transformed=measured.transformed,
        moved=measured.moved,
        transformation=source.transformation.name if source.transformation else "",
        test_fold=source.folds["test"][0] if source.folds else None,
        folds=in_order(fold for stage in source.folds.values() for fold in stage),
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        best_epoch=card.epoch,
        details=measured.outcome.details,
    )
    return results, measured


def draw(results: Results, measured: Measurement, task: Task, source: Source, folder: Path, prefix: str = "") -> None:
    """Draw the results: what is reported class by class, examples of maps, and the metric against the transformation.

    Args:
        results: The results.
        measured: The measurement that they are made of.
        task: The task.
        source: Has the names of the test examples.
        folder: Folder of confusion.png, classes.png, overlays.png, values.png and transformed.png, of which each task
            has some.
        prefix: Prefix of their names.
    """
    if confusion := results.details.get("confusion"):
        plots.confusion(folder / f"{prefix}confusion.png", confusion, results.classes, _counted(task, source))
    if precision := results.details.get("class_average_precision"):
        plots.by_class(folder / f"{prefix}classes.png", precision, results.classes)
    if measured.cases and measured.cases[0].target.ndim == 2:
        files = source.files("test") or range(measured.test_examples)
        shown = [
            _case(case, task, str(getattr(files[case.item], "name", f"test example {case.item}")))
            for case in measured.cases
        ]
        maps.overlays(folder / f"{prefix}overlays.png", shown, results.classes)
    outcome = measured.outcome
    if isinstance(task, Regression) and outcome.logits is not None and outcome.target is not None:
        values = task.values(outcome.logits)
        true = outcome.target.view(len(values), -1)
        maps.scatter(folder / f"{prefix}values.png", values.numpy(), true.numpy(), results.classes, task.units)
    if results.transformed:
        points = {float(factor): value for factor, value in results.transformed.items()}
        chance = 1 / len(results.classes) if results.monitor == "accuracy" else None
        file = folder / f"{prefix}transformed.png"
        plots.transformed(file, points, results.monitor, chance, named(results.transformation))


def _counted(task: Task, source: Source) -> str:
    """Return what the confusion matrix of a task counts."""
    names = {Waveform: ("clips", "samples"), Image: ("images", "pixels")}
    example, position = names.get(type(source.input), ("examples", "positions"))
    return position if isinstance(task, Segmentation) else example


def _case(case: Case, task: Task, name: str) -> maps.Case:
    prediction = task.probabilities(case.logits[None])[0].argmax(0)
    return maps.Case(name, case.input.numpy(), case.target.numpy(), prediction.numpy(), case.score)
