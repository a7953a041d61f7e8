"""An existing network made equivariant to scale and quarter turns, without a change to it.

With torchvision it is a pretrained ResNet-18, else one of this package.

    python examples/any_network.py
"""

import torch
from torch import Tensor, nn

from wavenets import Grid
from wavenets.models import ResNet
from wavenets.nn import PerScale, ScaleReadout, Views
from wavenets.testing import equivariance_error


def on_all_views(network: nn.Module, grid: Grid, num_scales: int) -> nn.Sequential:
    """Puts one network on all views of an image, and takes the mean of its logits."""
    return nn.Sequential(Views(num_scales, grid), PerScale(network), ScaleReadout("mean", grid=grid))


def resnet18() -> nn.Module:
    """A ResNet-18, pretrained if torchvision is there."""
    try:
        from torchvision.models import resnet18

        network: nn.Module = resnet18(weights="DEFAULT")
    except (ImportError, OSError, RuntimeError):  # not installed, of another torch, or no network
        network = ResNet()
    return network


def main(network: nn.Module, image: Tensor) -> None:
    """Prints how far the logits of every view move when the image is rescaled, turned, or both."""
    grid = Grid(2, rotations=4)
    net = on_all_views(network.eval(), grid, num_scales=3)
    for steps, turns in ((1, 0), (0, 1), (1, 3)):
        errors = equivariance_error(net[:2], image, grid, steps, turns)
        print(f"rescaled by 1/{2**steps}, turned by {90 * turns:3}°: relative errors {sorted(set(errors))}")


if __name__ == "__main__":
    main(resnet18(), torch.randn(1, 3, 150, 200))
