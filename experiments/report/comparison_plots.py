"""Pictures of a comparison: the features level by level, and the probabilities of the classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from experiments.report.comparison import Comparison, Level, Side
from experiments.report.move import percentage
from experiments.report.style import BLUE, DPI, GREEN, GREY, ORANGE, label_axes, plain

ROWS = 32  # channels of a sound that are drawn, the strongest ones
MAPS = 5  # channels of an image that are drawn
BANDS = 64  # bands of the spectrogram


def features(comparison: Comparison, sample_rate: int | None = None, note: str = "") -> Figure:
    """Draw both signals, and below them the features of the plain network and of ours, with their errors.

    Args:
        comparison: The comparison.
        sample_rate: Sampling rate of a sound, in Hz. ``None``: the signals are images.
        note: How the file was read, to stand under the original.
    """
    sides = [(level, colour) for side, colour in _coloured(comparison) for level in side.levels]
    heights = [1.5] + [1.0] * len(sides)
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.04, wspace=0.03)
    figure = Figure(figsize=(11, 0.6 + 0.95 * sum(heights)), layout=layout, dpi=DPI)
    axes = figure.subplots(len(heights), 3, width_ratios=(4, 4, 1.6), height_ratios=heights, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    kind, done = "the sound" if sample_rate else "the image", comparison.move.summary(1 if sample_rate else 2)
    for ax, title, x in zip(axes[0], (kind, f"{kind} {done}"), (comparison.signal, comparison.moved), strict=False):
        ax.set_title(title, fontsize=12)
        _signal(ax, x, sample_rate)
    axes[0, 0].set_xlabel(", ".join(filter(None, (axes[0, 0].get_xlabel(), note))), fontsize=9, color=GREY)
    axes[0, 2].text(0.5, 0.0, "how far they are\nfrom each other", ha="center", va="bottom", fontsize=11, color=GREY)
    for (left, right, text), (level, colour) in zip(axes[1:], sides, strict=True):
        _features(left, right, level, sound=sample_rate is not None)
        left.set_ylabel(level.name.replace(", ", ",\n"), rotation=0, ha="right", va="center", fontsize=11, color=colour)
        said, tone = percentage(level.error), GREEN if level.error == 0 else colour
        text.text(0.5, 0.5, said, ha="center", va="center", fontsize=13 if level.error else 12, color=tone)
    return figure


def probabilities(comparison: Comparison, classes: Sequence[str], top: int = 10) -> Figure:
    """Draw the probabilities of the likeliest classes, before the signal was moved and after.

    Args:
        comparison: The comparison.
        classes: Names of the classes.
        top: Number of classes of each network.
    """
    figure = Figure(figsize=(11, 1.2 + 0.27 * min(top, len(classes))), layout="constrained", dpi=DPI)
    sides = _coloured(comparison)
    for ax, (side, colour) in zip(figure.subplots(1, len(sides), sharex=True, squeeze=False)[0], sides, strict=True):
        _bars(ax, side, colour, classes, top)
    return figure


def _coloured(comparison: Comparison) -> list[tuple[Side, str]]:
    """Return both sides with their colours, ours last."""
    return list(zip(comparison.sides, (ORANGE, BLUE)[-len(comparison.sides) :], strict=True))


def _bars(ax: Axes, side: Side, colour: str, classes: Sequence[str], top: int) -> None:
    most = np.maximum(side.probabilities.numpy(), side.moved_probabilities.numpy())
    chosen = np.sort(np.argsort(-most, kind="stable")[:top])[::-1]  # in their own order: bars stay where they are
    places = np.arange(len(chosen))
    label_axes(ax, side.name, "", "")
    ax.title.set_color(colour)
    ax.grid(axis="y", visible=False)
    for values, offset, shade, label in (
        (side.moved_probabilities, -0.2, colour, "moved"),
        (side.probabilities, 0.2, "#c4c4c4", "original"),
    ):
        ax.barh(places + offset, values.numpy()[chosen], 0.36, color=shade, label=label)
    ax.set_yticks(places, [plain(classes[i].replace("_", " ")) for i in chosen])
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)


def _signal(ax: Axes, x: Tensor, sample_rate: int | None) -> None:
    if sample_rate is None:
        image = x.permute(1, 2, 0).numpy().clip(0, 1)
        ax.imshow(image if image.shape[2] == 3 else image.mean(2), cmap="gray", vmin=0, vmax=1)
        ax.set_xlabel(f"{x.shape[2]} × {x.shape[1]} pixels", fontsize=9, color=GREY)
        return
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x.mean(0).numpy(), 2 * BANDS), 4 * BANDS)[:: BANDS // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(4 * BANDS), axis=1))[:, 1:] ** 2
    decibels = 10 * np.log10(power + 1e-4 * power.max() + 1e-12).T
    ax.imshow(decibels, origin="lower", aspect="auto", cmap="magma")
    ax.set_xlabel(f"{x.shape[1] / sample_rate:.2f} s, up to {sample_rate / 2000:g} kHz", fontsize=9, color=GREY)


def _features(left: Axes, right: Axes, level: Level, sound: bool) -> None:
    """Draw the same channels on both sides, in the same colours; of spectrograms low frequencies at the bottom."""
    count = ROWS if level.moved.ndim == 2 else MAPS
    chosen = level.expected.flatten(1).norm(dim=1).topk(min(count, len(level.expected))).indices.sort().values
    pair = [some[chosen].numpy() for some in (level.original, level.moved)]
    top = max(some.max() for some in pair) or 1
    for ax, some in zip((left, right), pair, strict=True):
        picture = some if some.ndim == 2 else mosaic(some)
        ax.imshow(
            picture,
            aspect="auto" if sound else "equal",
            origin="lower" if sound else "upper",
            cmap="magma",
            vmin=0,
            vmax=top,
            interpolation="nearest",
        )


def mosaic(maps: np.ndarray) -> np.ndarray:
    """Return maps (N, H, W) side by side, with gaps of NaN.

    Example:
        >>> mosaic(np.ones((2, 1, 2)))
        array([[ 1.,  1., nan,  1.,  1.]])
    """
    gap = np.full((maps.shape[1], max(1, maps.shape[2] // 10)), np.nan)
    parts = [part for some in maps for part in (gap, some)]
    return np.concatenate(parts[1:], 1)
