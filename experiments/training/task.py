"""What a network is trained for: the loss, the metrics, what an output means. A file in conf/task/ names one."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MultilabelAUROC, MultilabelAveragePrecision
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.utilities import dim_zero_cat


class Task(Protocol):
    """What a network is trained for.

    Attributes:
        monitor: The validation metric by which the best network is chosen: ``"val_"`` and the name of a metric, or
            ``"val_loss"``.
        mode: ``"max"`` if more of it is better, ``"min"`` if less is.
    """

    monitor: str
    mode: str

    def loss(self, logits: Tensor, target: Tensor, /) -> Tensor:
        """Gives the mean loss of a batch.

        Args:
            logits: Outputs of the network, (B, num_classes).
            target: Targets of the data.

        Raises:
            ValueError: The targets are not of this task's kind.
        """

    def metrics(self, prefix: str = "", /) -> MetricCollection:
        """Gives metrics of (logits, target), by name; ``prefix`` stands before their names."""

    def probabilities(self, logits: Tensor, /) -> Tensor:
        """Gives the probability of each class, (B, num_classes)."""

    def logits(self, probabilities: Tensor, /) -> Tensor:
        """Gives logits that have these `probabilities`; only sets whose recordings are tested as wholes need it."""

    def by_class(self, logits: Tensor, target: Tensor, /) -> dict[str, Any]:
        """Gives what is told class by class, ready for JSON: ``confusion`` or ``class_average_precision``."""


def headline(monitor: str, names: Sequence[str]) -> str:
    """Gives the metric that a task is told by: the monitored one, or the first if the loss is monitored.

    Example:
        >>> headline("val_auroc", ["auroc", "average_precision"]), headline("val_loss", ["accuracy"])
        ('auroc', 'accuracy')
    """
    name = monitor.removeprefix("val_")
    return name if name in names else names[0]


def shown(name: str, value: float) -> str:
    """Gives a metric's value as people write it.

    Example:
        >>> shown("val_accuracy", 0.5), shown("val_loss", 0.5)
        ('50.0%', '0.500')
    """
    return f"{value:.1%}" if name.endswith("accuracy") else f"{value:.3f}"


class MultiClass:
    """One class per example: cross-entropy and accuracy.

    Targets are labels (B,), whole numbers, or probabilities (B, num_classes) that sum to one (soft labels); of these
    the likeliest class counts as the true one in the accuracy.

    Args:
        num_classes: Number of classes.
        label_smoothing: Share of a label that is spread over all classes.
        class_weights: Weight of each class in the loss; None: all alike.
        monitor: ``"val_accuracy"``, ``"val_balanced_accuracy"`` or ``"val_loss"``.
        mode: ``"max"``, or ``"min"`` for the loss.

    Raises:
        ValueError: The number of weights is not that of the classes.
    """

    def __init__(
        self,
        num_classes: int,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        monitor: str = "val_accuracy",
        mode: str = "max",
    ) -> None:
        self.num_classes, self.label_smoothing, self.monitor, self.mode = num_classes, label_smoothing, monitor, mode
        self.class_weights = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        if class_weights is not None and len(class_weights) != num_classes:
            raise ValueError(f"task.class_weights has {len(class_weights)} weights for {num_classes} classes")

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Gives the cross-entropy in nats.

        Raises:
            ValueError: The targets are neither labels nor probabilities.
        """
        soft = target.is_floating_point() and target.shape == logits.shape
        if soft and not torch.allclose(target.sum(1), target.new_ones(()), atol=1e-3):
            raise ValueError("the targets of the data do not sum to one; task=multi_label is for several labels each")
        if not soft and (target.is_floating_point() or target.ndim != 1):
            raise ValueError(
                f"task=multi_class wants labels (B,) or probabilities (B, {self.num_classes}); the data gives "
                f"{_kind(target)}"
            )
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        target = target.to(logits.dtype) if soft else target.long()
        return F.cross_entropy(logits, target, weights, label_smoothing=self.label_smoothing)

    def metrics(self, prefix: str = "") -> MetricCollection:
        """Gives the ``accuracy``, and the ``balanced_accuracy``: the mean over classes that there are examples of."""
        metrics: dict[str, Metric | MetricCollection] = {
            "accuracy": _Accuracy(self.num_classes, average="micro"),
            "balanced_accuracy": _BalancedAccuracy(self.num_classes, average="none"),
        }
        return MetricCollection(metrics, prefix=prefix)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Gives the softmax."""
        return logits.softmax(1)

    def logits(self, probabilities: Tensor) -> Tensor:
        """Gives the logarithms."""
        return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()

    def by_class(self, logits: Tensor, target: Tensor) -> dict[str, Any]:
        """Gives the ``confusion``: counts; rows are the truth, columns the prediction."""
        return {"confusion": multiclass_confusion_matrix(logits, _labels(target), self.num_classes).tolist()}


class MultiLabel:
    """Any number of classes per example: binary cross-entropy, macro AUROC and macro average precision.

    Targets are (B, num_classes), 1 where an example has the label and 0 where not. A class of which the examples have
    no positive or no negative has no AUROC and no average precision, and is left out of the mean.

    Args:
        num_classes: Number of labels.
        class_weights: Weight of each label's positives in the loss; None: all 1.
        monitor: ``"val_auroc"``, ``"val_average_precision"`` or ``"val_loss"``.
        mode: ``"max"``, or ``"min"`` for the loss.

    Raises:
        ValueError: The number of weights is not that of the classes.
    """

    def __init__(
        self,
        num_classes: int,
        class_weights: Sequence[float] | None = None,
        monitor: str = "val_auroc",
        mode: str = "max",
    ) -> None:
        self.num_classes, self.monitor, self.mode = num_classes, monitor, mode
        self.class_weights = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        if class_weights is not None and len(class_weights) != num_classes:
            raise ValueError(f"task.class_weights has {len(class_weights)} weights for {num_classes} classes")

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Gives the binary cross-entropy in nats, the mean over examples and labels.

        Raises:
            ValueError: The targets are not of the logits' shape, or not within 0 and 1.
        """
        if target.shape != logits.shape:
            raise ValueError(f"task=multi_label wants targets (B, {self.num_classes}); the data gives {_kind(target)}")
        if not ((target >= 0) & (target <= 1)).all():
            raise ValueError("task=multi_label wants targets within 0 and 1; the data gives others")
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), pos_weight=weights)

    def metrics(self, prefix: str = "") -> MetricCollection:
        """Gives ``auroc`` and ``average_precision``, each the mean over the labels."""
        return MetricCollection(
            {
                "auroc": _MacroAUROC(self.num_classes, average="none"),
                "average_precision": _MacroAveragePrecision(self.num_classes, average="none"),
            },
            prefix=prefix,
        )

    def probabilities(self, logits: Tensor) -> Tensor:
        """Gives the sigmoid of each logit."""
        return logits.sigmoid()

    def logits(self, probabilities: Tensor) -> Tensor:
        """Gives the inverse of the sigmoid."""
        return probabilities.logit(eps=torch.finfo(probabilities.dtype).eps)

    def by_class(self, logits: Tensor, target: Tensor) -> dict[str, Any]:
        """Gives the ``class_average_precision``; None where a label is on none or on all of the examples."""
        metric = _MacroAveragePrecision(self.num_classes, average="none")
        metric.update(logits, target)
        pairs = zip(metric.each(), _both(target >= 0.5), strict=True)
        return {"class_average_precision": [value.item() if known else None for value, known in pairs]}


def _kind(target: Tensor) -> str:
    return f"{str(target.dtype).removeprefix('torch.')} targets ({', '.join(['B', *map(str, target.shape[1:])])})"


def _labels(target: Tensor) -> Tensor:
    return target.argmax(1) if target.is_floating_point() else target


def _both(positive: Tensor) -> Tensor:
    """Which labels have positives and negatives."""
    return positive.any(0) & ~positive.all(0)


def _ranks(logits: Tensor) -> Tensor:
    """Numbers within 0 and 1 in the order of the logits, which is all that counts; a sigmoid would be 1 from 17 on."""
    x = logits.float() if logits.device.type == "mps" else logits.double()  # Apple's GPUs have no double precision
    return 0.5 + 0.5 * x / (1 + x.abs())


class _Accuracy(MulticlassAccuracy):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds, _labels(target))


class _BalancedAccuracy(_Accuracy):
    def compute(self) -> Tensor:
        return super().compute()[self.tp + self.fn > 0].mean()  # type: ignore[operator]


class _MacroAUROC(MultilabelAUROC):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(_ranks(preds), (target >= 0.5).long())

    def compute(self) -> Tensor:  # type: ignore[override]
        return super().compute()[_both(dim_zero_cat(self.target).bool())].mean()


class _MacroAveragePrecision(MultilabelAveragePrecision):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(_ranks(preds), (target >= 0.5).long())

    def each(self) -> Tensor:
        """The value of each label."""
        return super().compute()

    def compute(self) -> Tensor:  # type: ignore[override]
        return self.each()[_both(dim_zero_cat(self.target).bool())].mean()
