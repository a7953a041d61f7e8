"""Measure a released network over image sizes, as it is and on views: figure and table in docs/guide/canonical.md.

Images and vessels of the test part of DRIVE and of CHASE_DB1 are resized. At each size the W-Net, which its authors
trained on DRIVE, is tested as it is, and in one line on five scales of √2; beside it, in both ways, the network of
``pretrained/vessels``, which was trained on DRIVE on four scales and has about as many weights. The arguments are those
of ``examples/released_network.py``. Writes released.json, and released.png from it. Without arguments it only draws and
prints the table:

    python -m docs.released lwnet DRIVE CHASE_DB1 --images 10
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from docs.scales import SIZES
from examples.released_network import THRESHOLD, images, released
from experiments import load
from experiments.data.image.geometry import resize
from experiments.files import whole, write_json
from wavenets import Grid
from wavenets.nn import MapReadout, PerLevel, Views

STYLES = {
    "as it is": {"color": "tab:orange", "marker": "o"},
    "mean of five scales": {"color": "tab:gray", "marker": "s", "linestyle": "--"},
    "surest of five scales": {"color": "tab:blue", "marker": "o"},
    "trained on four scales": {"color": "tab:green", "marker": "^", "linestyle": "--"},
    "trained on four, surest of five": {"color": "tab:green", "marker": "^"},
}
FILE = Path(__file__).with_suffix(".json")


def found(network: nn.Module, trained: nn.Module, image: Tensor) -> list[Tensor]:
    """Return where there are vessels, in the order of ``STYLES``."""
    views, surest = Views(5, Grid(2, base=2**0.5))(image), MapReadout("confident")
    levels, ours = PerLevel(network)(views), PerLevel(trained)(views)
    ways = levels[0], MapReadout("mean")(levels), surest(levels)
    return [*(logits > THRESHOLD for logits in ways), ours[0] > 0, surest(ours) > 0]


@torch.inference_mode()
def measure(network: nn.Module, trained: nn.Module, folder: Path, count: int | None) -> dict[str, Any]:
    """Return the number of images, and for each way Dice at each size, over all pixels in the fields of view."""
    both, either, done = Counter[tuple[str, float]](), Counter[tuple[str, float]](), 0
    for image, *masks in images(folder, count):
        for size in SIZES:
            vessels, view = (resize(mask, size) for mask in masks)
            for name, mask in zip(STYLES, found(network, trained, resize(image[0], size)[None]), strict=True):
                inside = mask[0, 0] & view
                both[name, size] += 2 * int((inside & vessels).sum())
                either[name, size] += int(inside.sum() + (vessels & view).sum())
        done += 1
        print(f"{folder.name}: {done} images", flush=True)
    dice = {name: [both[name, size] / either[name, size] for size in SIZES] for name in STYLES}
    return {"images": done, "dice": dice}


def draw(results: dict[str, Any], file: Path) -> None:
    """Draw the Dice coefficient over sizes, a panel for each folder."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    panels = figure.subplots(1, len(results["sets"]), sharey=True, squeeze=False)[0]
    for ax, (name, result) in zip(panels, results["sets"].items(), strict=True):
        for way, dice in result["dice"].items():
            ax.plot(results["sizes"], [100 * value for value in dice], label=way, **STYLES[way])
        ax.set_title(f"{name}, {result['images']} images", fontsize=10)
        ax.set(xscale="log", xlabel="size of the image", ylim=(0, 100))
        ax.set_xticks(results["sizes"], [f"{size:g}" for size in results["sizes"]])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    panels[0].set_ylabel("Dice, percent")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    with whole(file) as unfinished:
        figure.savefig(unfinished, dpi=200, format="png")


def table(results: dict[str, Any]) -> str:
    """Return the Dice coefficients in percent, as Markdown."""
    sizes = [f"{size:g}" for size in results["sizes"]]
    lines = [f"| | {' | '.join(['', *sizes])} |", f"|---|---{'|--:' * len(sizes)}|"]
    for name, result in results["sets"].items():
        for way, dice in result["dice"].items():
            lines.append(f"| {' | '.join([name, way, *(f'{100 * value:.1f}' for value in dice)])} |")
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, nargs="?", help="checkout of github.com/agaldran/lwnet")
    parser.add_argument("folders", type=Path, nargs="*", help="folders of images; DRIVE is its test part")
    parser.add_argument("--images", type=int, help="only so many images of each folder, the first ones")
    options = parser.parse_args()
    if options.network:
        network, trained = released(options.network), load(FILE.parents[1] / "pretrained" / "vessels").network
        sets = {folder.name: measure(network, trained, folder, options.images) for folder in options.folders}
        write_json(FILE, {"sizes": SIZES, "sets": sets})
    results = json.loads(FILE.read_text())
    draw(results, FILE.with_suffix(".png"))
    print(table(results))


if __name__ == "__main__":
    main()
