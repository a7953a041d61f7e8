"""Draw nuclei at three magnifications, as a plain network and a network on four scales find them.

    python -m docs.nuclei data/MoNuSeg runs/PLAIN runs/OURS

Writes docs/nuclei.png. The tissue is part of a test image of MoNuSeg (N. Kumar et al., IEEE Transactions on Medical
Imaging 36, 2017; CC BY-NC-SA 4.0).
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import experiments
from experiments.data.image.geometry import crop, resize
from experiments.data.sets.monuseg import MoNuSeg
from experiments.loaded import Trained
from experiments.training.tasks.segmentation import classes_of

ITEM, TOP, LEFT, SIDE = 8, 300, 300, 240  # one of the two test images of median gain
SIZES = {"half the magnification": 0.5, "as it is": 1.0, "double": 2.0}


@torch.inference_mode()
def found(trained: Trained, image: Tensor, size: float) -> Tensor:
    """Return the class numbers of an image that was resized, at its own size."""
    classes = classes_of(trained.network(resize(image, size)[None]))[0]
    return torch.nn.functional.interpolate(classes[None, None].float(), image.shape[1:], mode="nearest")[0, 0]


def dice(one: Tensor, other: Tensor) -> float:
    """Return the Dice coefficient of two masks."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def main(root: Path, *runs: str) -> None:
    """Draw the picture."""
    image, mask = MoNuSeg(root).split("test")[ITEM]
    image, mask = (crop(part, TOP, LEFT, SIDE, SIDE) for part in (image, mask % 256 == 1))
    nets = dict(zip(("plain, sizes augmented", "ours, on four scales"), map(experiments.load, runs), strict=True))
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    for row, (name, net) in zip(figure.subplots(2, 4), nets.items(), strict=True):
        row[0].set_ylabel(name, fontsize=12)
        row[0].set_title("tissue and true outlines", fontsize=10)
        for ax, (what, size) in zip(row[1:], SIZES.items(), strict=True):
            prediction = found(net, image, size) == 1
            ax.set_title(f"{what}: Dice {100 * dice(prediction, mask):.0f}", fontsize=10)
            small = resize(image, min(1.0, size))
            seen = torch.nn.functional.interpolate(small[None], (SIDE, SIDE), mode="nearest")[0]
            ax.imshow(seen.movedim(0, 2).clamp(0, 1).numpy())
            ax.contour(prediction.numpy(), [0.5], colors="#009E73", linewidths=1.2)
        row[0].imshow(image.movedim(0, 2).clamp(0, 1).numpy())
        row[0].contour(mask.numpy(), [0.5], colors="black", linewidths=1.2)
        for ax in row:
            ax.set_xticks([])
            ax.set_yticks([])
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
