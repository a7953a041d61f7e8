"""Draws one_scale.png: networks trained on digits of one size, tested on smaller ones.

python -m experiments.train experiment=mnist_scale_plain 'data.train_scales=[1,1]' folder=runs/one_scale/plain
python -m experiments.train experiment=mnist_scale 'data.train_scales=[1,1]' folder=runs/one_scale/max
python -m experiments.train experiment=mnist_scale 'data.train_scales=[1,1]' model.num_scales=7 model.readout=mean \
    folder=runs/one_scale/mean
python -m docs.one_scale runs/one_scale
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import Dataset, Subset

from experiments.report.measure import logits_and_targets
from experiments.run import load_network

FACTORS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.71, 0.85, 1.0)
CURVES = (  # folder, readout in the test, label, style
    ("plain", None, "plain CNN", "C0s--"),
    ("max", None, "ours, as for MNIST-scale: maximum over 3 scales", "C1^:"),
    ("mean", "max", "ours: 5 scales, trained on their mean, tested on their maximum", "C1o-"),
)


def accuracy(network: nn.Module, images: Dataset) -> float:
    """The share of images that are classified rightly."""
    logits, labels = logits_and_targets(network, images, 250, "Testing")
    return (logits.argmax(1) == labels).float().mean().item()


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the three runs")
    parser.add_argument("--images", type=int, default=10_000, help="test images to count")
    options = parser.parse_args()

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    ax, strip = figure.subplots(1, 2, width_ratios=(3, 1))
    for folder, readout, label, style in CURVES:
        network, card = load_network(options.runs / folder / "checkpoints" / "best.ckpt")
        dataset = instantiate(card.config["data"], fit_rescaled=True)
        if readout:
            network.readout.mode = readout
        sets = [Subset(dataset.rescaled("test", factor), range(options.images)) for factor in FACTORS]
        accuracies = [accuracy(network, images) for images in sets]
        print(label, *(f"{factor}: {100 * value:.1f}" for factor, value in zip(FACTORS, accuracies, strict=True)))
        ax.plot(FACTORS, 100 * np.array(accuracies), style, label=label)
    ax.set(xlabel="size of the test digits, as a multiple of the training digits'", ylabel="test accuracy (%)")
    ax.set(xscale="log", xticks=FACTORS, xticklabels=FACTORS, ylim=(0, 100))
    ax.minorticks_off()
    ax.tick_params(axis="x", labelsize=8)
    ax.legend(fontsize=8, loc="lower right")
    shown = 1.0, 0.71, 0.5, 0.35
    digits = [sets[FACTORS.index(factor)][3][0][0] for factor in shown]
    strip.imshow(torch.cat(digits), cmap="gray")
    strip.set(xticks=[], yticks=[(i + 0.5) * len(digits[0]) for i in range(len(shown))], yticklabels=shown)
    figure.savefig(Path(__file__).with_name("one_scale.png"), dpi=110)


if __name__ == "__main__":
    main()
