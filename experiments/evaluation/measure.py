"""The numbers of a trained network on the test examples."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate
from torchmetrics import MeanMetric

from experiments.data.source import Source, unpacked
from experiments.evaluation.device import NOT_FINITE
from experiments.evaluation.per_example import writing
from experiments.evaluation.recordings import of_recordings
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.task import Task, headline, of_one_process

log = logging.getLogger(__name__)

POSITIONS = 2**22  # the features of a network take a hundred times the memory of its input


class Case(NamedTuple):
    """A test example to look at: its input, its target, the network's output, and how good that is."""

    item: int
    input: Tensor
    target: Tensor
    logits: Tensor
    score: float


@dataclass(frozen=True)
class Outcome:
    """What a network does on a dataset.

    Attributes:
        metrics: The metrics of the task, and the ``loss``.
        details: What the task reports class by class.
        examples: Number of examples, or of recordings that were tested as wholes.
        logits: Outputs (N, num_outputs). ``None``: they are maps, which are not kept.
        target: Targets (N, …) beside ``logits``.
        scores: How good each map is, in the order of the examples.
    """

    metrics: dict[str, float]
    details: dict[str, Any]
    examples: int
    logits: Tensor | None = None
    target: Tensor | None = None
    scores: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Measurement:
    """What `measure` returns; the attributes are those of `results.Results`, but for ``outcome`` and ``cases``."""

    monitor: str
    test: dict[str, float]
    test_examples: int
    transformed: dict[str, float]
    moved: dict[str, float]
    outcome: Outcome
    cases: list[Case]


@torch.inference_mode()
def outputs(
    network: nn.Module, examples: Dataset[Any], batch_size: int, title: str = ""
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Run a network over a dataset, on the device of the network.

    Args:
        network: Maps (B, …) to (B, num_outputs) or (B, num_outputs, …).
        examples: Dataset with items (input, target), or (input, target, where). Inputs may be of any size. What is
            smaller than the network's least size is zero-padded, with a warning; a map is cropped again.
        batch_size: Examples in a batch, at most: see `_batches`.
        title: Text beside the progress bar.

    Yields:
        Inputs, outputs and targets of a batch, in the order of the examples.

    Raises:
        ValueError: An output is NaN or infinite.
    """
    network.eval()
    device, least = next(network.parameters()).device, getattr(network, "min_size", 1)
    loader = DataLoader(examples, None)  # one by one
    bar = track(loader, title, transient=True, disable=not (title and Console().is_terminal))
    small = 0
    for batch in _batches(bar, batch_size):
        x, target = (part.to(device) for part in unpacked(batch))
        small += len(x) * any(n < least for n in x.shape[2:])
        logits = padded(network, x)
        if not logits.isfinite().all():
            raise ValueError(NOT_FINITE)
        yield x, logits, target
    if small:
        log.warning("%s: %d inputs are zero-padded to %d, the least size of the network", title, small, least)


def _batches(examples: Iterable[tuple[Any, ...]], batch_size: int) -> Iterator[Any]:
    """Make batches of examples that follow each other and have one size, of `POSITIONS` at most if of several."""
    for shape, group in groupby(examples, lambda example: tuple(example[0].shape)):
        size = max(1, min(batch_size, POSITIONS // prod(shape[1:])))
        while batch := list(islice(group, size)):
            yield default_collate(batch)


def padded(network: nn.Module, x: Tensor) -> Tensor:
    """Return the outputs for a batch of inputs of any size.

    Those that are smaller than the network's least size are zero-padded, and maps of them are cropped again.
    """
    least = getattr(network, "min_size", 1)
    larger = enlarged(x, least)
    y: Tensor = network(larger)
    if larger is x or y.ndim == 2:
        return y
    for dim, n in enumerate(x.shape[2:], 2):
        y = y.narrow(dim, max(0, least - n) // 2, n)
    return y


def enlarged(x: Tensor, least: int) -> Tensor:
    """Return a batch of inputs (B, C, …), zero-padded around their centre to a least size."""
    spare = [max(0, least - n) for n in reversed(x.shape[2:])]
    return F.pad(x, [pad for n in spare for pad in (n // 2, n - n // 2)]) if any(spare) else x


def outcome_of(
    network: nn.Module,
    task: Task,
    examples: Dataset[Any],
    batch_size: int,
    title: str = "",
    recordings: Sequence[int] | None = None,
    write: Callable[[Tensor, Tensor], None] | None = None,
) -> Outcome:
    """Test a network on a dataset. Metrics are updated batch by batch, so that no maps are held in memory.

    Args:
        network: Maps (B, …) to the outputs of the task.
        task: Has the metrics.
        examples: Dataset with items (input, target), or (input, target, where).
        batch_size: Examples in a batch.
        title: Text beside the progress bar.
        recordings: The recording of each example, see `of_recordings`.
        write: Function that takes the outputs and targets of each batch, in the order of the examples.
    """
    device = next(network.parameters()).device
    metrics, loss = task.metrics().to(device), MeanMetric().to(device)
    details = nn.ModuleDict(task.details()).to(device)
    for part in metrics, loss, details:
        of_one_process(part)
    kept: list[tuple[Tensor, Tensor]] = []
    scores: list[float] = []

    def update(logits: Tensor, target: Tensor) -> None:
        loss.update(task.loss(logits, target), task.weight(target))  # checks the targets
        metrics.update(logits, target)
        for metric in details.values():
            metric.update(logits, target)  # type: ignore[operator]
        if (good := task.scores(logits, target)) is not None:
            scores.extend(good.tolist())
        if write:
            write(logits, target)

    count = 0
    for _, logits, target in outputs(network, examples, batch_size, title):
        if logits.ndim == 2:
            kept.append((logits, target))
        else:
            update(logits, target)
            count += len(logits)
    kept_logits: Tensor | None = None
    kept_target: Tensor | None = None
    if kept:
        logits, target = (torch.cat(parts) for parts in zip(*kept, strict=True))
        logits, target = of_recordings(task, logits, target, recordings)
        update(logits, target)
        kept_logits, kept_target, count = logits.cpu(), target.cpu(), len(logits)
    values = {name: value.item() for name, value in {**metrics.compute(), "loss": loss.compute()}.items()}
    lists = {name: torch.atleast_1d(metric.compute()).tolist() for name, metric in details.items()}  # type: ignore[operator]
    return Outcome(values, lists, count, kept_logits, kept_target, scores)


def distance(logits: Tensor, others: Tensor) -> float:
    """Return how far logits (N, num_classes) move, relative to how far they are from each other.

    The mean over the classes, which softmax ignores, is taken out first; 0 means no change, and √2 the distance of
    logits that have nothing in common.

    Example:
        >>> distance(torch.tensor([[0.0, 2.0]]), torch.tensor([[5.0, 5.0]]))
        1.0
    """
    centred, moved = (x - x.mean(1, keepdim=True) for x in (logits, others))
    return ((moved - centred).norm() / centred.norm().clamp(min=1e-12)).item()


def measure(
    network: nn.Module,
    task: Task,
    source: Source,
    batch_size: int,
    factors: Sequence[float],
    predictions: Path | None = None,
) -> Measurement:
    """Test a network on a source's test examples, and again on the transformed examples.

    Args:
        network: Maps (B, …) to the outputs of the task.
        task: Has the metrics.
        source: Has the examples.
        batch_size: Examples in a batch.
        factors: Amounts of the source's transformation.
        predictions: CSV file to write, with a row for each test example.

    Raises:
        ValueError: An amount is out of range, or the targets are not of the task's kind.
    """
    recordings, examples = source.recordings("test"), source.split("test")
    with writing(predictions, task, source) as write:
        outcome = outcome_of(network, task, examples, batch_size, "Testing", recordings, write)
    monitor = headline(task.monitor, [name for name in outcome.metrics if name != "loss"])
    transformed, moved = {}, {}
    for factor in factors:
        assert source.transformation is not None  # its factors have been checked
        title = f"Testing, {source.transformation.name} {source.transformation.label(factor)}"
        other = outcome_of(network, task, source.transformed("test", factor), batch_size, title, recordings)
        transformed[f"{factor:g}"] = other.metrics[monitor]
        if outcome.logits is not None and other.logits is not None and isinstance(task, MultiClass):
            moved[f"{factor:g}"] = distance(outcome.logits, other.logits)
    return Measurement(
        monitor,
        outcome.metrics,
        outcome.examples,
        transformed,
        moved,
        outcome,
        cases(network, examples, outcome.scores),
    )


def cases(network: nn.Module, examples: Any, scores: Sequence[float]) -> list[Case]:
    """Return the best, the median and the worst example."""
    order = sorted(range(len(scores)), key=lambda item: -scores[item])
    chosen = list(dict.fromkeys([order[0], order[len(order) // 2], order[-1]])) if order else []
    found = []
    for item in chosen:
        ((x, logits, target),) = outputs(network, [examples[item]], 1)  # type: ignore[arg-type]
        found.append(Case(item, x[0].cpu(), target[0].cpu(), logits[0].cpu(), scores[item]))
    return found
