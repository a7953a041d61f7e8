"""The numbers of a trained network on the test examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from experiments.data.source import Source
from experiments.training.task import Task, headline


@dataclass(frozen=True)
class Measurement:
    """What `measure` gives; the attributes are those of `run.Results`."""

    monitor: str
    test: dict[str, float]
    test_clips: int
    rescaled: dict[str, float]
    by_class: dict[str, Any]


@torch.inference_mode()
def logits_and_targets(
    network: nn.Module, examples: Dataset[Any], batch_size: int, title: str
) -> tuple[Tensor, Tensor]:
    """Runs a network over a dataset, on the device that the network is on.

    Args:
        network: Maps (B, …) to (B, num_classes).
        examples: Dataset with items (input, target).
        batch_size: Examples per batch.
        title: Stands beside the progress bar.

    Returns:
        Logits (N, num_classes) and targets (N, …), on the CPU.
    """
    network.eval()
    device = next(network.parameters()).device
    batches = DataLoader(examples, batch_size)
    bar = track(batches, title, transient=True, disable=not Console().is_terminal)
    pairs = [(network(x.to(device)).cpu(), target) for x, target in bar]
    logits = torch.cat([logits for logits, _ in pairs])
    if not logits.isfinite().all():
        raise ValueError("the network gives NaN or infinite numbers, which are no result")
    return logits, torch.cat([target for _, target in pairs])


def scores(task: Task, logits: Tensor, target: Tensor) -> dict[str, float]:
    """Gives the metrics of a task, and the ``loss``."""
    metrics = task.metrics()
    for metric in metrics.values(copy_state=False):
        metric.distributed_available_fn = lambda: False  # one process tests; it would wait for the others
    metrics.update(logits, target)
    values = {name: value.item() for name, value in metrics.compute().items()}
    return {**values, "loss": task.loss(logits, target).item()}


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
    logits, target = logits_and_targets(network, source.split("test"), batch_size, "Testing")
    test = scores(task, logits, target)
    monitor = headline(task.monitor, [name for name in test if name != "loss"])

    def rescaled(factor: float) -> float:
        title = f"Testing, rescaled by {factor:g}"
        return scores(task, *logits_and_targets(network, source.rescaled("test", factor), batch_size, title))[monitor]

    return Measurement(
        monitor=monitor,
        test=test,
        test_clips=len(target),
        rescaled={f"{factor:g}": rescaled(factor) for factor in factors},
        by_class=task.by_class(logits, target),
    )
