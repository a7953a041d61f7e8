"""Dense outputs that are exact: a U-Net over turns, and a feature pyramid over scales.

The features of the U-Net stay on the group up to the end, where ``OrientationPool``
turns them upright and takes the maximum over turns: the map turns with the image, to the
last bit and at any size. The pyramid fuses each scale with the coarser ones.

    python examples/dense.py
"""

import torch
from torch import Tensor, nn

from wavenets import Grid, Levels
from wavenets.nn import (
    BatchNorm,
    GroupConv2d,
    LiftingConv2d,
    MaxPool2d,
    OrientationPool,
    PerLevel,
)
from wavenets.testing import equivariance_error


class UNet(nn.Module):
    """Three resolutions, with shortcuts between the ways down and up.

    Shape: (B, in_channels, H, W) -> (B, out_channels, H, W).
    """

    def __init__(
        self, in_channels: int, out_channels: int, width: int = 8, rotations: int = 4
    ) -> None:
        super().__init__()
        self.grid = Grid(2, rotations=rotations)
        self.lift = LiftingConv2d(in_channels, width, 3, num_scales=1, grid=self.grid)
        self.down = nn.ModuleList(
            self.block(width * 2**i, width * 2 ** (i + 1)) for i in range(2)
        )
        self.up = nn.ModuleList(
            self.block(3 * width * 2**i, width * 2**i) for i in (1, 0)
        )
        self.pool = MaxPool2d(2)
        self.map = nn.Sequential(
            GroupConv2d(width, out_channels, 1, grid=self.grid),
            OrientationPool("max", self.grid),
        )

    def block(self, in_channels: int, out_channels: int) -> nn.Module:
        """A convolution over all turns, batch norm, ReLU."""
        conv = GroupConv2d(in_channels, out_channels, 3, bias=False, grid=self.grid)
        return nn.Sequential(conv, BatchNorm(out_channels), PerLevel(nn.ReLU()))

    def forward(self, x: Tensor) -> Tensor:
        features = self.lift(x)
        shortcuts = []
        for down in self.down:
            shortcuts.append(features)
            features = down(self.pool(features))
        for up in self.up:
            pairs = zip(features, shortcuts.pop(), strict=True)
            features = up(
                Levels(
                    *(
                        torch.cat([self.grid.upscale(a, b.shape[2:]), b], 1)
                        for a, b in pairs
                    )
                )
            )
        return self.map(features)[0]


class Pyramid(nn.Module):
    """A feature pyramid: every scale sees the next ``depth`` coarser ones.

    Shape: S levels -> S - depth. torchvision's starts at the coarsest level, and so
    brings into all maps a level that a smaller image does not have.
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, grid: Grid
    ) -> None:
        super().__init__()
        self.depth, self.grid = depth, grid
        self.lateral = GroupConv2d(in_channels, out_channels, 1, grid=grid)
        self.smooth = GroupConv2d(out_channels, out_channels, 3, grid=grid)

    def forward(self, levels: Levels) -> Levels:
        lateral, turns = self.lateral(levels), self.grid.rotations
        top = lateral
        for _ in range(self.depth):
            pairs = zip(
                lateral, top[turns:], strict=False
            )  # the same turn, one scale coarser
            top = Levels(
                *(
                    fine + self.grid.upscale(coarse, fine.shape[2:])
                    for fine, coarse in pairs
                )
            )
        return self.smooth(top)


def detector(grid: Grid, num_scales: int = 5, depth: int = 2) -> nn.Sequential:
    """A trunk and a pyramid on it."""
    lift = LiftingConv2d(3, 8, 7, num_scales, stride=2, grid=grid)
    return nn.Sequential(
        lift, BatchNorm(8), PerLevel(nn.ReLU()), Pyramid(8, 16, depth, grid)
    )


if __name__ == "__main__":
    net, image = UNet(3, 2).eval(), torch.randn(1, 3, 97, 130)
    with torch.no_grad():
        for turns in (1, 2, 3):
            turned = net(image.rot90(turns, (2, 3))).rot90(-turns, (2, 3))
            difference = (turned - net(image)).abs().max()
            print(
                f"U-Net, turned by {90 * turns}°: largest difference {difference:.1f}"
            )
    for grid in (Grid(2), Grid(2, base=2**0.5)):
        errors = equivariance_error(detector(grid), image, grid)
        print(f"pyramid, {grid}: relative errors {errors}")
