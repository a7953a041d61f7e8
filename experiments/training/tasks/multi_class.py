"""The task of one class for each example."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy, MulticlassConfusionMatrix
from torchmetrics.utilities import dim_zero_cat

from experiments.data.wrappers import labels
from experiments.training.tasks.class_weights import ClassWeights, of_counts, prepared, weights_of
from experiments.training.tasks.task import Task, kind, named, ranks


class MultiClass(Task):
    """One class for each example: cross-entropy and accuracy.

    Targets are labels (B,), whole numbers, or probabilities (B, num_classes) that sum to one (soft labels). The most
    probable class of these counts as the true one in the accuracy.

    Args:
        num_classes: Number of classes.
        label_smoothing: Share of a label that is spread over all classes.
        class_weights: Weight of each class in the loss: a list, or weights by name, where the others are 1.
            "balanced": n / (classes × count), from the training examples. ``None``: all weights are equal.
        monitor: ``"val_accuracy"``, ``"val_balanced_accuracy"`` or ``"val_loss"``; of two classes also ``"val_auroc"``.
        mode: ``"max"`` or ``"min"``. ``None``: ``"min"`` for the loss, otherwise ``"max"``.

    Raises:
        ValueError: There is one class, ``label_smoothing`` is not from 0 to 1, or the weights do not fit the classes.
    """

    def __init__(
        self,
        num_classes: int,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights = None,
        monitor: str = "val_accuracy",
        mode: str | None = None,
    ) -> None:
        super().__init__(num_classes, monitor, mode)
        if num_classes < 2:
            raise ValueError("the data have one class, and nothing to tell apart; numbers need task=regression")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"task.label_smoothing={label_smoothing} is not a number from 0 to 1")
        self.label_smoothing, self.given = label_smoothing, class_weights
        self.class_weights = weights_of(class_weights, num_classes)

    def prepare(self, source: Any) -> dict[str, Any]:
        """Return the ``class_weights`` if they are by name or balanced.

        Raises:
            ValueError: A name is not a class, or the examples have no labels to count.
        """

        def balanced() -> np.ndarray:
            targets = labels(source.split("train"))
            if targets is None:
                raise ValueError("task.class_weights=balanced needs labels to count, but the data have none")
            soft = targets.ndim == 2
            return of_counts(targets.sum(0) if soft else np.bincount(targets, minlength=self.num_classes))

        return prepared(self.given, source.classes, balanced)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy in nats, by class weights if there are any: Σ w · nll / Σ w over the examples.

        Raises:
            ValueError: The targets are neither labels nor probabilities, or the logits are maps.
        """
        if logits.ndim != 2:
            raise ValueError(
                f"task=multi_class needs logits (B, {self.num_classes}), but the model returns {tuple(logits.shape)}; "
                "maps are for task=segmentation"
            )
        soft = target.is_floating_point() and target.shape == logits.shape
        if soft and not torch.allclose(target.sum(1), target.new_ones(()), atol=1e-3):
            raise ValueError("the targets of the data do not sum to one; task=multi_label is for several labels each")
        if not soft and (target.is_floating_point() or target.ndim != 1):
            raise ValueError(
                f"task=multi_class needs labels (B,) or probabilities (B, {self.num_classes}), but the data have "
                f"{kind(target)}"
            )
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        target = target.to(logits.dtype) if soft else target.long()
        total = F.cross_entropy(logits, target, weights, label_smoothing=self.label_smoothing, reduction="sum")
        weight = self.weight(target)
        return total / weight.where(weight > 0, torch.ones_like(weight))  # 0, rather than NaN, if no example counts

    def weight(self, target: Tensor) -> Tensor:
        """Return the sum of the class weights of the examples; without weights, and of soft labels, their number."""
        if self.class_weights is None or target.is_floating_point():
            return super().weight(target)
        return self.class_weights.to(target.device)[target.long()].sum()

    def metrics(self, prefix: str = "") -> MetricCollection:
        """Return the ``accuracy``, and the ``balanced_accuracy``: the mean over classes that have examples.

        Of two classes also the ``auroc`` of the second, which is NaN if only one of them has examples.
        """
        metrics: dict[str, Metric | MetricCollection] = {
            "accuracy": _Accuracy(self.num_classes, average="micro"),
            "balanced_accuracy": _BalancedAccuracy(self.num_classes, average="none"),
            **({"auroc": _AUROC()} if self.num_classes == 2 else {}),
        }
        return MetricCollection(metrics, prefix=prefix)

    def details(self) -> dict[str, Metric]:
        """Return the ``confusion`` matrix of counts; rows are the truth, columns the prediction."""
        return {"confusion": _Confusion(self.num_classes)}

    def rows(self, logits: Tensor, target: Tensor, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield ``truth``, ``predicted`` and the probabilities ``p_CLASS`` of each example of a batch."""
        truth, predicted = _labels(target).tolist(), logits.argmax(1).tolist()
        for true, likeliest, p in zip(truth, predicted, self.probabilities(logits.float()), strict=True):
            yield {"truth": classes[true], "predicted": classes[likeliest], **named("p", classes, p)}


def _labels(target: Tensor) -> Tensor:
    return target.argmax(1) if target.is_floating_point() else target


class _Accuracy(MulticlassAccuracy):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds, _labels(target))


class _BalancedAccuracy(_Accuracy):
    def compute(self) -> Tensor:
        return super().compute()[self.tp + self.fn > 0].mean()  # type: ignore[operator]


class _AUROC(BinaryAUROC):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(ranks(preds[:, 1] - preds[:, 0]), _labels(target))

    def compute(self) -> Tensor:  # type: ignore[override]
        both = len(dim_zero_cat(self.target).unique()) == 2
        return super().compute() if both else torch.tensor(torch.nan, device=self.device)


class _Confusion(MulticlassConfusionMatrix):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds, _labels(target))
