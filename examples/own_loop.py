"""Your own training loop: digits learned at one size, and classified at others.

python examples/own_loop.py
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from wavenets import Grid
from wavenets.nn import (
    BatchNorm,
    GroupConv2d,
    LiftingConv2d,
    PerLevel,
    Readout,
)


def network(num_scales: int) -> nn.Sequential:
    """Return a network whose scales share all weights. One scale is a plain CNN."""
    grid = Grid(2, base=2**0.5)
    return nn.Sequential(
        LiftingConv2d(1, 16, 5, num_scales, stride=2, grid=grid),
        *(BatchNorm(16), PerLevel(nn.ReLU())),
        GroupConv2d(16, 32, 3, stride=2, grid=grid),
        *(BatchNorm(32), PerLevel(nn.ReLU())),
        GroupConv2d(32, 10, 3, grid=grid),
        Readout("mean", positions="max"),
    )


def main(num_scales: int, epochs: int = 6) -> list[float]:
    """Train, and return the accuracy in percent at half, the same and double size."""
    torch.manual_seed(0)
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = F.interpolate(
        images.view(-1, 1, 8, 8).float() / 8 - 1, size=24, mode="bicubic"
    )
    net = network(num_scales)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(epochs):
        for batch in torch.randperm(1400).split(50):
            optimizer.zero_grad()
            F.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    net.eval()
    found = []
    for size in 12, 24, 48:
        x = F.interpolate(images[1400:], size=size, mode="bilinear", antialias=True)
        with torch.no_grad():
            right = net(x).argmax(1) == labels[1400:]
        found.append(100 * right.float().mean().item())
    return found


if __name__ == "__main__":
    for number in 1, 5:
        print(f"{number} scales:", *(f"{accuracy:5.1f} %" for accuracy in main(number)))
