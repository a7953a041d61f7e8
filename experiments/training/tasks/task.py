"""The base class of tasks: the loss, the metrics, and the meaning of a network's output."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection


class Task:
    """What a network is trained for. A subclass defines `loss` and `metrics`; the rest has defaults.

    Args:
        num_classes: Number of classes of the data.
        monitor: Validation metric that chooses the best epoch: ``"val_"`` and the name of a metric, or ``"val_loss"``.
        mode: ``"max"`` if more of it is better, ``"min"`` if less is. ``None``: see `is_error`.

    Attributes:
        num_outputs: Number of the network's outputs, for each example or position.
    """

    def __init__(self, num_classes: int, monitor: str, mode: str | None = None) -> None:
        self.num_classes = self.num_outputs = num_classes
        self.monitor, self.mode = monitor, mode or ("min" if is_error(monitor) else "max")

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of a batch.

        Args:
            logits: Outputs of the network, (B, num_outputs) or (B, num_outputs, …).
            target: Targets of the data.

        Raises:
            ValueError: The targets are not of this task's kind.
        """
        raise NotImplementedError

    def weight(self, target: Tensor) -> Tensor:
        """Return how much the loss of a batch counts in the mean over batches: as many times as it has examples."""
        return target.new_tensor(len(target), dtype=torch.float32)

    def metrics(self, prefix: str = "") -> MetricCollection:
        """Return metrics of (logits, target) by name; ``prefix`` stands before their names."""
        raise NotImplementedError

    def training_metrics(self, prefix: str = "") -> MetricCollection:
        """Return the metrics that are computed of the training examples as well."""
        return self.metrics(prefix)

    def details(self) -> dict[str, Metric]:
        """Return metrics of (logits, target) whose values are lists, such as a ``confusion`` matrix."""
        return {}

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of each class, (B, num_classes) or (B, num_classes, …)."""
        return logits.softmax(1)

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return logits that have these `probabilities`."""
        return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()

    def scores(self, logits: Tensor, target: Tensor) -> Tensor | None:
        """Return how good each output of a batch is, (B,), to choose examples to look at. ``None``: there are none."""
        return None

    def rows(self, logits: Tensor, target: Tensor, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield what predictions.csv has of each example of a batch; a task that does not define it has the ``loss``.

        Args:
            logits: Outputs of the network.
            target: Targets of the data.
            classes: Names of the classes.
        """
        for one, true in zip(logits.split(1), target.split(1), strict=True):
            yield {"loss": self.loss(one, true).item()}

    def prepare(self, source: Any) -> Mapping[str, Any]:
        """Return arguments of the task that the training examples decide. They are kept in the configuration."""
        return {}


def headline(monitor: str, names: Sequence[str]) -> str:
    """Return the metric that results are reported by: the monitored one, or a usual one if the loss is monitored.

    Example:
        >>> headline("val_auroc", ["auroc", "average_precision"]), headline("val_loss", ["accuracy"])
        ('auroc', 'accuracy')
    """
    name = monitor.removeprefix("val_")
    return next(usual for usual in (name, "accuracy", "dice", "mae", "auroc", *names) if usual in names)


def is_error(metric: str) -> bool:
    """Return whether a metric is an error: less is better, and it has no upper limit.

    Example:
        >>> is_error("val_mae"), is_error("accuracy")
        (True, False)
    """
    return metric.endswith(("loss", "mae", "rmse"))


def is_share(metric: str) -> bool:
    """Return whether a metric is a share, from 0 to 1, which people write in percent.

    Example:
        >>> is_share("accuracy"), is_share("components"), is_share("mae")
        (True, False, False)
    """
    return not (is_error(metric) or metric.endswith(("components", "r2")))


def shown(name: str, value: float) -> str:
    """Return a metric's value as people write it.

    Example:
        >>> shown("val_accuracy", 0.5), shown("val_loss", 0.5), shown("val_mae", 0.5), shown("val_mae", 12345)
        ('50.0%', '0.500', '0.5', '12,345')
    """
    if name.endswith("accuracy"):
        return f"{value:.1%}"
    return _in_units(value) if is_error(name) and not name.endswith("loss") else f"{value:.3f}"


def in_table(metric: str, value: float, sign: str = "") -> str:
    """Return a metric's value as it stands in the table of a study: shares in percent, others in their own units.

    Args:
        metric: Name of the metric.
        value: Its value, or a difference of its values.
        sign: ``"+"`` to write the sign of positive numbers as well.

    Example:
        >>> in_table("accuracy", 0.5), in_table("mae", 0.5), in_table("mae", 0.5, "+")
        ('50.0', '0.5', '+0.5')
    """
    return f"{100 * value:{sign}.1f}" if is_share(metric) else _in_units(value, sign)


def _in_units(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3g}" if abs(value) < 999.5 else f"{value:{sign},.0f}"  # rather than 1.23e+04


def named(what: str, classes: Sequence[str], values: Tensor) -> dict[str, Any]:
    """Return values of the classes of an example by name.

    Example:
        >>> named("p", ["cat", "dog"], torch.tensor([0.25, 0.75]))
        {'p_cat': 0.25, 'p_dog': 0.75}
    """
    return {f"{what}_{name}": value for name, value in zip(classes, values.tolist(), strict=True)}


def kind(target: Tensor) -> str:
    """Return the type and shape of targets, for messages."""
    return f"{str(target.dtype).removeprefix('torch.')} targets ({', '.join(['B', *map(str, target.shape[1:])])})"


def of_one_process(metrics: nn.Module) -> None:
    """Let metrics be computed without waiting for other processes, as one process tests."""
    for metric in metrics.modules():
        if isinstance(metric, Metric):
            metric.distributed_available_fn = lambda: False


def ranks(logits: Tensor) -> Tensor:
    """Return numbers within 0 and 1 in the order of the logits, which is all that counts.

    The sigmoid would be 1 from 17 on.
    """
    x = logits.float() if logits.device.type == "mps" else logits.double()  # Apple's GPUs have no double precision
    return 0.5 + 0.5 * x / (1 + x.abs())
