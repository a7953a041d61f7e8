"""The pictures of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter
from torch import nn

from experiments.report.prediction import Prediction
from wavenets.nn import LiftingConv

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"  # distinct to colour-blind eyes (Okabe and Ito)
DPI = 150


def label_axes(ax: Axes, title: str, x: str, y: str) -> None:
    """Sets title and labels, and the style that all pictures have."""
    ax.set(title=title, xlabel=x, ylabel=y)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e5e5e5")
    ax.set_axisbelow(True)


def _told(name: str) -> str:
    return name.replace("_", " ").replace("$", r"\$")  # between two of them matplotlib sets mathematics


def _title(metric: str) -> str:
    return "AUROC" if metric == "auroc" else metric.replace("_", " ").capitalize()


def metric_axis(ax: Axes, metric: str, horizontal: bool = False) -> None:
    """Sets an axis for a metric between 0 and 1."""
    axis, limits = (ax.xaxis, ax.set_xlim) if horizontal else (ax.yaxis, ax.set_ylim)
    limits(0, 1.02)
    if metric == "accuracy":
        axis.set_major_formatter(PercentFormatter(1))


def factor_axis(ax: Axes, factors: Sequence[float], quantity: str) -> None:
    """Sets the horizontal axis for factors, which are spread evenly by their logarithm, or angles in degrees."""
    if quantity == "angle":
        ax.set_xticks(factors, [f"{factor:g}°" for factor in factors])
    else:
        ax.set_xscale("log", base=2)
        ax.set_xticks(factors, [f"×{factor:g}" for factor in factors])
        ax.xaxis.set_minor_locator(NullLocator())


def curves(file: Path, rows: Sequence[Mapping[str, float]], best_epoch: int, metric: str) -> None:
    """Draws loss, metric and learning rate over the epochs.

    Args:
        file: PNG to write.
        rows: the metrics of each epoch, as `EpochLog` keeps them.
        best_epoch: the epoch that was tested.
        metric: name of the metric, such as ``"accuracy"``.
    """
    epochs = [row["epoch"] for row in rows]
    marker = "." if len(rows) < 40 else ""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, middle, rate = figure.subplots(1, 3)
    for ax, name in (loss, "loss"), (middle, metric):
        ax.plot(epochs, [row.get(f"train_{name}", np.nan) for row in rows], color=BLUE, marker=marker, label="training")
        ax.plot(
            epochs, [row.get(f"val_{name}", np.nan) for row in rows], color=ORANGE, marker=marker, label="validation"
        )
    rate.step(epochs, [row["lr"] for row in rows], color=BLUE, where="mid")
    rate.set_yscale("log")
    rate.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    rate.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    rate.yaxis.set_minor_locator(NullLocator())
    label_axes(loss, "Loss", "epoch", "cross-entropy (nats)")
    label_axes(middle, _title(metric), "epoch", metric.replace("_", " "))
    label_axes(rate, "Learning rate", "epoch", "learning rate")
    loss.set_ylim(bottom=0)
    metric_axis(middle, metric)
    for ax in loss, middle, rate:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.axvline(best_epoch, color=GREY, linestyle=":", label=f"best epoch, {best_epoch}")
    middle.legend(loc="lower right")
    figure.savefig(file, dpi=DPI)


def confusion(file: Path, matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Draws a confusion matrix; the colour is the share of the true class.

    Args:
        file: PNG to write.
        matrix: counts; rows are the truth, columns the prediction.
        classes: class names.
    """
    counts = np.array(matrix)
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    size = 3 + 0.45 * min(len(classes), 20)
    figure = Figure(figsize=(size + 1.2, size), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [_told(name) for name in classes]
    small = len(classes) > 20
    slant: dict[str, Any] = {"rotation": 90 if small else 45, "rotation_mode": "anchor", "ha": "right", "va": "center"}
    ax.set_xticks(range(len(names)), names, **slant)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(labelsize=6 if small else 9, length=0)
    if not small:
        for row, column in np.argwhere(counts):
            colour = "white" if share[row, column] > 0.5 else "black"
            ax.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=9)
    accuracy = counts.trace() / counts.sum()
    ax.set(title=f"Test fold: {accuracy:.1%} of {counts.sum()} clips", xlabel="predicted", ylabel="true")
    bar = figure.colorbar(image, ax=ax, shrink=0.8, label="share of the true class")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    figure.savefig(file, dpi=DPI)


def by_class(file: Path, values: Sequence[float | None], classes: Sequence[str]) -> None:
    """Draws the average precision of each class, the best first.

    Args:
        file: PNG to write.
        values: average precision of each class; None is left out.
        classes: class names.
    """
    pairs = [(value, name) for value, name in zip(values, classes, strict=True) if value is not None]
    pairs.sort(key=lambda pair: pair[0])
    figure = Figure(figsize=(6, 1.5 + 0.2 * len(pairs)), layout="constrained")
    ax = figure.subplots()
    label_axes(ax, "Test examples: average precision by class", "average precision", "")
    ax.barh([_told(name) for _, name in pairs], [value for value, _ in pairs], color=BLUE)
    ax.set_xlim(0, 1.02)
    ax.margins(y=0.01)
    figure.savefig(file, dpi=DPI)


def rescaled(file: Path, values: Mapping[float, float], metric: str, chance: float | None, quantity: str) -> None:
    """Draws a metric against the factor by which inputs are rescaled.

    Args:
        file: PNG to write.
        values: factor → metric.
        metric: its name, such as ``"accuracy"``.
        chance: what guessing would come to; None draws no line.
        quantity: what the factor changes, for the title and the axis.
    """
    factors = sorted(values)
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    label_axes(ax, f"{_title(metric)} against {quantity}", quantity, f"test {metric.replace('_', ' ')}")
    ax.plot(factors, [values[factor] for factor in factors], color=BLUE, marker="o")
    if chance is not None:
        ax.axhline(chance, color=GREY, linestyle=":")
        ax.annotate("chance", (factors[0], chance), (0, 4), textcoords="offset points", color=GREY)
    factor_axis(ax, factors, quantity)
    metric_axis(ax, metric)
    figure.savefig(file, dpi=DPI)


def timeline(file: Path, prediction: Prediction, top: int) -> None:
    """Draws the probabilities of a recording's windows over time, under its waveform.

    Args:
        file: PNG to write.
        prediction: what a network makes of the recording.
        top: number of classes, the likeliest.
    """
    recording, probabilities = prediction.recording, prediction.probabilities
    rate = prediction.sample_rate
    figure = Figure(figsize=(12, 5), layout="constrained")
    wave, classes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    # Least and greatest sample of each of some 2,000 parts: a line through all samples would be slow, and no other.
    parts = np.array_split(recording.signal / 32768, min(2000, len(recording.signal)))
    begins = np.cumsum([recording.begin, *map(len, parts[:-1])]) / rate
    wave.fill_between(begins, [part.min() for part in parts], [part.max() for part in parts], color=BLUE, linewidth=0.5)
    label_axes(wave, Path(prediction.file).name.replace("$", r"\$"), "", "amplitude")
    wave.set_ylim(-1.02, 1.02)
    middles = [(start + end) / 2 for start, end in prediction.spans]
    first, last = prediction.spans[0][0], prediction.spans[-1][1]
    names = [name for name, _ in prediction.ranking()[:top]]
    for name in names:
        values = probabilities[:, list(prediction.classes).index(name)]
        label = name.replace("_", " ").replace("$", r"\$")
        points = [first, *middles, last], [values[0], *values, values[-1]]
        classes.plot(*points, label=label, marker=".", markevery=slice(1, -1))
    label_axes(classes, "", "time (s)", "probability, window by window")
    classes.set_ylim(-0.02, 1.02)
    classes.set_xlim(first, last)
    classes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(file, dpi=DPI)


def kernels(file: Path, network: nn.Module, sample_rate: int, columns: int = 5) -> None:
    """Draws some lifting kernels, from low to high, and their spectra at every level; nothing if there are none.

    Level i hears the signal at 1/base^i of the rate, so its spectrum is the kernel's own, moved down by i octaves
    (base 2), and ends at half of the level's rate.

    Args:
        file: PNG to write.
        network: a network with a `LiftingConv`.
        sample_rate: rate of the signal, in Hz.
        columns: number of kernels.
    """
    lifting = next((module for module in network.modules() if isinstance(module, LiftingConv)), None)
    if lifting is None:
        return
    weights = lifting.wavelets.detach().cpu().double().numpy()[:, 0]
    spectra = np.abs(np.fft.rfft(weights, 8192))
    frequencies = np.fft.rfftfreq(8192, 1 / sample_rate)
    order = np.argsort(spectra.argmax(axis=1), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(columns, len(order))).round().astype(int)]
    base, levels = float(lifting.grid.base), lifting.num_scales
    milliseconds = (np.arange(weights.shape[1]) - weights.shape[1] // 2) / sample_rate * 1000
    lowest = sample_rate / weights.shape[1] / base ** (levels - 1)  # one period in the coarsest kernel
    hertz = np.geomspace(lowest, sample_rate / 2, 500)

    figure = Figure(figsize=(3 * len(chosen) + 1, 5.4), layout="constrained")
    axes = figure.subplots(2, len(chosen), sharex="row", sharey="row", squeeze=False)
    for (time, spectrum), kernel in zip(axes.T, chosen, strict=True):
        time.plot(milliseconds, weights[kernel] / np.abs(weights[kernel]).max(), color=BLUE)
        magnitude = [np.interp(hertz * base**i, frequencies, spectra[kernel], right=np.nan) for i in range(levels)]
        decibels = 20 * np.log10(np.array(magnitude) / spectra[kernel].max() + 1e-6)
        image = spectrum.pcolormesh(hertz, range(levels), decibels, cmap="viridis", vmin=-30, vmax=0, rasterized=True)
        spectrum.set_xscale("log")
        label_axes(time, f"kernel {kernel}", "time at level 0 (ms)", "")
        spectrum.set_xlabel("frequency (Hz)")
        spectrum.xaxis.set_minor_locator(NullLocator())
    axes[0, 0].set_ylabel("amplitude (peak = 1)")
    axes[1, 0].set_ylabel("level")
    axes[1, 0].set_yticks(range(levels))
    figure.colorbar(image, ax=axes, shrink=0.45, anchor=(0, 0.08), label="magnitude (dB)")
    figure.suptitle(f"Lifting kernels, low to high, and their spectra; at level i they are {base:g}ⁱ times as long")
    figure.savefig(file, dpi=DPI)
