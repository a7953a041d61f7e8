"""Segmentation: one class at every position of a map."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from experiments.data.inputs import IGNORED, INSTANCE
from experiments.data.source import unpacked
from experiments.training.tasks.class_weights import ClassWeights, of_counts, prepared, weights_of
from experiments.training.tasks.pixels import (
    Confusion,
    Dice,
    DicePerImage,
    IoU,
    PixelAccuracy,
    PixelAUROC,
    class_logits,
    classes_of,
    confusions,
    foreground_mean,
    overlap,
)
from experiments.training.tasks.task import Task, of_one_process


class Segmentation(Task):
    """One class at every position: cross-entropy plus soft Dice loss.

    Targets are whole numbers (B, H, W), or (B, L) in 1D: the class number, 0 being the background, plus 256 × the
    number of the instance where instances are known. Positions of class number 255 do not count. The network has one
    output if there are two classes, the logit of class 1, and otherwise one for each class.

    Args:
        num_classes: Number of classes, with the background.
        class_weights: Weight of each class in the cross-entropy: a list, or weights by name, where the others are 1.
            "balanced": n / (classes × count), from the pixels of the training examples. ``None``: equal weights.
        dice: Weight of the soft Dice loss beside the cross-entropy; 0 leaves it out.
        thin: Whether to compute the metrics of thin structures such as vessels.
        objects: Whether to compute the metrics of objects such as nuclei.
        watershed_distance: Least distance between the centres of two predicted objects, in pixels. Objects smaller than
            a square of this side do not count.
        monitor: Validation metric by which the best network is chosen, such as ``"val_dice"`` or ``"val_loss"``.
        mode: ``"max"`` or ``"min"``. ``None``: ``"min"`` for the loss, otherwise ``"max"``.

    Raises:
        ValueError: The number of classes is not within 2 and 255, or the weights do not fit the classes.
    """

    def __init__(
        self,
        num_classes: int,
        class_weights: ClassWeights = None,
        dice: float = 1.0,
        thin: bool = False,
        objects: bool = False,
        watershed_distance: int = 5,
        monitor: str = "val_dice",
        mode: str | None = None,
    ) -> None:
        if not 2 <= num_classes <= IGNORED:
            raise ValueError(f"task=segmentation takes 2 to {IGNORED} classes, with the background, not {num_classes}")
        super().__init__(num_classes, monitor, mode)
        self.num_outputs = 1 if num_classes == 2 else num_classes
        weights = weights_of(class_weights, num_classes)
        self.given, self.class_weights = class_weights, torch.ones(num_classes) if weights is None else weights
        self.dice, self.thin, self.objects, self.watershed_distance = dice, thin, objects, watershed_distance

    def prepare(self, source: Any) -> dict[str, Any]:
        """Return the ``class_weights`` if they are by name or balanced.

        Raises:
            ValueError: A name is not a class.
        """

        def balanced() -> np.ndarray:
            examples, counts = source.split("train"), np.zeros(IGNORED + 1, dtype=np.int64)
            for item in range(len(examples)):
                counts += np.bincount(unpacked(examples[item])[1].numpy().ravel() % INSTANCE, minlength=len(counts))
            return of_counts(counts[: self.num_classes])

        return prepared(self.given, source.classes, balanced)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the cross-entropy in nats, plus `dice` times the soft Dice loss.

        The cross-entropy is the weighted mean over the positions that count. The soft Dice loss is 1 minus the mean
        of 2 Σ p t / (Σ p + Σ t) over the foreground classes that the batch has, with sums over the whole batch. The
        loss is 0 if no position counts.

        Args:
            logits: Outputs of the network, (B, num_outputs, …).
            target: Targets, (B, …).

        Raises:
            ValueError: The targets are not whole numbers, not of the shape of the maps, or not class numbers.
        """
        truth = self._truth(logits, target)
        logits, numbers = class_logits(logits), torch.arange(self.num_classes, device=logits.device)
        one_hot = truth.unsqueeze(1) == numbers.view(1, -1, *[1] * (truth.ndim - 1))
        axes = [axis for axis in range(logits.ndim) if axis != 1]
        counts, weights = one_hot.sum(axes), self.class_weights.to(logits)
        each = -(logits.log_softmax(1) * one_hot).sum(axes)  # F.cross_entropy on maps is not deterministic on CUDA
        loss = (each * weights).sum() / (counts * weights).sum().clamp(min=torch.finfo(logits.dtype).tiny)
        if not self.dice:
            return loss
        probabilities = logits.softmax(1) * (truth != IGNORED).unsqueeze(1)
        overlap = 2 * (probabilities * one_hot).sum(axes) / (probabilities.sum(axes) + counts).clamp(min=1)
        present = counts[1:] > 0
        return loss + self.dice * ((1 - overlap[1:]) * present).sum() / present.sum().clamp(min=1)

    def metrics(self, prefix: str = "") -> MetricCollection:
        """Return the metrics, by name, of logits and targets; ``prefix`` stands before their names.

        - ``dice``, ``iou``: over all pixels of all images, the mean over the foreground classes that the truth or the
          prediction has.
        - ``dice_per_image``: the same for each image, the mean over the images that have any foreground.
        - ``pixel_accuracy``: the share of the pixels that have the right class.
        - ``auroc``: over all pixels, that of the foreground, or the mean of each class against the rest, from a
          histogram (see `PixelAUROC`).
        - ``centreline_dice``, ``components``, if `thin`: means over images.
        - ``object_f1``, ``panoptic_quality``, if `objects`: over the objects of all images; ``aggregated_jaccard``:
          the mean over images. Predicted objects are separated by a watershed.
        """
        return _collection([*self._of_pixels(), *self._of_structures()], prefix)

    def training_metrics(self, prefix: str = "") -> MetricCollection:
        """Return those metrics that windows of images have: windows cut structures, which also take long to measure."""
        return _collection(self._of_pixels(), prefix)

    def _of_pixels(self) -> list[dict[str, Metric]]:
        overlaps = {"dice": Dice, "iou": IoU, "dice_per_image": DicePerImage, "pixel_accuracy": PixelAccuracy}
        auroc: dict[str, Metric] = {"auroc": PixelAUROC(self.num_classes)}
        return [{name: metric(self.num_classes) for name, metric in overlaps.items()}, auroc]

    def _of_structures(self) -> list[dict[str, Metric]]:
        groups: list[dict[str, Metric]] = []
        if self.thin or self.objects:
            from experiments.training.tasks import structures  # scikit-image, of the extra ``images``

            if self.thin:
                groups.append({"centreline_dice": structures.CentrelineDice(), "components": structures.Components()})
            if self.objects:
                distance = self.watershed_distance
                groups.append(
                    {
                        "object_f1": structures.ObjectF1(distance),
                        "aggregated_jaccard": structures.AggregatedJaccard(distance),
                        "panoptic_quality": structures.PanopticQuality(distance),
                    }
                )
        return groups

    def details(self) -> dict[str, Metric]:
        """Return the ``confusion`` over pixels; rows are the truth, columns the prediction."""
        return {"confusion": Confusion(self.num_classes)}

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of each class, (B, num_classes, …)."""
        return class_logits(logits).softmax(1)

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return logits (B, num_outputs, …) that have these `probabilities`."""
        logs = probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
        return logs[:, 1:] - logs[:, :1] if self.num_classes == 2 else logs

    def classes_of(self, logits: Tensor) -> Tensor:
        """Return the number of the likeliest class at each position, (B, …)."""
        return classes_of(logits)

    def scores(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the Dice coefficient of each example, the mean over its foreground classes; 1 without foreground."""
        return foreground_mean(overlap(confusions(logits, target, self.num_classes))[0]).nan_to_num(1.0)

    def rows(self, logits: Tensor, target: Tensor, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the metrics of each image of a batch alone."""
        metrics = self.metrics().to(logits.device)
        of_one_process(metrics)
        for one, true in zip(logits.split(1), target.split(1), strict=True):
            metrics.reset()
            metrics.update(one, true)
            yield {name: value.item() for name, value in metrics.compute().items()}

    def _truth(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return class numbers (B, …), `IGNORED` where a position does not count."""
        if logits.ndim < 3:
            raise ValueError(f"task=segmentation needs maps, as model=unet returns, not {tuple(logits.shape)}")
        expected = (len(logits), *logits.shape[2:])
        if target.is_floating_point():
            raise ValueError(f"task=segmentation needs targets of whole numbers, not {target.dtype}: class numbers")
        if target.shape != expected:
            raise ValueError(
                f"task=segmentation needs targets of the shape of the maps, {expected}, not {tuple(target.shape)}"
            )
        truth = target.long() % INSTANCE
        wrong = (target < 0) | ((truth >= self.num_classes) & (truth != IGNORED))
        if wrong.any():
            value = int(target[wrong][0])
            value = value % INSTANCE if value >= 0 else value
            raise ValueError(
                f"a target has the class number {value}; task=segmentation needs 0 to "
                f"{self.num_classes - 1}, or {IGNORED} for pixels that do not count"
            )
        return truth


def _collection(groups: Sequence[Mapping[str, Metric]], prefix: str) -> MetricCollection:
    """Return metrics, of which those of a group share their sums."""
    metrics: dict[str, Any] = {name: metric for group in groups for name, metric in group.items()}
    # Groups are named: torchmetrics would guess them by comparing the sums of the first batch.
    return MetricCollection(metrics, prefix=prefix, compute_groups=[list(group) for group in groups])
