"""The picture of a comparison of maps: both networks beside each other, and where they are wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from torch import Tensor

from experiments.evaluation.map_files import palette
from experiments.report.map_comparison import MapComparison
from experiments.report.style import BLUE, DPI, GREEN, GREY, ORANGE, plain

SIZE = 3.1  # inches of the longer side of an image


def maps(comparison: MapComparison, classes: Sequence[str], note: str = "") -> Figure:
    """Draw image and maps, below them those of the moved image, and below these how far the maps are from each other.

    Args:
        comparison: The comparison.
        classes: Names of the classes, the background first.
        note: How the file was read, to stand under the image.
    """
    sides = comparison.sides
    signals = comparison.signal, comparison.moved
    heights = [max(0.5, min(0.85, x.shape[1] / x.shape[2])) for x in (*signals, signals[1])]
    size = (SIZE + 0.4) * (len(sides) + 1), sum(0.55 + SIZE * height for height in heights)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    figure = Figure(figsize=size, layout=layout, dpi=DPI)
    axes: Any = figure.subplots(3, len(sides) + 1, height_ratios=heights, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, title, x in zip(axes[:, 0], ("the image", comparison.move.summary(2)), signals, strict=False):
        ax.imshow(_colours(x))
        ax.set_title(f"the image {title}" if title.startswith("at") else title, fontsize=11)
        ax.set_xlabel(f"{x.shape[2]} × {x.shape[1]} pixels", fontsize=9, color=GREY)
    if note:
        axes[0, 0].set_xlabel(f"{axes[0, 0].get_xlabel()}, {note}", fontsize=9, color=GREY)
    top = max(float(np.nanmax(side.difference)) for side in sides) or 1.0
    for column, side, colour in zip(axes.T[1:], sides, (ORANGE, BLUE)[-len(sides) :], strict=True):
        for ax, x, numbers in zip(column, signals, (side.original, side.moved), strict=False):
            ax.imshow(_overlaid(x, numbers))
        column[0].set_title(side.name, fontsize=12, color=colour)
        shown = column[2].imshow(side.difference, cmap=_differences(), vmin=0, vmax=top)
        exact = side.error == 0
        said = side.said if exact else side.said.replace(", ", ",\n")
        column[2].set_title(said, fontsize=12, color=GREEN if exact else colour)
    _legend(axes[2, 0], classes, figure, shown)
    return figure


def _legend(ax: Any, classes: Sequence[str], figure: Figure, shown: Any) -> None:
    """Explain the colours of the classes and of the differences."""
    colours = palette() / 255
    names = [plain(name.replace("_", " ")) for name in classes[1:11]]
    patches = [Patch(color=colours[number], label=name) for number, name in enumerate(names, start=1)]
    more = [Patch(color="none", label=f"and {len(classes) - 11} more")] if len(classes) > 11 else []
    title = "classes in the maps above"
    legend = ax.legend(
        handles=[*patches, *more], title=title, loc="upper left", alignment="left", frameon=False, fontsize=9
    )
    text = "On the right: how far the map of the moved\nimage is from the moved map, in probability"
    note = ax.text(0.03, 0.22, text, transform=ax.transAxes, fontsize=9, color=GREY)
    for artist in legend, note:
        artist.set_in_layout(False)
    bar = ax.inset_axes((0.03, 0.1, 0.8, 0.06))
    figure.colorbar(shown, cax=bar, orientation="horizontal").ax.tick_params(labelsize=9)


def _differences() -> Any:
    """Return the colours of differences: white for none, grey beyond the edges of a turned image."""
    return colormaps["OrRd"].with_extremes(bad="#e6e6e6")


def _colours(x: Tensor) -> np.ndarray:
    """Return an image (C, H, W) as matplotlib shows it: three channels in colour, any others in grey."""
    image = x.numpy().clip(0, 1)
    return np.moveaxis(image if len(image) == 3 else np.broadcast_to(image.mean(0), (3, *image.shape[1:])), 0, -1)


def _overlaid(x: Tensor, numbers: np.ndarray) -> np.ndarray:
    """Return an image in pale grey, coloured where a map has another class than the first."""
    grey = 0.35 + 0.65 * _colours(x).mean(-1, keepdims=True)
    return np.where(numbers[..., None] > 0, 0.25 * grey + 0.75 * palette()[numbers] / 255, grey.repeat(3, -1))
