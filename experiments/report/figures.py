"""The pictures of a study."""

from collections.abc import Callable, Sequence
from math import ceil, floor
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from experiments.data.transformation import named
from experiments.report.grid import Cell, Mean, Study, average
from experiments.report.style import GREY, factor_axis, label_axes, metric_axis, metric_name, save
from experiments.training.tasks.task import in_table, is_error, is_share

# Colours of Okabe and Ito, which colour-blind readers can distinguish.
COLOURS = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"
MARKERS = "osD^vPX"
HEIGHT = 4.2  # inches, unless there are more names than that


def draw(study: Study, folder: Path) -> dict[str, Path]:
    """Draw all pictures for which a study has the runs.

    Args:
        study: The study.
        folder: Folder of the pictures, which are NAME_PICTURE.png.

    Returns:
        What each shows, and its file.
    """
    files = {}
    for picture, (title, wanted, paint) in PICTURES.items():
        if not wanted(study):
            continue
        figure = Figure(figsize=(7, HEIGHT), layout="constrained")
        paint(study, figure.subplots())
        title = title.format(metric=metric_name(study.metric), transformation=study.transformation)
        figure.suptitle(title[0].upper() + title[1:], fontsize=11)
        for _ in range(3):  # numbers beside bars move when the layout makes room for them
            figure.draw_without_rendering()
        files[title] = folder / f"{study.name}_{picture}.png"
        save(figure, files[title])
    return files


def share(study: Study, ax: Axes) -> None:
    """Draw the metric against the share of the training examples, with a band of one standard deviation."""
    label_axes(ax, "", "share of the training examples", f"test {metric_name(study.metric)}")
    for number, arm in enumerate(study.arms):
        points = [
            (fraction, average(cells, (cell.test for cell in cells)))
            for fraction in study.fractions
            if (cells := study.of(arm, fraction))
        ]
        _line(ax, number, arm, [x for x, _ in points], [y for _, y in points])
    ax.set_xscale("log")
    ax.set_xticks(study.fractions, [f"{fraction:.0%}" for fraction in study.fractions])
    ax.xaxis.set_minor_locator(NullLocator())
    _finish(ax, study)


def factors(study: Study, ax: Axes) -> None:
    """Draw the metric against the amount by which the test examples are transformed, 1 or 0° included, with a band."""
    label_axes(ax, "", study.transformation, f"test {metric_name(study.metric)}")
    _against_amounts(study, ax, Cell.at)
    if study.chance is not None:
        ax.axhline(study.chance, color=GREY, linestyle=":", label="chance")
    _finish(ax, study)


def moved(study: Study, ax: Axes) -> None:
    """Draw how far the logits move when the test examples are transformed."""
    label_axes(ax, "", study.transformation, "distance between the logits, relative")
    _against_amounts(study, ax, lambda cell, amount: cell.moved.get(amount, 0.0))
    ax.set_ylim(bottom=0)
    _legend(ax)


def bars(study: Study, ax: Axes) -> None:
    """Draw the mean over all amounts, and the worst of them as a mark. The arms of a network have one colour."""
    worst = max if is_error(study.metric) else min
    for row, (arm, cells) in enumerate(_rows(study, ax).items()):
        means = [average(cells, (cell.at(amount) for cell in cells)).value for amount in study.amounts]
        ax.plot([worst(means)] * 2, [row - 0.32, row + 0.32], color="black", linewidth=1.5)
        _bar(study, ax, arm, row, Mean(sum(means) / len(means)))


def arms(study: Study, ax: Axes) -> None:
    """Draw the metric with its standard deviation, and below it that of further tests."""
    tests = ["", *study.tests]
    for row, (arm, cells) in enumerate(_rows(study, ax).items()):
        for place, test in enumerate(tests):
            mean = average(cells, (study.value(cell, study.metric, test) for cell in cells))
            y = row + 0.8 * ((place + 0.5) / len(tests) - 0.5)
            _bar(study, ax, arm, y, mean, 0.8 / len(tests), test)
            if mean.deviation is not None:
                ax.errorbar(mean.value, y, xerr=mean.spread, color="black", linewidth=1, capsize=3)


def _rows(study: Study, ax: Axes) -> dict[str, list[Cell]]:
    """Return the runs of each arm, and name the rows of a diagram after them."""
    arms = {arm: cells for arm in study.arms if (cells := study.of(arm, study.fractions[-1]))}
    names = [fill(arm, 36, break_on_hyphens=False) for arm in arms]  # leaves room for the bars
    ax.set_yticks(range(len(arms)), names)
    lines = max(name.count("\n") + 1 for name in names)
    assert isinstance(ax.figure, Figure)
    ax.figure.set_figheight(max(HEIGHT, 1 + 0.17 * lines * len(names)))
    ax.invert_yaxis()
    label_axes(ax, "", f"test {metric_name(study.metric)}", "")
    ax.grid(False, axis="y")
    metric_axis(ax, study.metric, horizontal=True)
    return arms


def _bar(study: Study, ax: Axes, arm: str, y: float, mean: Mean, height: float = 0.8, test: str = "") -> None:
    """Draw a bar and its number, paler for a variant of a network, hatched for a further test."""
    network, _, variant = arm.partition(", ")
    colour = COLOURS[list(dict.fromkeys(name.split(", ")[0] for name in study.arms)).index(network) % len(COLOURS)]
    alpha, hatch = 0.55 if variant else 1.0, "///" if test else None
    ax.barh(y, mean.value, height, color=colour, alpha=alpha, hatch=hatch, edgecolor="white", linewidth=0)
    end, unit = mean.value + mean.spread, ""
    if is_share(study.metric):
        end, unit = min(max(end, 0.0), 1.0), "%"
    text = f"{in_table(study.metric, mean.value)}{unit} {test}".strip()
    ax.annotate(text, (end, y), (5, 0), textcoords="offset points", va="center", fontsize=8)


def _against_amounts(study: Study, ax: Axes, value: Callable[[Cell, str], float]) -> None:
    numbers = [float(amount) for amount in study.amounts]
    for number, arm in enumerate(study.arms):
        if cells := study.of(arm, study.fractions[-1]):
            means = [average(cells, [value(cell, amount) for cell in cells]) for amount in study.amounts]
            _line(ax, number, arm, numbers, means)
    factor_axis(ax, numbers, named(study.transformation))


def _line(ax: Axes, number: int, label: str, x: Sequence[float], means: Sequence[Mean]) -> None:
    again, number = divmod(number, len(COLOURS))
    colour, style = COLOURS[number], "--" if again else "-"
    ax.plot(x, [m.value for m in means], style, color=colour, marker=MARKERS[number], label=label)
    low, high = [m.value - m.spread for m in means], [m.value + m.spread for m in means]
    ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _finish(ax: Axes, study: Study) -> None:
    metric_axis(ax, study.metric)
    if is_share(study.metric):  # unlike bars, lines can begin above 0: at the tenth below the lowest
        low, high = ax.dataLim.intervaly
        ax.set_ylim(max(0, floor(10 * low) / 10), 1.02 if high > 0.9 else ceil(10 * high) / 10)
    _legend(ax)


def _legend(ax: Axes) -> None:
    """Put a legend below the picture, clear of the lines and of their labels; the figure becomes as high as needed."""
    names = ax.get_legend_handles_labels()[1]
    columns = max(1, min(3, 90 // max(map(len, names))))  # as wide as the picture
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(3.6 + 0.2 * ceil(len(names) / columns))
    figure.legend(loc="outside lower center", ncols=columns, fontsize=8)


# name: what it shows, whether a study has it, how it is drawn
PICTURES: dict[str, tuple[str, Callable[[Study], bool], Callable[[Study, Axes], None]]] = {
    "share": ("{metric} against the share of training examples", lambda study: len(study.fractions) > 1, share),
    "factors": ("{metric} against {transformation}", lambda study: bool(study.factors), factors),
    "bars": (
        "mean {metric} over all tests of {transformation}; the line is the worst",
        lambda study: bool(study.factors) and any(", " in arm for arm in study.arms),
        bars,
    ),
    "arms": (
        "{metric} of each arm",
        lambda study: bool(study.tests or not study.factors) and any(", " in arm for arm in study.arms),
        arms,
    ),
    "moved": (
        "how far the logits move against {transformation}",
        lambda study: bool(study.factors) and all(set(study.factors) <= cell.moved.keys() for cell in study.cells),
        moved,
    ),
}
