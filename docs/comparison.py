"""Measure escnn and ttach beside this package: the last part of docs/comparison.md. Needs `pip install escnn ttach`.

Rewrites what follows "What was measured" in the page.

    python -m docs.comparison
"""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
import ttach
from escnn import gspaces
from escnn import nn as enn
from torch import Tensor, nn

from wavenets import Grid, equivariant, tiles
from wavenets.models import UNet
from wavenets.nn import GroupConv2d, LiftingConv2d, MaxPool2d, OrientationPool, PerLevel

Map = Callable[[Tensor], Tensor]
PAGE, TITLE = Path(__file__).with_suffix(".md"), "## What was measured\n"
LAYERS = """
**Layers.** The same small network in escnn {escnn} and here, on quarter turns (C4), and with reflections (D4), torch
{torch}: a convolution of 7 × 7 from 3 to 8 channels, ReLU, max-pooling by 2, a group convolution of 3 × 3, maximum over
orientations. White noise of four sizes; relative L2 error of the map of the moved image against the moved map, the
largest of all elements of the group:

"""
AFTER_LAYERS = """
e2cnn 0.2.3 has errors at the same sizes. The kernels are not the reason: if a map is turned about its centre, a
convolution of stride 2 sees other pixels of an even map, and a pooling by 2 other pixels of an odd one. At well-chosen
sizes it is exact up to rounding (e2cnn's own example pads its digits to 29 pixels). The [benchmarks](benchmarks.md)
have the times of escnn's layer and ours.

**Maps.** A plain `UNet`, with random weights, as it is, as the mean over the eight poses of ttach {ttach}
(`SegmentationTTAWrapper` with `d4_transform`), and in `equivariant(network, Grid(2, rotations=4, mirrored=True),
maps=True)`, which sees the same eight poses. The error is defined as above, over all elements of D4:

"""
AFTER_MAPS = """
Both cost eight passes. ttach adds up the poses in the order of its list, so that a moved image is rounded in
another way; here the order of the sum does not depend on the pose. A network of this package with the group inside
(`UNet(rotations=4, mirrored=True)`) is exact as well, in one pass.

**Tiles.** The same `UNet` on an image of 700 × 611 pixels in tiles of 256, against the network on the whole image; the
largest difference relative to the largest value. escnn and ttach have no tiles. Common methods are tiles side by
side, and tiles that overlap by half and are averaged; `wavenets.tiles.predict` finds the receptive field itself:

"""
AFTER_TILES = """
`python -m docs.comparison` measures all of it again. SESN, DISCO and the Fourier layers are not on the package
index and were not run. kymatio was not run either.
"""


def steerable(stride: int, mirrored: bool) -> Map:
    """Return the network in escnn."""
    space = gspaces.flipRot2dOnR2(4) if mirrored else gspaces.rot2dOnR2(4)
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


def ours(stride: int, mirrored: bool) -> Map:
    """Return the network of this package."""
    grid = Grid(2, rotations=4, mirrored=mirrored)
    net = nn.Sequential(
        LiftingConv2d(3, 8, 7, num_scales=1, stride=stride, grid=grid),
        PerLevel(nn.ReLU()),
        MaxPool2d(2),
        GroupConv2d(8, 8, 3, grid=grid),
        OrientationPool("max"),
    ).eval()
    return lambda x: net(x)[0]


def error(net: Map, height: int, width: int, mirrored: bool) -> str:
    """Return how far the map of the moved image is from the moved map, the largest of all elements of the group."""
    x = torch.randn(1, 3, height, width)
    upright, errors = net(x), []
    for flips in [[], [3]] if mirrored else [[]]:
        for turns in range(4):
            moved, expected = (some.flip(flips).rot90(turns, (2, 3)) for some in (x, upright))
            errors.append(((net(moved) - expected).norm() / expected.norm()).item())
    return f"{max(errors):.2g}" if any(errors) else "0.0"


def side_by_side(net: Map, x: Tensor, tile: int, step: int) -> Tensor:
    """Return the map of an image from tiles, averaged where they overlap."""
    total, count = torch.zeros(1, 2, *x.shape[2:]), torch.zeros(x.shape[2:])
    for top in range(0, x.shape[2], step):
        for left in range(0, x.shape[3], step):
            place = ..., slice(top, top + tile), slice(left, left + tile)
            total[place] += net(x[place])
            count[place] += 1
    return total / count


def table(*head: str, rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [list(head), ["---", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@torch.no_grad()
def main() -> None:
    """Run the command."""
    torch.manual_seed(0)
    layers = [
        [
            f"{'D4' if mirrored else 'C4'}, stride {stride}, {size} pixels",
            *(error(make(stride, mirrored), size, size, mirrored) for make in (steerable, ours)),
        ]
        for mirrored in (False, True)
        for stride in (1, 2)
        for size in (64, 65, 66, 67)
    ]
    network = UNet(2, width=8, depth=3).eval()
    averaged = ttach.SegmentationTTAWrapper(network, ttach.aliases.d4_transform(), merge_mode="mean")
    exact = equivariant(network, Grid(2, rotations=4, mirrored=True), maps=True)
    sizes = (64, 64), (67, 67), (61, 90)
    maps = [
        [f"{height} × {width}", *(error(net, height, width, True) for net in (network, averaged, exact))]
        for height, width in sizes
    ]
    x = torch.randn(1, 3, 700, 611)
    whole = network(x)
    tiled = {
        "side by side": side_by_side(network, x, 256, 256),
        "overlapping by half, averaged": side_by_side(network, x, 256, 128),
        "`wavenets.tiles.predict`": torch.as_tensor(tiles.predict(network, x[0], tile=256))[None],
    }
    differences = {name: ((some - whole).abs().max() / whole.abs().max()).item() for name, some in tiled.items()}
    rows = [[name, f"{difference:.2g}" if difference else "0.0"] for name, difference in differences.items()]
    versions = {name: version(name).split("+")[0] for name in ("escnn", "ttach", "torch")}
    parts = [
        *(LAYERS, table("first convolution", "escnn", "here", rows=layers)),
        *(AFTER_LAYERS, table("size", "as it is", "ttach", "here", rows=maps)),
        *(AFTER_MAPS, table("tiles", "difference", rows=rows), AFTER_TILES),
    ]
    before = PAGE.read_text(encoding="utf-8").split(TITLE)[0]
    PAGE.write_text(before + TITLE + "".join(part.format_map(versions) for part in parts), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
