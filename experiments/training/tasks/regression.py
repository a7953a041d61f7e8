"""Regression: one or several numbers for each example."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

from experiments.training.tasks.task import Task, named


class Regression(Task):
    """One or several numbers for each example: mean squared error of the normalised numbers.

    Targets are floating-point numbers (B, num_classes), or (B,) if there is one number. The network predicts them
    normalised, minus `mean` and divided by `std`; `values` returns numbers in the units of the targets.

    Args:
        num_classes: Number of numbers.
        mean: Mean of each number in the training examples, from `prepare`; ``None``: 0.
        std: Standard deviation of each number in the training examples, from `prepare`; ``None``: 1.
        units: Unit of each number, for pictures and tables, such as ``["mm", "°"]``.
        monitor: Validation metric by which the best network is chosen, such as ``"val_mae"`` or ``"val_r2"``.
        mode: ``"min"`` or ``"max"``. ``None``: ``"max"`` for ``r2``, otherwise ``"min"``.

    Raises:
        ValueError: Means, standard deviations or units are not one for each number, or a deviation is not above 0.
    """

    def __init__(
        self,
        num_classes: int,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        units: Sequence[str] | None = None,
        monitor: str = "val_mae",
        mode: str | None = None,
    ) -> None:
        for name, values in {"mean": mean, "std": std, "units": units}.items():
            if values is not None and (isinstance(values, str) or len(values) != num_classes):
                raise ValueError(f"task.{name}={values} needs one value for each number; the data have {num_classes}")
        super().__init__(num_classes, monitor, mode)
        self.given = {name: values for name, values in (("mean", mean), ("std", std)) if values is not None}
        self.mean = torch.tensor([0.0] * num_classes if mean is None else list(mean), dtype=torch.float64)
        self.std = torch.tensor([1.0] * num_classes if std is None else list(std), dtype=torch.float64)
        if not (self.std > 0).all():
            raise ValueError(f"task.std={self.std.tolist()} has a value that is not above 0")
        self.units = units

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean squared error of the normalised numbers.

        Raises:
            ValueError: The targets are not finite numbers, or not one for each output.
        """
        return F.mse_loss(*self.normalised(logits, target))

    def normalised(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and normalised targets, both (B, num_classes), in float32 at least.

        Raises:
            ValueError: The targets are not finite numbers, or not one for each output.
        """
        target = target.unsqueeze(1) if target.ndim == 1 and self.num_classes == 1 else target
        if not target.is_floating_point() or target.shape != logits.shape:
            raise ValueError(
                f"task=regression needs floating-point targets (B, {self.num_classes}); the data has {target.dtype} "
                f"targets {tuple(target.shape)}"
            )
        if not target.isfinite().all():
            example, number = (~target.isfinite()).nonzero()[0].tolist()
            value = target[example, number].item()
            raise ValueError(f"number {number} of a target is {value}; remove that example, or set the value")
        logits = _at_least_single(logits)
        return logits, self.logits(_at_least_single(target)).to(logits.dtype)

    def metrics(self, prefix: str = "") -> MetricCollection:
        """Return the metrics ``mae``, ``rmse`` (in the units of the targets) and ``r2``, means over the numbers."""
        metrics: dict[str, Any] = {"mae": _MAE(self), "rmse": _RMSE(self), "r2": _R2(self)}
        return MetricCollection(metrics, prefix=prefix, compute_groups=False)

    def details(self) -> dict[str, Metric]:
        """Return ``mae``, ``rmse`` (in the units of the targets) and ``r2`` of each number."""
        return {"mae": _MAE(self, each=True), "rmse": _RMSE(self, each=True), "r2": _R2(self, each=True)}

    def values(self, logits: Tensor) -> Tensor:
        """Return numbers in the units of the targets, (B, num_classes), in float32 at least."""
        logits = _at_least_single(logits)
        return logits * self.std.to(logits) + self.mean.to(logits)

    def rows(self, logits: Tensor, target: Tensor, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield ``truth`` and ``predicted`` of each example of a batch; of several numbers with their names."""
        for pair in zip(target.view(len(logits), -1), self.values(logits), strict=True):
            columns = {"truth": pair[0], "predicted": pair[1]}
            if self.num_classes == 1:
                yield {what: values.item() for what, values in columns.items()}
            else:
                yield {k: v for what, values in columns.items() for k, v in named(what, classes, values).items()}

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the `values`: the results of a regression are numbers, not probabilities."""
        return self.values(logits)

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return the outputs of the network for given `values`."""
        return (probabilities - self.mean.to(probabilities)) / self.std.to(probabilities)

    def prepare(self, source: Any) -> dict[str, Any]:
        """Compute the ``mean`` and ``std`` of each number over the training examples, in float64, unless given.

        If both are given, as in a run that continues, no example is read.

        Args:
            source: The data. If its training set has ``labels``, no example is read.

        Raises:
            ValueError: A number is not finite, or the same in all examples.
        """
        if len(self.given) == 2:
            return {}
        examples = source.split("train")
        labels = getattr(examples, "labels", None)
        if labels is None:
            labels = [np.asarray(examples[item][1]) for item in range(len(examples))]
        values = np.asarray(labels, dtype=np.float64).reshape(len(labels), -1)
        if values.shape[1] != self.num_classes:
            raise ValueError(f"the targets have {values.shape[1]} numbers each; the data names {self.num_classes}")
        for name, column in zip(source.classes, values.T, strict=True):
            if not np.isfinite(column).all():
                item = int(np.flatnonzero(~np.isfinite(column))[0])
                raise ValueError(f"{name} of training example {item} is {column[item]}; remove it, or set the value")
            if column.min() == column.max():
                raise ValueError(f"{name} is {column[0]:g} in all training examples; remove it from the targets")
        return {"mean": values.mean(0).tolist(), "std": values.std(0).tolist()} | self.given


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


class _Normalised(Metric):
    """A metric of normalised numbers: float32 sums of squares would lose digits where a mean is far from 0.

    Args:
        task: The task that normalises.
        each: Whether to return the value of each number, not the mean.
    """

    def __init__(self, task: Regression, each: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.task, self.each = task, each

    def update(self, logits: Tensor, target: Tensor) -> None:
        super().update(*self.task.normalised(logits, target))  # type: ignore[safe-super]

    def compute(self) -> Tensor:
        values = super().compute().view(-1) * self.scale()  # type: ignore[safe-super]
        return values if self.each else values.mean()

    def scale(self) -> Tensor:
        """Return what takes the value of each number back to the units of the targets."""
        return self.task.std.to(self.device, torch.float32)


class _MAE(_Normalised, MeanAbsoluteError):
    def __init__(self, task: Regression, each: bool = False) -> None:
        super().__init__(task, each, num_outputs=task.num_classes)


class _RMSE(_Normalised, MeanSquaredError):
    def __init__(self, task: Regression, each: bool = False) -> None:
        super().__init__(task, each, num_outputs=task.num_classes, squared=False)


class _R2(_Normalised, R2Score):
    def __init__(self, task: Regression, each: bool = False) -> None:
        super().__init__(task, each, multioutput="raw_values")

    def compute(self) -> Tensor:
        """Return the coefficient of determination; NaN if there are fewer than two examples."""
        if self.total > 1:
            return super().compute()
        return torch.full((self.task.num_classes,) if self.each else (), torch.nan, device=self.device)

    def scale(self) -> Tensor:
        return torch.ones(())  # has no unit
