"""Dense outputs: a U-Net whose map turns with the image, and a pyramid over scales.

The U-Net of the package stays on the group up to its readout, so that its map is turned
and mirrored as the image is, to the last bit and at any size. The pyramid fuses each
scale with the coarser ones.

    python examples/dense.py
"""

import torch
from torch import nn

from wavenets import Grid, Levels
from wavenets.models import UNet
from wavenets.nn import (
    BatchNorm,
    GroupConv2d,
    LiftingConv2d,
    PerLevel,
)
from wavenets.testing import equivariance_error, map_error


class Pyramid(nn.Module):
    """A feature pyramid: every scale sees the next ``depth`` coarser ones.

    Shape: S levels -> S - depth. The pyramid of torchvision starts at the coarsest
    level, and so all of its maps depend on a level that a smaller image does not have.
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, grid: Grid
    ) -> None:
        super().__init__()
        self.depth, self.grid = depth, grid
        self.lateral = GroupConv2d(in_channels, out_channels, 1, grid=grid)
        self.smooth = GroupConv2d(out_channels, out_channels, 3, grid=grid)

    def forward(self, levels: Levels) -> Levels:
        lateral = self.lateral(levels)
        top = lateral
        for _ in range(self.depth):  # the same orientation, one scale coarser
            pairs = zip(lateral, top[self.grid.orientations :], strict=False)
            fused = (a + self.grid.align(b, a.shape[2:]) for a, b in pairs)
            top = Levels(*fused, grid=self.grid)
        return self.smooth(top)


def detector(grid: Grid, num_scales: int = 5, depth: int = 2) -> nn.Sequential:
    """Return a trunk and a pyramid on it."""
    lift = LiftingConv2d(3, 8, 7, num_scales, stride=2, grid=grid)
    return nn.Sequential(
        lift, BatchNorm(8), PerLevel(nn.ReLU()), Pyramid(8, 16, depth, grid)
    )


if __name__ == "__main__":
    image, d4 = torch.randn(1, 3, 97, 130), Grid(2, rotations=4, mirrored=True)
    net = UNet(2, width=8, rotations=4, mirrored=True)
    for turns, mirror in ((1, False), (2, False), (0, True), (3, True)):
        error = map_error(net, image, d4, turns=turns, mirror=mirror)
        print(f"U-Net, mirrored {mirror}, turned by {90 * turns}°: error {error}")
    for grid in (Grid(2), Grid(2, base=2**0.5)):
        errors = equivariance_error(detector(grid), image, grid)
        print(f"pyramid, {grid}: relative errors {errors}")
