"""How well a network does at each scale of resized images, to compare ways to choose one of the scales."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from experiments.data.image.geometry import resize
from experiments.data.inputs import INSTANCE
from experiments.training.tasks.segmentation import classes_of
from wavenets import Levels
from wavenets.nn import Canonicalize

SIZES = 0.5, 0.71, 1, 1.41, 2
Example = tuple[Tensor, Tensor]
Score = Callable[[Levels], Tensor]


class Scales:
    """The scales of images that are resized to ``SIZES``: how right each one is, and what scores say of it.

    Args:
        net: A network, and the scales at which it is applied.
        examples: Images, and masks in which class 1 is to be found.
        scores: Functions from all scales of an image to a score of each, (1, scales), by name.
    """

    @torch.inference_mode()
    def __init__(self, net: Canonicalize, examples: Iterable[Example], scores: dict[str, Score]) -> None:
        counts, values = list[list[list[list[int]]]](), {name: list[list[list[float]]]() for name in scores}
        for image, mask in examples:
            views = [net.views(resize(image, size)[None]) for size in SIZES]
            truth = [resize(mask % INSTANCE == 1, size) for size in SIZES]
            counts.append([_counts(net, *pair) for pair in zip(views, truth, strict=True)])
            for name, score in scores.items():
                values[name].append([score(scales)[0].tolist() for scales in views])
        self.counts = np.array(counts)  # twice the area in common, and the sum of both: (images, sizes, scales, 2)
        self.scores = {name: np.array(value) for name, value in values.items()}

    def dice(self, chosen: np.ndarray | int) -> list[float]:
        """Return the Dice coefficient of each size in percent if these scales are chosen, (images, sizes)."""
        index = np.broadcast_to(chosen, self.counts.shape[:2])[..., None, None]
        counts = np.take_along_axis(self.counts, index, 2).sum((0, 2))
        return [float(100 * common / both) for common, both in counts]

    def best(self) -> list[float]:
        """Return the Dice coefficient of each size if each image has the scale that is best by its mask."""
        with np.errstate(invalid="ignore"):
            return self.dice(np.nan_to_num(self.counts[..., 0] / self.counts[..., 1]).argmax(2))


def _counts(net: Canonicalize, views: Levels, truth: Tensor) -> list[list[int]]:
    """Return twice the area of the truth that is found at each scale, and the sum of the areas of both."""
    found = [classes_of(net.answers(views, torch.tensor([scale])))[0] == 1 for scale in range(len(views))]
    return [[2 * int((mask & truth).sum()), int(mask.sum() + truth.sum())] for mask in found]
