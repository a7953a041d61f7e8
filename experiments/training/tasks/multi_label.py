"""The task of any number of classes for each example."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MultilabelAUROC, MultilabelAveragePrecision
from torchmetrics.utilities import dim_zero_cat

from experiments.data.wrappers import labels
from experiments.training.tasks.class_weights import ClassWeights, prepared, weights_of
from experiments.training.tasks.task import Task, kind, named, ranks


class MultiLabel(Task):
    """Any number of classes for each example: binary cross-entropy, macro AUROC and macro average precision.

    Targets are (B, num_classes), 1 where an example has the label and 0 where not. A class of which the examples have
    no positive or no negative has no AUROC and no average precision, and is left out of the mean.

    Args:
        num_classes: Number of labels.
        class_weights: Weight of each label's positives in the loss: a list, or weights by name, where the others are 1.
            "balanced": negatives / positives, from the training examples. ``None``: all are 1.
        monitor: ``"val_auroc"``, ``"val_average_precision"`` or ``"val_loss"``.
        mode: ``"max"`` or ``"min"``. ``None``: ``"min"`` for the loss, otherwise ``"max"``.

    Raises:
        ValueError: The weights do not fit the classes.
    """

    def __init__(
        self,
        num_classes: int,
        class_weights: ClassWeights = None,
        monitor: str = "val_auroc",
        mode: str | None = None,
    ) -> None:
        super().__init__(num_classes, monitor, mode)
        self.given, self.class_weights = class_weights, weights_of(class_weights, num_classes)

    def prepare(self, source: Any) -> dict[str, Any]:
        """Return the ``class_weights`` if they are by name or balanced.

        Raises:
            ValueError: A name is not a class, or the examples have no labels to count.
        """

        def balanced() -> np.ndarray:
            targets = labels(source.split("train"))
            if targets is None or targets.ndim != 2:
                raise ValueError("task.class_weights=balanced needs floating-point targets (B, classes)")
            weights: np.ndarray = (1 - targets).sum(0) / targets.sum(0)
            return weights

        return prepared(self.given, source.classes, balanced)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the binary cross-entropy in nats, the mean over examples and labels.

        Raises:
            ValueError: The targets are not of the logits' shape, or not from 0 to 1.
        """
        if target.shape != logits.shape:
            raise ValueError(
                f"task=multi_label needs targets (B, {self.num_classes}), but the data have {kind(target)}"
            )
        if not ((target >= 0) & (target <= 1)).all():
            raise ValueError("task=multi_label needs targets from 0 to 1, but the data have others")
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), pos_weight=weights)

    def metrics(self, prefix: str = "") -> MetricCollection:
        """Return ``auroc`` and ``average_precision``, each the mean over the labels."""
        return MetricCollection(
            {
                "auroc": _MacroAUROC(self.num_classes, average="none"),
                "average_precision": _MacroAveragePrecision(self.num_classes, average="none"),
            },
            prefix=prefix,
        )

    def details(self) -> dict[str, Metric]:
        """Return the ``class_average_precision``; NaN where a label is on none or on all of the examples."""
        return {"class_average_precision": _EachAveragePrecision(self.num_classes, average="none")}

    def rows(self, logits: Tensor, target: Tensor, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield ``truth_CLASS``, 0 or 1, and the probabilities ``p_CLASS`` of each example of a batch."""
        for true, p in zip((target >= 0.5).int(), self.probabilities(logits.float()), strict=True):
            yield {**named("truth", classes, true), **named("p", classes, p)}

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the sigmoid of each logit."""
        return logits.sigmoid()

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return the inverse of the sigmoid."""
        return probabilities.logit(eps=torch.finfo(probabilities.dtype).eps)


def _both(positive: Tensor) -> Tensor:
    """Return which labels have positives and negatives."""
    return positive.any(0) & ~positive.all(0)


class _MacroAUROC(MultilabelAUROC):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(ranks(preds), (target >= 0.5).long())

    def compute(self) -> Tensor:  # type: ignore[override]
        return super().compute()[_both(dim_zero_cat(self.target).bool())].mean()


class _EachAveragePrecision(MultilabelAveragePrecision):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(ranks(preds), (target >= 0.5).long())

    def compute(self) -> Tensor:  # type: ignore[override]
        return super().compute().where(_both(dim_zero_cat(self.target).bool()), torch.nan)


class _MacroAveragePrecision(_EachAveragePrecision):
    def compute(self) -> Tensor:  # type: ignore[override]
        return super().compute().nanmean()
