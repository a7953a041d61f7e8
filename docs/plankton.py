"""Draw organisms of plankton in eight poses, with the probabilities that a plain network and ours give their class.

    python -m docs.plankton data/plankton runs/PLAIN runs/OURS

Writes docs/plankton.png. Of 500 test images, those are drawn on which the spread of the plain network over the poses is
the lower quartile, the median and the upper quartile. The images are of the National Data Science Bowl of 2015
(PlanktonSet 1.0, Oregon State University, NOAA NCEI accession 0127422).
"""

import sys
import textwrap
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import experiments
from experiments.data.sets.plankton import Plankton
from experiments.loaded import Trained
from wavenets import Grid

COUNT = 500
POSES = [f"{angle}°{mirrored}" for mirrored in ("", ", mirrored") for angle in (0, 90, 180, 270)]


def poses(image: Tensor) -> Tensor:
    """Return the four turns of an image and of its mirror image, (8, C, H, W)."""
    return torch.cat(Grid(2, rotations=4, mirrored=True).views(image[None], num_scales=1))


@torch.inference_mode()
def probabilities(trained: Trained, images: list[Tensor], labels: Tensor) -> Tensor:
    """Return the probability of the class of each image in each pose, (images, 8)."""
    found = [trained.network(poses(image)).softmax(1)[:, label] for image, label in zip(images, labels, strict=True)]
    return torch.stack(found)


def main(root: Path, *runs: str) -> None:
    """Draw the picture."""
    plain, ours = map(experiments.load, runs)
    source = Plankton(root, test_fold=5, channels=1, size=(64, 64), fit="pad")
    test = source.split("test")
    images, labels = zip(*(test[i] for i in range(0, len(test), len(test) // COUNT)), strict=True)
    both = [probabilities(trained, list(images), torch.tensor(labels)) for trained in (plain, ours)]
    order = (both[0].amax(1) - both[0].amin(1)).argsort()
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    for row, share in zip(figure.subplots(3, len(POSES)), (0.25, 0.5, 0.75), strict=True):
        index = int(order[int(share * len(order))])
        name = textwrap.fill(str(source.classes[labels[index]]).replace("_", " "), 16)
        for pose, (ax, view) in enumerate(zip(row, poses(images[index]), strict=True)):
            ax.imshow(view[0].numpy(), cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.set_title(POSES[pose], fontsize=8, color="#666666")
            ax.set_xlabel(f"plain {both[0][index, pose]:.1%}\nours {both[1][index, pose]:.1%}", fontsize=9)
        row[0].set_ylabel(name, fontsize=9)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
