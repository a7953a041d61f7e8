"""A ResNet trained on upright digits, and digits that are turned and mirrored.

Four ways to classify them: the network as it is; its probabilities averaged over the
eight poses of a square; the network on all ``Views``, fine-tuned; and ``Canonicalize``,
where a small network, which has learned without labels what is upright, chooses one
pose. That costs little more than the network itself. None of them can distinguish a 6
from a 9 that stands on its head, which explains some percent of the errors.

    python examples/canonical_frames.py            # the digits of scikit-learn
    python examples/canonical_frames.py MNIST      # a folder of MNIST's four idx files
"""

import gzip
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from wavenets import Grid, equivariant
from wavenets.losses import pose
from wavenets.models import ResNet
from wavenets.nn import Canonicalize

GRID = Grid(2, rotations=4, mirrored=True)
POSES = [(turns, mirror) for mirror in (False, True) for turns in range(4)]


def digits(folder: Path | None) -> tuple[Tensor, Tensor]:
    """Return images (N, 1, 32, 32) and their labels, those of the test part last."""
    if folder is None:
        flat, labels = load_digits(return_X_y=True)
        images, brightest = flat.reshape(-1, 8, 8), 16
    else:
        parts = ("train", "t10k")  # behind headers of 16 and 8 bytes
        flat = [idx(folder / f"{part}-images-idx3-ubyte.gz", 16) for part in parts]
        labels = [idx(folder / f"{part}-labels-idx1-ubyte.gz", 8) for part in parts]
        images, labels = (
            np.concatenate(flat).reshape(-1, 28, 28),
            np.concatenate(labels),
        )
        brightest = 255
    x = torch.tensor(images, dtype=torch.float32)[:, None] / (brightest / 2) - 1
    return F.interpolate(x, size=32, mode="bicubic"), torch.tensor(labels).long()


def idx(file: Path, header: int) -> np.ndarray:
    """Return the bytes of one of MNIST's files."""
    return np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=header)


def upright_score() -> nn.Sequential:
    """Return a network from an image to one number: how upright it looks."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5, stride=2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 5, stride=2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 5 * 5, 1)),
    )


def train(
    parameters: nn.Module, loss: Callable[[Tensor], Tensor], count: int, epochs: int
) -> None:
    """Train with Adam on a loss of the examples with the given indices."""
    optimizer = torch.optim.Adam(parameters.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(count).split(100):
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()


@torch.no_grad()
def row(name: str, network: nn.Module, x: Tensor, y: Tensor) -> list[float]:
    """Print and return the accuracy in percent in every pose."""
    network.eval()
    accuracies = []
    start = time.perf_counter()
    for turns, mirror in POSES:
        moved = GRID.act(x, 0, turns, mirror).split(100)
        found = torch.cat([network(batch).argmax(1) for batch in moved])
        accuracies.append(100 * (found == y).float().mean().item())
    each = (time.perf_counter() - start) / len(POSES) / len(x)
    cells = "".join(f"{accuracy:6.1f}" for accuracy in accuracies)
    print(f"{name:34}{cells}{1000 * each:10.2f}", flush=True)
    return accuracies


def main(
    folder: Path | None = None,
    width: int = 16,
    epochs: int = 12,
    images: int = 3000,
    tests: int = 500,
) -> list[list[float]]:
    """Train, and print a table: accuracy in each pose, and milliseconds per image."""
    torch.manual_seed(0)
    x, y = digits(folder)
    test, (x, y) = (x[-tests:], y[-tests:]), (x[:-tests][:images], y[:-tests][:images])
    network = ResNet(10, in_channels=1, width=width)
    on_views = equivariant(network, GRID)
    averaged = equivariant(nn.Sequential(network, nn.Softmax(1)), GRID)
    canonical = Canonicalize(network, upright_score(), GRID)

    def cross_entropy(net: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda batch: F.cross_entropy(net(x[batch]), y[batch])

    train(network, cross_entropy(network), len(x), epochs)
    train(canonical.score, lambda batch: pose(canonical, x[batch]), len(x), epochs)
    heads = "".join(f"{90 * turns}°{'m' * mirror}".rjust(6) for turns, mirror in POSES)
    print(f"{'':34}{heads}{'ms':>10}")
    rows = [
        row("as it is", network, *test),
        row("canonicalized", canonical, *test),
        row("probabilities averaged over poses", averaged, *test),
    ]
    on_views.eval()  # batch norms stay as they are
    train(network, cross_entropy(on_views), len(x), epochs)
    return [*rows, row("on Views, fine-tuned", on_views, *test)]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
