"""Measure how far a fused map is from equivariance over scales: the table in docs/guide/maps.md.

The error is ‖Φ(T x) - T Φ(x)‖ relative to ‖T Φ(x)‖, on two photographs, on average over networks as they are
initialised. All have three convolutions without orientations, and differ in the scales that are fused.

    python -m docs.maps
"""

from typing import cast

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from wavenets import Grid
from wavenets.nn import GatedMapReadout, GroupConv2d, LiftingConv2d, MapReadout, PerLevel
from wavenets.nn.readout import Mode
from wavenets.testing import map_error

MODES = "mean", "max", "gated"
SCALES = 1, 3, 5, 7
BASES = 2, 2**0.5
SEEDS, SIZE, WIDTH = 4, 420, 8


def photographs() -> list[Tensor]:
    """Return parts of two photographs, (1, 3, SIZE, SIZE)."""
    images = (torch.tensor(load_sample_image(name)) for name in ("china.jpg", "flower.jpg"))
    return [image.permute(2, 0, 1)[None, :, :SIZE, 100 : 100 + SIZE].float() / 255 - 0.5 for image in images]


def network(mode: str, num_scales: int, grid: Grid, seed: int) -> nn.Sequential:
    """Return a network from images to maps with four channels."""
    torch.manual_seed(seed)
    trunk = nn.Sequential(
        LiftingConv2d(3, WIDTH, 5, num_scales, grid=grid),
        PerLevel(nn.ReLU()),
        GroupConv2d(WIDTH, WIDTH, 3, grid=grid),
        PerLevel(nn.ReLU()),
    )
    if mode == "gated":
        return nn.Sequential(trunk, GatedMapReadout(WIDTH, 4))
    return nn.Sequential(trunk, GroupConv2d(WIDTH, 4, 3, grid=grid), MapReadout(cast(Mode, mode)))


def error(mode: str, num_scales: int, base: float) -> float:
    """Return the error, on average over photographs and seeds."""
    grid = Grid(2, base)
    nets = [network(mode, num_scales, grid, seed) for seed in range(SEEDS)]
    return sum(map_error(net, x, grid, steps=1) for net in nets for x in photographs()) / len(nets) / 2


if __name__ == "__main__":
    print("| base | readout | " + " | ".join(map(str, SCALES)) + " |")
    for base in BASES:
        for mode in MODES:
            print(f"| {base:.3g} | {mode} | " + " | ".join(f"{100 * error(mode, n, base):.1f}" for n in SCALES) + " |")
