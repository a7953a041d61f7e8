"""Measure escnn beside this package on quarter turns: the table in docs/comparison.md. Needs `pip install escnn`.

python -m docs.comparison
"""

from collections.abc import Callable

import torch
from escnn import gspaces
from escnn import nn as enn
from torch import Tensor, nn

from wavenets import Grid
from wavenets.nn import GroupConv2d, LiftingConv2d, MaxPool2d, OrientationPool, PerLevel


def steerable(stride: int) -> Callable[[Tensor], Tensor]:
    """Return the network in escnn."""
    space = gspaces.rot2dOnR2(4)
    image = enn.FieldType(space, 3 * [space.trivial_repr])
    hidden = enn.FieldType(space, 8 * [space.regular_repr])
    net = enn.SequentialModule(
        enn.R2Conv(image, hidden, 7, padding=3, stride=stride),
        enn.ReLU(hidden),
        enn.PointwiseMaxPool(hidden, 2),
        enn.R2Conv(hidden, hidden, 3, padding=1),
        enn.GroupPooling(hidden),
    ).eval()
    return lambda x: net(enn.GeometricTensor(x, image)).tensor


def ours(stride: int) -> Callable[[Tensor], Tensor]:
    """Return the network of this package."""
    grid = Grid(2, rotations=4)
    net = nn.Sequential(
        LiftingConv2d(3, 8, 7, num_scales=1, stride=stride, grid=grid),
        PerLevel(nn.ReLU()),
        MaxPool2d(2),
        GroupConv2d(8, 8, 3, grid=grid),
        OrientationPool("max"),
    )
    return lambda x: net(x)[0]


@torch.no_grad()
def error(net: Callable[[Tensor], Tensor], size: int) -> float:
    """Return how far the map of the turned image is from the turned map."""
    x = torch.randn(1, 3, size, size)
    actual, expected = net(x.rot90(1, (2, 3))), net(x).rot90(1, (2, 3))
    return ((actual - expected).norm() / expected.norm()).item()


if __name__ == "__main__":
    torch.manual_seed(0)
    for stride in (1, 2):
        nets = steerable(stride), ours(stride)
        for size in (64, 65, 66, 67):
            print(f"stride {stride}, {size} pixels:", *(f"{error(net, size):8.2g}" for net in nets))
