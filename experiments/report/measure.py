"""The numbers of a trained network on the test examples."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from experiments.data.source import Extras, Source
from experiments.training.task import Task, headline

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurement:
    """What `measure` gives; the attributes are those of `run.Results`."""

    monitor: str
    test: dict[str, float]
    test_clips: int
    rescaled: dict[str, float]
    moved: dict[str, float]
    by_class: dict[str, Any]


@torch.inference_mode()
def logits_and_targets(
    network: nn.Module, examples: Dataset[Any], batch_size: int, title: str
) -> tuple[Tensor, Tensor]:
    """Runs a network over a dataset, on the device that the network is on.

    Args:
        network: Maps (B, …) to (B, num_classes).
        examples: Dataset with items (input, target). Inputs may be of any size; what is too small for the network is
            zero-padded to its least size, with a word in the log.
        batch_size: Examples per batch.
        title: Stands beside the progress bar.

    Returns:
        Logits (N, num_classes) and targets (N, …), in the order of the examples, on the CPU.
    """
    network.eval()
    device, least = next(network.parameters()).device, getattr(network, "min_size", 1)
    batches = DataLoader(examples, batch_size, collate_fn=_of_one_size)
    bar = track(batches, title, transient=True, disable=not Console().is_terminal)
    pairs, small = [], 0
    for x, target in (batch for batches in bar for batch in batches):
        if min(x.shape[2:], default=least) < least:
            x, small = _enlarged(x, least), small + len(x)
        pairs.append((network(x.to(device)).cpu(), target))
    if small:
        log.warning("%s: %d inputs are zero-padded to %d, the least size of the network", title, small, least)
    logits = torch.cat([logits for logits, _ in pairs])
    if not logits.isfinite().all():
        raise ValueError("the network gives NaN or infinite numbers, which are no result")
    return logits, torch.cat([target for _, target in pairs])


def _of_one_size(examples: list[tuple[Tensor, Any]]) -> list[Any]:
    """Makes batches of examples that follow each other and are of one size."""
    return [default_collate(list(group)) for _, group in groupby(examples, lambda example: example[0].shape)]


def _enlarged(x: Tensor, least: int) -> Tensor:
    spare = [max(0, least - n) for n in reversed(x.shape[2:])]
    return F.pad(x, [pad for n in spare for pad in (n // 2, n - n // 2)])


def of_recordings(
    task: Task, logits: Tensor, target: Tensor, recordings: Sequence[int] | None
) -> tuple[Tensor, Tensor]:
    """Judges recordings as wholes, by the mean of their windows' probabilities.

    Args:
        task: Gives the probabilities.
        logits: Of every window, (N, num_classes).
        target: Of every window, (N, …), the same for all of a recording.
        recordings: The recording of every window; None: every window is judged by itself.

    Returns:
        Logits and targets of the recordings, in the order of their numbers.

    Example:
        >>> from experiments.training.task import MultiClass
        >>> halves = torch.tensor([[0.5, 0.5], [0.1, 0.9], [0.7, 0.3]]).log()
        >>> logits, target = of_recordings(MultiClass(2), halves, torch.tensor([1, 1, 0]), [5, 5, 8])
        >>> logits.exp(), target
        (tensor([[0.3000, 0.7000],
                [0.7000, 0.3000]]), tensor([1, 0]))
    """
    if recordings is None:
        return logits, target
    _, first, window = np.unique(recordings, return_index=True, return_inverse=True)
    probabilities = task.probabilities(logits.double())
    sums = probabilities.new_zeros(len(first), logits.shape[1]).index_add(0, torch.from_numpy(window), probabilities)
    means = sums / torch.from_numpy(np.bincount(window))[:, None]
    return task.logits(means).to(logits.dtype), target[torch.from_numpy(first)]


def scores(task: Task, logits: Tensor, target: Tensor) -> dict[str, float]:
    """Gives the metrics of a task, and the ``loss``."""
    metrics = task.metrics()
    for metric in metrics.values(copy_state=False):
        metric.distributed_available_fn = lambda: False  # one process tests; it would wait for the others
    metrics.update(logits, target)
    values = {name: value.item() for name, value in metrics.compute().items()}
    return {**values, "loss": task.loss(logits, target).item()}


def distance(logits: Tensor, others: Tensor) -> float:
    """Gives how far logits (N, num_classes) move, relative to how far they are from each other.

    The mean over the classes, of which softmax knows nothing, is taken out first; 0 is no change, √2 as much as between
    logits that have nothing in common.

    Example:
        >>> distance(torch.tensor([[0.0, 2.0]]), torch.tensor([[5.0, 5.0]]))
        1.0
    """
    centred, moved = (x - x.mean(1, keepdim=True) for x in (logits, others))
    return ((moved - centred).norm() / centred.norm().clamp(min=1e-12)).item()


def measure(network: nn.Module, task: Task, source: Source, batch_size: int, factors: Sequence[float]) -> Measurement:
    """Tests a network on a source's test examples, and again with its inputs rescaled.

    Args:
        network: Maps (B, …) to (B, num_classes).
        task: Gives the metrics.
        source: Gives the examples.
        batch_size: Examples per batch.
        factors: Factors of the rescaling.

    Raises:
        ValueError: A factor is out of range, or the targets are not of the task's kind.
    """
    of = Extras.of(source).recordings
    recordings = of("test") if of else None
    logits, target = logits_and_targets(network, source.split("test"), batch_size, "Testing")
    logits, target = of_recordings(task, logits, target, recordings)
    test = scores(task, logits, target)
    monitor = headline(task.monitor, [name for name in test if name != "loss"])

    rescaled, moved = {}, {}
    for factor in factors:
        title = f"Testing, {source.quantity} {factor:g}"
        windows = logits_and_targets(network, source.rescaled("test", factor), batch_size, title)
        others, _ = of_recordings(task, *windows, recordings)
        rescaled[f"{factor:g}"] = scores(task, others, target)[monitor]
        moved[f"{factor:g}"] = distance(logits, others)

    return Measurement(
        monitor=monitor,
        test=test,
        test_clips=len(target),
        rescaled=rescaled,
        moved=moved,
        by_class=task.by_class(logits, target),
    )
