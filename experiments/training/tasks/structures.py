"""Metrics of what a mask shows: thin structures such as vessels, and objects such as nuclei.

The functions take one image as boolean masks, or as numbers of objects with 0 for the background. The metrics take the
foreground, whichever its class; pixels that do not count are background. Neighbours are pixels that share an edge or a
corner.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.metrics import contingency_table
from skimage.morphology import skeletonize
from skimage.segmentation import relabel_sequential, watershed
from torch import Tensor
from torchmetrics import Metric

from experiments.data.inputs import IGNORED, INSTANCE
from experiments.training.tasks.pixels import classes_of

Mask = NDArray[np.bool_]
Numbers = NDArray[Any]  # whole numbers, one for each object


def centreline_dice(prediction: Mask, truth: Mask) -> float:
    """Compute the centreline Dice coefficient (clDice; Shit et al., CVPR 2021).

    It is the harmonic mean of two shares: of the predicted skeleton within the true mask, and of the true skeleton
    within the predicted mask.

    Returns:
        A number between 0 and 1; NaN if both masks are empty.
    """
    if not (prediction.any() and truth.any()):
        return 0.0 if prediction.any() or truth.any() else float("nan")
    precision = truth[skeletonize(prediction)].mean()
    sensitivity = prediction[skeletonize(truth)].mean()
    return float(2 * precision * sensitivity / (precision + sensitivity)) if precision + sensitivity else 0.0


def component_ratio(prediction: Mask, truth: Mask) -> float:
    """Compute the number of connected components of a prediction over the truth's; NaN if the truth has none."""
    return float(label(prediction).max() / label(truth).max()) if truth.any() else float("nan")


def numbered(foreground: Mask, numbers: Numbers) -> Numbers:
    """Return the number of the object of each foreground pixel.

    Args:
        foreground: The pixels of objects.
        numbers: Numbers of objects, 0 where the object is unknown: those pixels are grouped by connection.

    Example:
        >>> numbered(np.array([True, True, False, True, True]), np.array([0, 0, 0, 7, 7])).tolist()
        [2, 2, 0, 1, 1]
    """
    known, *_ = relabel_sequential(np.where(foreground, numbers, 0))
    loose = label(foreground & (known == 0))
    return np.where(loose > 0, loose + known.max(), known)


def separated(foreground: Mask, distance: int) -> Numbers:
    """Return the number of the object of each foreground pixel, touching objects separated by a watershed.

    Args:
        foreground: The pixels of objects.
        distance: Least distance between the centres of two objects, in pixels. A centre is where the distance to the
            background, smoothed by a quarter of this, has a maximum. Objects that are smaller than a square of this
            side are left out: their pixels have the number 0.
    """
    depth = gaussian_filter(distance_transform_edt(foreground), distance / 4)  # an uneven edge makes many maxima
    centres = peak_local_max(depth, min_distance=distance, labels=label(foreground), exclude_border=False)
    markers = np.zeros(foreground.shape, dtype=np.int64)
    markers[tuple(centres.T)] = np.arange(1, len(centres) + 1)
    numbers = numbered(foreground, watershed(-depth, markers, mask=foreground, connectivity=foreground.ndim))
    large = np.bincount(numbers.ravel())[numbers] >= distance**foreground.ndim
    return relabel_sequential(numbers * large)[0]


@dataclass(frozen=True)
class Matches:
    """Objects of a prediction and of the truth, one to one where their IoU exceeds one half.

    No object can have such an IoU with two others, so that there is nothing to choose (Kirillov et al., CVPR 2019).

    Attributes:
        matched: Number of pairs.
        iou: Sum of their IoU.
        objects: Number of predicted objects plus the number of true objects.
        aggregated_jaccard: Aggregated Jaccard index (Kumar et al., TMI 2017): each true object is compared with the
            predicted one of the largest IoU, and what is left over counts against the prediction. NaN without objects.
    """

    matched: int
    iou: float
    objects: int
    aggregated_jaccard: float

    @property
    def f1(self) -> float:
        """F1 score of the objects; NaN without objects."""
        return 2 * self.matched / self.objects if self.objects else float("nan")

    @property
    def panoptic_quality(self) -> float:
        """Panoptic quality (Kirillov et al.): the F1 score times the mean IoU of the pairs; NaN without objects."""
        return 2 * self.iou / self.objects if self.objects else float("nan")


def match(prediction: Numbers, truth: Numbers) -> Matches:
    """Match the objects of a prediction with those of the truth, given as numbers from 1 on."""
    areas, true_areas = np.bincount(prediction.ravel()), np.bincount(truth.ravel())
    areas[0] = true_areas[0] = 0
    table = contingency_table(truth, prediction).tocoo()
    pairs = (table.row > 0) & (table.col > 0)
    row, column, common = table.row[pairs], table.col[pairs], table.data[pairs]
    union = true_areas[row] + areas[column] - common
    iou = common / union
    by_truth = np.lexsort((iou, row))
    best = by_truth[np.flatnonzero(np.diff(row[by_truth], append=-1))]  # of each true object, the pair with most IoU
    left_over = np.delete(areas, np.unique(column[best])).sum() + np.delete(true_areas, row[best]).sum()
    total = union[best].sum() + left_over
    return Matches(
        matched=int((iou > 0.5).sum()),
        iou=float(iou[iou > 0.5].sum()),
        objects=int((areas > 0).sum() + (true_areas > 0).sum()),
        aggregated_jaccard=float(common[best].sum() / total) if total else float("nan"),
    )


class _Structures(Metric):
    """Sums over images, and for each sum the number that it is divided by."""

    full_state_update = False
    sums: Tensor
    numbers: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(length), dist_reduce_fx="sum")
        self.add_state("numbers", torch.zeros(length, dtype=torch.long), dist_reduce_fx="sum")

    def add(self, values: list[float], numbers: list[int]) -> None:
        self.sums = self.sums + torch.tensor(values, device=self.sums.device).nan_to_num()
        self.numbers = self.numbers + torch.tensor(numbers, device=self.numbers.device)

    def compute(self) -> Tensor:
        return self.sums / self.numbers


class CentrelineDice(_Structures):
    """`centreline_dice`, the mean over the images that have any foreground."""

    def __init__(self) -> None:
        super().__init__(2)

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch: logits (B, C, H, W) and targets (B, H, W).

        Raises:
            ValueError: The maps have one dimension.
        """
        if target.ndim != 3:
            raise ValueError(f"task.thin=true needs images (B, H, W), not targets {tuple(target.shape)}")
        for prediction, truth, _ in _masks(logits, target):
            values = [centreline_dice(prediction, truth), component_ratio(prediction, truth)]
            self.add(values, [int(not np.isnan(value)) for value in values])

    def compute(self) -> Tensor:
        """Return the mean; NaN without foreground."""
        return super().compute()[0]


class Components(CentrelineDice):
    """`component_ratio`, the mean over the images that have true foreground; 1 is best."""

    def compute(self) -> Tensor:
        """Return the mean; NaN without true foreground."""
        return _Structures.compute(self)[1]


class ObjectF1(_Structures):
    """F1 score over the objects of all images.

    Args:
        distance: Least distance between the centres of two predicted objects, in pixels, for `separated`.
    """

    def __init__(self, distance: int) -> None:
        super().__init__(3)
        self.distance = distance

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch: logits (B, C, …) and targets (B, …)."""
        for prediction, truth, numbers in _masks(logits, target):
            found = match(separated(prediction, self.distance), numbered(truth, numbers))
            values = [2 * found.matched, 2 * found.iou, found.aggregated_jaccard]
            self.add(values, [found.objects, found.objects, int(found.objects > 0)])

    def compute(self) -> Tensor:
        """Return the score; NaN without objects."""
        return super().compute()[0]


class PanopticQuality(ObjectF1):
    """Panoptic quality over the objects of all images."""

    def compute(self) -> Tensor:
        """Return the quality; NaN without objects."""
        return _Structures.compute(self)[1]


class AggregatedJaccard(ObjectF1):
    """Aggregated Jaccard index, the mean over the images that have objects."""

    def compute(self) -> Tensor:
        """Return the mean; NaN without objects."""
        return _Structures.compute(self)[2]


def _masks(logits: Tensor, target: Tensor) -> Iterator[tuple[Mask, Mask, Numbers]]:
    """Yield predicted foreground, true foreground and numbers of the true objects, image by image."""
    for predicted, true in zip(classes_of(logits).cpu().numpy(), target.cpu().numpy(), strict=True):
        counted = true % INSTANCE != IGNORED
        yield (predicted > 0) & counted, (true % INSTANCE > 0) & counted, true // INSTANCE
