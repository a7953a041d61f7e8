"""Metrics of maps, pixel by pixel. Their states have a fixed size: memory does not grow with the images."""

import torch
from torch import Tensor
from torchmetrics import Metric

from experiments.data.inputs import IGNORED, INSTANCE


def class_logits(logits: Tensor) -> Tensor:
    """Return one logit for each class, in float32 at least; a single logit is that of the foreground against 0.

    Example:
        >>> class_logits(torch.tensor([[3.0]]))
        tensor([[0., 3.]])
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits


def classes_of(logits: Tensor) -> Tensor:
    """Return the number of the likeliest class at each position: (B, C, …) to (B, …)."""
    return class_logits(logits).argmax(1)


def overlap(confusion: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the Dice coefficient and the IoU of each class.

    Args:
        confusion: Counts (…, C, C); rows are the truth, columns the prediction.

    Returns:
        Two tensors (…, C), NaN for a class that neither the truth nor the prediction has.

    Example:
        >>> overlap(torch.tensor([[4, 1], [1, 1]]))
        (tensor([0.8000, 0.5000]), tensor([0.6667, 0.3333]))
    """
    both = confusion.diagonal(dim1=-2, dim2=-1)
    either = confusion.sum(-1) + confusion.sum(-2)
    return 2 * both / either, both / (either - both)


def confusions(logits: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Return the confusion matrix of each image, (B, num_classes, num_classes), over the pixels that count."""
    size, truth = num_classes, target.long() % INSTANCE
    image = torch.arange(len(truth), device=truth.device).view(-1, *[1] * (truth.ndim - 1))
    index = (image * size + truth) * size + classes_of(logits)
    return torch.bincount(index[truth != IGNORED], minlength=len(truth) * size**2).view(-1, size, size)


class Confusion(Metric):
    """Confusion matrix over the pixels that count; rows are the truth, columns the prediction.

    Args:
        num_classes: Number of classes, with the background.
    """

    full_state_update = False
    confusion: Tensor
    dice_sum: Tensor
    num_images: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        counts = torch.zeros(num_classes, num_classes, dtype=torch.long)
        self.add_state("confusion", counts, dist_reduce_fx="sum")
        self.add_state("dice_sum", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("num_images", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch: logits (B, C, …) and targets (B, …)."""
        counts = confusions(logits, target, self.num_classes)
        dice = foreground_mean(overlap(counts)[0])
        self.confusion = self.confusion + counts.sum(0)
        self.dice_sum = self.dice_sum + dice.nansum()
        self.num_images = self.num_images + dice.isfinite().sum()

    def compute(self) -> Tensor:
        """Return the counts, (C, C)."""
        return self.confusion


class Dice(Confusion):
    """Dice coefficient of the pixels of all images, the mean over the foreground classes that occur."""

    def compute(self) -> Tensor:
        """Return the mean; NaN if there is no foreground."""
        return foreground_mean(overlap(self.confusion)[0])


class IoU(Confusion):
    """Intersection over union of the pixels of all images, the mean over the foreground classes that occur."""

    def compute(self) -> Tensor:
        """Return the mean; NaN if there is no foreground."""
        return foreground_mean(overlap(self.confusion)[1])


class PixelAccuracy(Confusion):
    """Share of the pixels that have the right class."""

    def compute(self) -> Tensor:
        """Return the share; NaN if no pixel counts."""
        return self.confusion.trace() / self.confusion.sum()


class DicePerImage(Confusion):
    """Dice coefficient of each image (`Dice` of its pixels), the mean over the images that have any foreground."""

    def compute(self) -> Tensor:
        """Return the mean; NaN if no image has foreground, be it true or predicted."""
        return self.dice_sum / self.num_images


class PixelAUROC(Metric):
    """Area under the ROC curve over pixels: that of the foreground, or the mean of each class against the rest.

    The log odds x of the pixels are counted in bins that are evenly spaced in x / (1 + |x|). Values in one bin, which
    differ by less than 3.1e-5 (1 + |x|)², count as equal. The error is therefore at most half of the share of
    (positive, negative) pairs that fall into one bin, and much less in practice: below 1e-4 if the values around x have
    a standard deviation of 1e-3 (1 + |x|)² or more. A class that all pixels or no pixels have is left out of the mean.

    Args:
        num_classes: Number of classes; two classes have one logit.
    """

    BINS = 2**16
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.positives = [1] if num_classes == 2 else list(range(num_classes))
        counts = torch.zeros(len(self.positives), 2, self.BINS, dtype=torch.long)
        self.add_state("counts", counts, dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch: logits (B, C, …) and targets (B, …)."""
        logits, truth = class_logits(logits), target.long() % INSTANCE
        counted, counts = truth != IGNORED, []
        for positive in self.positives:
            others = torch.cat([logits[:, :positive], logits[:, positive + 1 :]], 1)
            odds = (logits[:, positive] - others.logsumexp(1))[counted].nan_to_num()
            bins = (self.BINS / 2 * (1 + odds / (1 + odds.abs()))).long().clamp(max=self.BINS - 1)
            index = (truth[counted] == positive) * self.BINS + bins
            counts.append(torch.bincount(index, minlength=2 * self.BINS).view(2, self.BINS))
        self.counts = self.counts + torch.stack(counts)

    def compute(self) -> Tensor:
        """Return the area; NaN if all pixels are of one class."""
        negative, positive = self.counts.cpu().double().unbind(1)
        wins = (positive * (negative.cumsum(1) - negative / 2)).sum(1)
        return (wins / (positive.sum(1) * negative.sum(1))).nanmean().float().to(self.counts.device)


def foreground_mean(values: Tensor) -> Tensor:
    """Return the mean over the foreground classes that are not NaN."""
    return values[..., 1:].nanmean(-1)
