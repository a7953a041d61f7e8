"""The numbers of a trained network on the test fold."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix

from experiments.loading import SplitDataset


@torch.inference_mode()
def logits_and_labels(network: nn.Module, clips: Dataset[Any], batch_size: int, title: str) -> tuple[Tensor, Tensor]:
    """Run a network over a dataset, on the device that the network is on.

    Args:
        network: maps (B, …) to (B, num_classes).
        clips: dataset with items (input, label).
        batch_size: clips per batch.
        title: stands beside the progress bar.

    Returns:
        Logits (N, num_classes) and labels (N,), on the CPU.
    """
    network.eval()
    device = next(network.parameters()).device
    batches = DataLoader(clips, batch_size)
    bar = track(batches, title, transient=True, disable=not Console().is_terminal)
    pairs = [(network(x.to(device)).cpu(), label) for x, label in bar]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([labels for _, labels in pairs])


def measure(network: nn.Module, dataset: SplitDataset, batch_size: int, factors: Sequence[float]) -> dict[str, Any]:
    """Test a network on a dataset's test split, and again with its inputs rescaled.

    Args:
        network: maps (B, …) to (B, num_classes).
        dataset: gives the split.
        batch_size: clips per batch.
        factors: of the rescaling.

    Returns:
        `test_accuracy`, `test_loss`, `test_clips`, `rescaled` (factor → accuracy), `confusion` (rows: truth) and
        `classes`, ready for JSON.

    Raises:
        ValueError: a factor is out of range.
    """
    clips, num_classes = dataset.split("test"), len(dataset.classes)
    logits, labels = logits_and_labels(network, clips, batch_size, "Testing")

    def accuracy(logits: Tensor) -> float:
        return multiclass_accuracy(logits, labels, num_classes, average="micro").item()

    def accuracy_at(factor: float) -> float:
        rescaled = dataset.rescaled("test", factor)
        return accuracy(logits_and_labels(network, rescaled, batch_size, f"Testing, rescaled by {factor:g}")[0])

    return {
        "test_accuracy": accuracy(logits),
        "test_loss": F.cross_entropy(logits, labels).item(),
        "test_clips": len(labels),
        "rescaled": {f"{factor:g}": accuracy_at(factor) for factor in factors},
        "confusion": multiclass_confusion_matrix(logits, labels, num_classes).tolist(),
        "classes": list(dataset.classes),
    }
