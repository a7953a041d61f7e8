"""Measure scores of the scale on tissue of the organs trained on and of others: write pose.json and pose.md.

A plain U-Net is trained on MoNuSeg at one magnification (Kumar's split of 2017). Scores of three convolutions are then
trained by ``losses.pose`` to find this magnification: on the training images as they are, and on the same images with
random stains and colours. A score first standardises the colours of each image. The test images are of the organs
trained on, and of others, at five magnifications.

    python -m docs.pose data/MoNuSeg
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from docs.scales import SIZES, Example, Scales, Score
from experiments.data.image.colour import ColourJitter, StainJitter
from experiments.data.image.geometry import crop, flip, rotate
from experiments.data.image.image_set import Examples
from experiments.data.sets.monuseg import MoNuSeg
from experiments.training.tasks.segmentation import Segmentation
from wavenets import Grid
from wavenets.losses import pose
from wavenets.models import UNet
from wavenets.nn import Canonicalize
from wavenets.nn.map_readout import mean_confidence

INTRO = """# A learned score of the scale, on tissue of other organs

[`Canonicalize`](guide/canonical.md#canonical-frames-a-score-that-is-learned) chooses one view of an image by a learned
score. This page measures whether this helps on organs that were not in the training set.

A plain U-Net is trained on 13 images of MoNuSeg at one magnification, and never sees another. It is tested on the
middle of the test images, at five magnifications. Values are the Dice coefficient over all pixels, in percent, of one
seed. Five scales with a ratio of √2, two of them finer, are views of the image, of which one is chosen for each image:
the surest; or the view with the highest score of a network of three convolutions. `losses.pose` has trained it, without
labels, to find the magnification of the training images. The score first subtracts the mean of each channel of an
image, and divides by its standard deviation: without this step its loss did not fall in 400 steps, as stains differ
more than sizes. "Augmented": it was trained on images in other stains and colours. (With blur and noise as well it was
worse on the organs of training, by up to 9 points.) "With a preference": a number is added to the score of the image as
it is, the best of 0, 0.5, 1, 2 and 4 on three validation images at the five magnifications.
`python -m docs.pose data/MoNuSeg` measures it.
"""
ORGANS = {"kumar_same": "of training", "kumar_other": "others"}
SCALES, FINER, GRID = 5, 2, Grid(2, 2**0.5)
STEPS, POSE_STEPS, BATCH, SIDE = 1500, 1200, 16, 64
MIDDLE = 400  # pixels a side of the test images
PREFERENCES = 0, 0.5, 1, 2, 4


def batch(examples: Sequence[Example], rng: np.random.Generator) -> Example:
    """Return random windows of images and masks, in random poses."""
    parts: list[Example] = []
    for _ in range(BATCH):
        image, mask = examples[int(rng.integers(len(examples)))]
        top, left = (int(rng.integers(n - SIDE)) for n in mask.shape)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        windows = [rotate(crop(part, top, left, SIDE, SIDE), 90 * turns) for part in (image, mask)]
        parts.append(tuple(flip(window) if mirror else window for window in windows))  # type: ignore[arg-type]
    images, masks = zip(*parts, strict=True)
    return torch.stack(images), torch.stack(masks)


def trained(examples: Sequence[Example], task: Segmentation) -> nn.Module:
    """Return a plain U-Net that is trained on the images."""
    torch.manual_seed(0)
    network, rng = UNet(1, width=8, depth=3), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(network.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, STEPS)
    for _ in range(STEPS):
        images, masks = batch(examples, rng)
        optimizer.zero_grad()
        task.loss(network(images), masks).backward()
        optimizer.step()
        scheduler.step()
    return network.eval()


class Standardize(nn.Module):
    """The channels of each image with mean 0 and deviation 1, whatever its stains."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the standardised images."""
        centred = x - x.mean((2, 3), keepdim=True)
        return centred / centred.square().mean((2, 3), keepdim=True).sqrt().clamp(min=0.01)


def scored(network: nn.Module, examples: Sequence[Example], augment: Sequence[Callable[..., Tensor]]) -> Canonicalize:
    """Return the network at the scale of a learned score."""
    torch.manual_seed(0)
    score = nn.Sequential(
        Standardize(),
        nn.Conv2d(3, 16, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 16, 5),
        nn.ReLU(),
        nn.Conv2d(16, 1, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    net, rng = Canonicalize(network, score, GRID, SCALES, FINER), np.random.default_rng(1)
    optimizer = torch.optim.Adam(score.parameters(), 0.003)
    for _ in range(POSE_STEPS):
        images, _ = batch(examples, rng)
        for transform in augment:
            images = torch.stack([transform(image, rng) for image in images])
        optimizer.zero_grad()
        pose(net, images).backward()
        optimizer.step()
    return net.eval()


def by(scales: Scales, score: str, preference: float = 0) -> list[float]:
    """Return the Dice coefficient of each size if the scale is that of a score, with a preference for size 1."""
    return scales.dice((scales.scores[score] + preference * (np.arange(SCALES) == FINER)).argmax(2))


def rows(scales: Scales, preferences: dict[str, float]) -> dict[str, list[float]]:
    """Return the Dice coefficient of each way to choose a scale."""
    ways = {"as they are": scales.dice(FINER), "the surest": by(scales, "the surest")}
    for name, preference in preferences.items():
        ways[name] = by(scales, name)
        ways[f"{name}, with a preference of {preference:g}"] = by(scales, name, preference)
    return {**ways, "the best by the labels": scales.best()}


def middle(examples: Examples) -> list[Example]:
    """Return the middle of images and masks."""
    pairs = []
    for image, mask in (examples[i][:2] for i in range(len(examples))):
        top, left = ((n - MIDDLE) // 2 for n in mask.shape)
        pairs.append((crop(image, top, left, MIDDLE, MIDDLE), crop(mask, top, left, MIDDLE, MIDDLE)))
    return pairs


def main() -> None:
    """Run the command."""
    root, task = Path(sys.argv[1]), Segmentation(2)
    sources = {name: MoNuSeg(root, split=name) for name in ORGANS}
    train, val = (sources["kumar_same"].split(part) for part in ("train", "val"))
    examples = [train[i][:2] for i in range(len(train))]
    network = trained(examples, task)
    robust = StainJitter(0.2), ColourJitter(0.2, 0.2, 0.2, 0.05)
    nets = {"a score": scored(network, examples, ()), "a score, augmented": scored(network, examples, robust)}
    net = Canonicalize(network, nn.Identity(), GRID, SCALES, FINER)
    scores: dict[str, Score] = {name: scored.scores for name, scored in nets.items()}
    scores["the surest"] = lambda views: torch.stack([mean_confidence(network(view)) for view in views], 1)
    validation = Scales(net, middle(val), scores)
    preferences = {name: max(PREFERENCES, key=lambda p: sum(by(validation, name, p))) for name in nets}
    table, lines = [], ["| organs | scale | " + " | ".join(f"×{size:g}" for size in SIZES) + " |"]
    lines.append("|---|---|" + "--:|" * len(SIZES))
    for name, source in sources.items():
        test = source.split("test")
        for row, values in rows(Scales(net, middle(test), scores), preferences).items():
            table.append({"organs": name, "images": len(test), "scale": row, "sizes": SIZES, "dice": values})
            cells = " | ".join(f"{value:.1f}" for value in values)
            lines.append(f"| {ORGANS[name]} ({len(test)}) | {row} | {cells} |")
            print(lines[-1], flush=True)
    here = Path(__file__)
    here.with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n")
    here.with_suffix(".md").write_text("\n".join([INTRO, *lines]) + "\n")


if __name__ == "__main__":
    main()
