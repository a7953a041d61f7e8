"""A ResNet made equivariant with ``Views``, and its accuracy before and after.

The network is used as it is. Here it is the ResNet of this package, trained on digits;
one of torchvision or timm can take its place unchanged, with its weights:

    network = torchvision.models.resnet18(weights="DEFAULT")

    python examples/any_network.py
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from wavenets import Grid
from wavenets.models import ResNet
from wavenets.nn import PerLevel, Readout, Views
from wavenets.testing import equivariance_error

SIZES, TURNS = (0.5, 0.71, 1.0, 1.41, 2.0), (1, 2, 3)


def on_all_views(network: nn.Module, grid: Grid, num_scales: int) -> nn.Sequential:
    """Apply one network to all views of an image, and return the mean of its logits.

    As ``wavenets.equivariant``, but in training half of the scales are left out at
    random, so that each of them learns to distinguish the classes.
    """
    return nn.Sequential(
        Views(num_scales, grid),
        PerLevel(network),
        Readout("mean", dropout=0.5),
    )


def digits(size: int = 32) -> tuple[Tensor, Tensor]:
    """Return images (1797, 3, size, size) and their labels."""
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    return F.interpolate(x, size=size, mode="bicubic").repeat(1, 3, 1, 1), torch.tensor(
        labels
    )


def train(
    network: nn.Module, images: Tensor, labels: Tensor, epochs: int, rate: float
) -> None:
    """Train with Adam and cross-entropy. The caller sets the mode."""
    optimizer = torch.optim.Adam(network.parameters(), rate)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(100):
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy on these images in percent."""
    predicted = torch.cat([network(batch).argmax(1) for batch in images.split(100)])
    return 100 * (predicted == labels).float().mean().item()


def row(network: nn.Module, images: Tensor, labels: Tensor) -> str:
    """Return the accuracy over sizes, then over quarter turns."""
    changed = [
        F.interpolate(images, scale_factor=s, mode="bilinear", antialias=True)
        for s in SIZES
    ]
    changed += [images.rot90(turns, (2, 3)) for turns in TURNS]
    return "".join(f"{accuracy(network, some, labels):7.1f}" for some in changed)


def main(
    width: int = 8, epochs: int = 12, images: int = 1797, tests: int = 300
) -> None:
    """Train a network, fine-tune it on all views, and print its accuracy each time."""
    torch.manual_seed(0)
    x, y = (part[:images] for part in digits())
    seen, test = (x[:-tests], y[:-tests]), (x[-tests:], y[-tests:])
    grid = Grid(2, base=2**0.5, rotations=4)
    network = ResNet(10, width=width)
    train(network.train(), *seen, epochs, 2e-3)
    network.eval()
    print(
        " " * 32
        + "".join(f"{f'×{s:g}':>7}" for s in SIZES)
        + "".join(f"{f'{90 * t}°':>7}" for t in TURNS)
    )
    print(f"{'before':32}{row(network, *test)}", flush=True)
    net = on_all_views(network, grid, num_scales=4)
    print(f"{'on all views, the same weights':32}{row(net, *test)}", flush=True)
    net[2].train()  # the readout alone: the batch norms of the network stay as they are
    train(net, *seen, epochs // 2, 2e-3)
    net.eval()
    print(f"{'on all views, fine-tuned':32}{row(net, *test)}")
    for steps, turns in ((1, 0), (0, 1), (1, 3)):
        errors = equivariance_error(net[:2], x[:1], grid, steps, turns)
        print(f"{steps} scales, {turns} quarter turns: errors {sorted(set(errors))}")


if __name__ == "__main__":
    main()
