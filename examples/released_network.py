"""A released network for retinal vessels, on images of another magnification.

The W-Net of Galdran et al. (Scientific Reports 12:6174, 2022) was trained on DRIVE. On
CHASE_DB1, where vessels are twice as wide in pixels, it finds half of them. One line
lets it answer at five scales and in eight poses, and takes the scale of each image at
which it is surest, without training and without the magnification:

    equivariant(network, grid, num_scales=5, mode="confident", maps=True)

Arguments are a checkout of github.com/agaldran/lwnet and folders of images, each with a
metadata.csv whose columns file, mask and fov name an image, its vessels and its field
of view. Of DRIVE the test part is taken (column split), since the rest trained it:

    python examples/released_network.py lwnet DRIVE CHASE_DB1
"""

import csv
import importlib
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from wavenets import Grid, Levels, equivariant
from wavenets.nn import MapReadout

GRID = Grid(2, base=2**0.5, rotations=4, mirrored=True)
THRESHOLD = math.log(0.4196 / (1 - 0.4196))  # of the logits, as released


class Padded(nn.Module):
    """A network on images padded to multiples of 8, the sizes that it takes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        padded = F.pad(x, (0, -width % 8, 0, -height % 8))
        return self.network(padded)[..., :height, :width]


def released(folder: Path) -> nn.Module:
    """Return the W-Net with its weights for DRIVE."""
    code = next(folder.rglob("get_model.py")).parent
    weights = next(folder.rglob("model_checkpoint.pth"))
    if (folder / "experiments").is_dir():  # several networks
        weights = folder / "experiments" / "wnet_drive" / "model_checkpoint.pth"
    sys.path[:0] = [str(code.resolve().parent), str(code.resolve())]
    get_model = importlib.import_module(f"{code.resolve().name}.get_model")
    network = get_model.get_arch("wnet")
    kept = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict(kept["model_state_dict"])
    network.mode = "eval"  # one map, not that of each half
    return Padded(network.eval())


def images(folder: Path, count: int | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield image, vessels and field of view, cropped to the field of view."""
    rows = list(csv.DictReader((folder / "metadata.csv").open()))
    if folder.name == "DRIVE":
        rows = [row for row in rows if row["split"] == "test"]
    for row in rows[:count]:
        files = [Image.open(folder / row[key]) for key in ("file", "mask", "fov")]
        image = torch.from_numpy(np.array(files[0].convert("RGB"))).movedim(2, 0) / 255
        vessels, view = (
            torch.from_numpy(np.array(file.convert("L")) > 127) for file in files[1:]
        )
        inside = view.nonzero()
        (top, left), (bottom, right) = inside.amin(0), inside.amax(0) + 1
        crop = (..., slice(top, bottom), slice(left, right))
        yield image[crop][None], vessels[crop], view[crop]


def maps(network: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Return the logits of the network itself, and of every way to fuse its views."""
    surest = equivariant(network, GRID, num_scales=5, mode="confident", maps=True)
    levels = surest[:2](image)  # every way is a readout of these
    upright = Levels(*levels[:: GRID.orientations], grid=Grid(2, base=GRID.base))
    rows = {"as it is": upright[0]}
    for scales in (2, 3, 4, 5):
        for mode in ("mean", "max"):
            fused = MapReadout(mode)(upright[:scales])
            rows[f"{scales} scales, {mode}"] = fused
    rows["surest of 5 scales"] = MapReadout("confident")(upright)
    rows["8 poses, mean"] = MapReadout("mean")(levels[: GRID.orientations])
    rows["8 poses, surest of 5 scales"] = surest[2](levels)
    return rows


@torch.no_grad()
def main(network: Path, *folders: Path, count: int | None = None) -> None:
    """Print the Dice score in percent, over all pixels in the fields of view."""
    net = released(network)
    for folder in folders:
        both, either = Counter[str](), Counter[str]()
        for image, vessels, view in images(folder, count):
            for name, logits in maps(net, image).items():
                found = (logits[0, 0] > THRESHOLD) & view
                both[name] += 2 * int((found & vessels).sum())
                either[name] += int(found.sum() + (vessels & view).sum())
        print(folder.name, flush=True)
        for name, total in either.items():
            print(f"    {name:32}{100 * both[name] / total:6.2f}", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
