"""The pictures of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter
from torch import nn

from experiments.data.transformation import Transformation
from experiments.evaluation.prediction import Prediction
from experiments.report.style import BLUE, GREY, ORANGE, factor_axis, label_axes, metric_axis, metric_name, plain, save
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.task import is_error
from wavenets.nn import LiftingConv


def _title(metric: str) -> str:
    name = metric_name(metric)
    return name[0].upper() + name[1:]


def curves(file: Path, rows: Sequence[Mapping[str, float]], best_epoch: int, metric: str) -> None:
    """Draw loss, metric and learning rate over the epochs.

    Args:
        file: PNG to write.
        rows: The metrics of each epoch, as `EpochLog` keeps them.
        best_epoch: The epoch that was tested.
        metric: Name of the metric, such as ``"accuracy"``.
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
    label_axes(loss, "Loss", "epoch", "loss")
    label_axes(middle, _title(metric), "epoch", metric_name(metric))
    label_axes(rate, "Learning rate", "epoch", "learning rate")
    loss.set_ylim(bottom=0)
    metric_axis(middle, metric)
    for ax in loss, middle, rate:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.axvline(best_epoch, color=GREY, linestyle=":", label=f"best epoch, {best_epoch}")
    middle.legend(loc="upper right" if is_error(metric) else "lower right")
    save(figure, file)


def confusion(file: Path, matrix: Sequence[Sequence[int]], classes: Sequence[str], counted: str) -> None:
    """Draw a confusion matrix; the colour is the share of the true class.

    Args:
        file: PNG to write.
        matrix: Counts; rows are the truth, columns the prediction.
        classes: Class names.
        counted: What was counted, such as ``"clips"``.
    """
    counts = np.array(matrix)
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    size = 3 + 0.45 * min(len(classes), 20)
    figure = Figure(figsize=(size + 1.2, size), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [plain(name.replace("_", " ")) for name in classes]
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
    ax.set(title=f"Test: {accuracy:.1%} of {counts.sum()} {counted}", xlabel="predicted", ylabel="true")
    bar = figure.colorbar(image, ax=ax, shrink=0.8, label="share of the true class")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    save(figure, file)


def by_class(file: Path, values: Sequence[float | None], classes: Sequence[str]) -> None:
    """Draw the average precision of each class, the best first.

    Args:
        file: PNG to write.
        values: Average precision of each class; classes with ``None`` are left out.
        classes: Class names.
    """
    pairs = [(value, name) for value, name in zip(values, classes, strict=True) if value is not None]
    pairs.sort(key=lambda pair: pair[0])
    figure = Figure(figsize=(6, 1.5 + 0.2 * len(pairs)), layout="constrained")
    ax = figure.subplots()
    label_axes(ax, "Test examples: average precision by class", "average precision", "")
    ax.barh([plain(name.replace("_", " ")) for _, name in pairs], [value for value, _ in pairs], color=BLUE)
    ax.set_xlim(0, 1.02)
    ax.margins(y=0.01)
    save(figure, file)


def transformed(
    file: Path, values: Mapping[float, float], metric: str, chance: float | None, transformation: Transformation
) -> None:
    """Draw a metric against the amount by which inputs are transformed.

    Args:
        file: PNG to write.
        values: Amount → metric.
        metric: Its name, such as ``"accuracy"``.
        chance: Metric of guessing. ``None`` draws no line.
        transformation: The transformation, for the title and the axis.
    """
    factors = sorted(values)
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    name = transformation.name
    label_axes(ax, f"{_title(metric)} against {name}", name, f"test {metric_name(metric)}")
    ax.plot(factors, [values[factor] for factor in factors], color=BLUE, marker="o")
    if chance is not None:
        ax.axhline(chance, color=GREY, linestyle=":")
        ax.annotate("chance", (factors[0], chance), (0, 4), textcoords="offset points", color=GREY)
    factor_axis(ax, factors, transformation)
    metric_axis(ax, metric)
    save(figure, file)


def timeline(file: Path, prediction: Prediction, top: int, outline: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Draw the probabilities or the numbers of a recording's windows over time, under its waveform.

    Args:
        file: PNG to write.
        prediction: The prediction of the recording.
        top: Number of classes, the likeliest, or of numbers, the largest.
        outline: Outline of the waveform: times in seconds, least and greatest samples of its parts.
    """
    probabilities = prediction.probabilities
    figure = Figure(figsize=(12, 5), layout="constrained")
    wave, classes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    wave.fill_between(*outline, color=BLUE, linewidth=0.5)
    label_axes(wave, plain(Path(prediction.file).name), "", "amplitude")
    wave.set_ylim(-1.02, 1.02)
    middles = [(start + end) / 2 for start, end in prediction.spans]
    first, last = prediction.spans[0][0], prediction.spans[-1][1]
    names = [name for name, _ in prediction.ranking()[:top]]
    for name in names:
        values = probabilities[:, list(prediction.classes).index(name)]
        label = plain(name.replace("_", " "))
        points = [first, *middles, last], [values[0], *values, values[-1]]
        classes.plot(*points, label=label, marker=".", markevery=slice(1, -1))
    numbers = isinstance(prediction.task, Regression)
    label_axes(classes, "", "time (s)", f"{'number' if numbers else 'probability'}, window by window")
    if not numbers:
        classes.set_ylim(-0.02, 1.02)
    classes.set_xlim(first, last)
    classes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, file)


def kernels(file: Path, network: nn.Module, sample_rate: int, columns: int = 5) -> None:
    """Draw some lifting kernels, from low to high, and their spectra at every level, if the network has such kernels.

    Level i sees the signal at 1/base^i of the rate, so that its spectrum is that of the kernel, moved down by i octaves
    (base 2), and ends at half of the rate of the level.

    Args:
        file: PNG to write.
        network: A network with a `LiftingConv`.
        sample_rate: Rate of the signal, in Hz.
        columns: Number of kernels.
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
    save(figure, file)
