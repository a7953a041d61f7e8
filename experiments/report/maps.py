"""Plots of maps and of numbers: cases of a segmentation, predicted against true numbers of a regression."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from experiments.data.inputs import IGNORED, INSTANCE
from experiments.report.style import BLUE, GREEN, GREY, ORANGE, label_axes, plain, save

PURPLE = "#CC79A7"  # from the palette of `style`
SIZE = 1000  # pixels of a picture at most; of larger ones every second, third, … pixel is drawn
ERRORS = {"false positive": ORANGE, "false negative": BLUE, "wrong class": PURPLE, "does not count": GREY}


@dataclass(frozen=True)
class Case:
    """An image with its masks.

    Attributes:
        name: Title, such as the name of the file.
        image: Channels, rows and columns, (C, H, W); one channel is shown in grey, and so is the mean of two or more
            than three.
        truth: Target, (H, W): class number + 256 × number of the instance.
        prediction: Class numbers, (H, W).
        dice: Dice coefficient of the image; 1 if neither mask has foreground.
    """

    name: str
    image: NDArray[Any]
    truth: NDArray[Any]
    prediction: NDArray[Any]
    dice: float


def overlays(file: Path, cases: Sequence[Case], classes: Sequence[str]) -> None:
    """Draw cases, such as the best, the median and the worst: image, true outlines, predicted outlines, and errors.

    Args:
        file: PNG to write.
        cases: The best, the median and the worst, or of two images the best and the worst, in this order.
        classes: Class names, with the background.
    """
    places = ("best", "median", "worst") if len(cases) == 3 else ("best", "worst")
    ratios = [case.truth.shape[0] / case.truth.shape[1] for case in cases]
    figure = Figure(figsize=(12.8, 1 + sum(0.35 + 3.2 * ratio for ratio in ratios)), layout="constrained")
    rows = figure.subplots(len(cases), 4, squeeze=False, height_ratios=ratios)
    colours: list[Any] = [colormaps["tab10"](number % 10) for number in range(len(classes) - 1)]
    colours = [GREEN] if len(classes) == 2 else colours
    for place, case, axes in zip(places, cases, rows, strict=False):
        step = -(-max(case.truth.shape) // SIZE)
        image, truth, prediction = (array[..., ::step, ::step] for array in (case.image, case.truth, case.prediction))
        truth = truth % INSTANCE
        for ax in axes:
            ax.set_axis_off()
            ax.imshow(_displayed(image), cmap="gray")
        axes[0].set_title(plain(f"{place}: {case.name}"), loc="left", fontsize=10)
        axes[1].set_title("truth", fontsize=10)
        axes[2].set_title("prediction", fontsize=10)
        axes[3].set_title(f"errors (Dice {case.dice:.3f})", fontsize=10)
        _outline(axes[1], truth, colours)
        _outline(axes[2], prediction, colours)
        axes[3].imshow(_errors(truth, prediction))
    lines = [Line2D([], [], color=c, label=plain(name)) for c, name in zip(colours, classes[1:], strict=True)]
    patches = [Patch(color=c, label=n) for n, c in ERRORS.items() if n != "wrong class" or len(classes) > 2]
    figure.legend(handles=[*lines, *patches], loc="outside lower center", ncols=6, frameon=False)
    save(figure, file)


def scatter(
    file: Path,
    predicted: NDArray[Any],
    true: NDArray[Any],
    names: Sequence[str],
    units: Sequence[str] | None = None,
) -> None:
    """Draw predicted against true numbers, one panel for each number, with the line on which they are equal.

    Args:
        file: PNG to write.
        predicted: Predicted numbers, (examples, numbers).
        true: True numbers, of the same shape.
        names: Name of each number.
        units: Unit of each number.
    """
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.2 * columns, 4.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    for number, (ax, name) in enumerate(zip(axes, names, strict=False)):
        x, y = true[:, number], predicted[:, number]
        unit = plain(units[number]) if units is not None else ""
        title = f"{plain(name)}\nmean absolute error {np.abs(x - y).mean():.3g} {unit}"
        label_axes(ax, title, f"true ({unit})" if unit else "true", f"predicted ({unit})" if unit else "predicted")
        low, high = min(x.min(), y.min()), max(x.max(), y.max())
        margin = 0.05 * (high - low) or 1.0
        ax.plot([low - margin, high + margin], [low - margin, high + margin], color=GREY, linestyle=":", zorder=1)
        ax.scatter(x, y, s=12, color=BLUE, alpha=max(0.1, min(0.8, 200 / len(x))), linewidths=0, rasterized=True)
        ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
    save(figure, file)


def _displayed(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image as matplotlib shows it, its values spread over the range from black to white."""
    shown = np.moveaxis(image.astype(np.float64), 0, -1)
    shown = shown if shown.shape[-1] == 3 else shown.mean(-1)
    low, high = shown.min(), shown.max()
    return (shown - low) / (high - low or 1.0)


def _outline(ax: Axes, mask: NDArray[Any], colours: Sequence[Any]) -> None:
    for number, colour in enumerate(colours, start=1):
        if (mask == number).any():
            rows, columns = (np.arange(-1, size + 1) for size in mask.shape)
            ax.contour(columns, rows, np.pad(mask == number, 1), [0.5], colors=[colour], linewidths=1.2)
    ax.set(xlim=(-1, mask.shape[1]), ylim=(mask.shape[0], -1))


def _errors(truth: NDArray[Any], prediction: NDArray[Any]) -> NDArray[Any]:
    """Return what is wrong at each pixel as a picture with transparency."""
    counts = truth != IGNORED
    masks = {
        "false positive": counts & (truth == 0) & (prediction > 0),
        "false negative": counts & (truth > 0) & (prediction == 0),
        "wrong class": counts & (truth > 0) & (prediction > 0) & (truth != prediction),
        "does not count": ~counts,
    }
    picture = np.zeros((*truth.shape, 4))
    for name, mask in masks.items():
        picture[mask] = to_rgba(ERRORS[name], 0.8)
    return picture
