"""Measure networks between quarter turns, where they are not exact: write orientations.json and orientations.md.

An image is turned, and so are the maps that a network returns for it. The error is ‖Φ(turned x) - turned Φ(x)‖ relative
to ‖Φ(turned x)‖, inside of a disk, on average over networks as they are initialised. All have three convolutions and
about the same number of parameters; ``OrientationPool`` takes the mean over the orientations.

    python -m docs.orientations
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from sklearn.datasets import load_sample_image
from torch import nn

from wavenets import Grid
from wavenets.kernels import BSpline, Kernel, Samples
from wavenets.nn import GroupConv2d, LiftingConv2d, OrientationPool, PerLevel

INTRO = """# Between quarter turns

The map of a turned image is compared with the turned map of the image; a map is the mean of the features of a network
over its orientations. The error is relative, in percent, within a disk, for blurred noise ("smooth") and for
photographs, on average over three untrained networks. A grid of 12 or 16 orientations contains 30° or 22.5°, but its
kernels are interpolated at these angles, so that only quarter turns are exact.
`python -m docs.orientations` measures it.
"""
SIZE, MARGIN, WIDTH, SEEDS = 129, 20, 16, 3
ANGLES = 90.0, 45.0, 30.0, 22.5
KERNELS: tuple[Kernel, ...] = Samples(), BSpline(2), BSpline(2, 1.5)

Network = Callable[[np.ndarray], np.ndarray]


def disk(margin: float) -> np.ndarray:
    """Return a disk in the middle, as 0 and 1."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    return x**2 + y**2 <= (SIZE / 2 - margin) ** 2


def images() -> dict[str, np.ndarray]:
    """Return blurred noise, and parts of two photographs, (images, height, width)."""
    noise = np.random.default_rng(0).standard_normal((4, SIZE, SIZE))
    corners = ("china.jpg", 100, 150), ("china.jpg", 250, 400), ("flower.jpg", 100, 150), ("flower.jpg", 250, 400)
    photographs = [load_sample_image(name).mean(2)[i : i + SIZE, j : j + SIZE] for name, i, j in corners]
    sets = {"smooth": ndimage.gaussian_filter(noise, (0, 2.5, 2.5)), "photographs": np.stack(photographs)}
    return {name: (some - some.mean()) / some.std() for name, some in sets.items()}


def turned(maps: np.ndarray, angle: float) -> np.ndarray:
    """Turn the last two axes counterclockwise, in degrees."""
    if angle == 90:
        return np.rot90(maps, axes=(-2, -1))
    return ndimage.rotate(maps, angle, axes=(-2, -1), reshape=False, order=3)


def network(rotations: int, kernel: Kernel, seed: int) -> Network:
    """Return a network from images to maps. With one orientation it is a plain CNN."""
    torch.manual_seed(seed)
    width, grid = round(WIDTH / rotations**0.5), Grid(2, rotations=rotations)
    net = nn.Sequential(
        LiftingConv2d(1, width, 7, 1, grid=grid, kernel=kernel),
        PerLevel(nn.ReLU()),
        GroupConv2d(width, width, 5, grid=grid, kernel=kernel),
        PerLevel(nn.ReLU()),
        GroupConv2d(width, 8, 5, grid=grid, kernel=kernel),
        OrientationPool("mean"),
    )

    @torch.no_grad()
    def maps(some: np.ndarray) -> np.ndarray:
        return net(torch.from_numpy(some * disk(1))[:, None].float())[0].numpy()

    return maps


def errors(rotations: int, kernel: Kernel, some: np.ndarray) -> list[float]:
    """Return the error at each of the angles."""
    found = []
    for seed in range(SEEDS):
        net = network(rotations, kernel, seed)
        upright = net(some)
        for angle in ANGLES:
            actual = net(turned(some, angle)) * disk(MARGIN)
            found.append(np.linalg.norm(actual - turned(upright, angle) * disk(MARGIN)) / np.linalg.norm(actual))
    return np.reshape(found, (SEEDS, len(ANGLES))).mean(0).tolist()


def main() -> None:
    """Run the command."""
    header = "| kernel | orientations | " + " | ".join(f"{name}, {a:g}°" for name in images() for a in ANGLES) + " |"
    lines, table = [header, "|---" * (2 + 2 * len(ANGLES)) + "|"], []
    for kernel in KERNELS:
        for rotations in (1, 4, 8, 12, 16):
            measured = {name: errors(rotations, kernel, some) for name, some in images().items()}
            table.append({"kernel": repr(kernel), "rotations": rotations, "angles": ANGLES, **measured})
            cells = [f"{100 * error:.1f}" if error else "0" for some in measured.values() for error in some]
            lines.append(f"| `{kernel!r}` | {rotations} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    here = Path(__file__)
    here.with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n")
    here.with_suffix(".md").write_text("\n".join([INTRO, *lines]) + "\n")


if __name__ == "__main__":
    main()
