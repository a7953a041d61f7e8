"""What all pictures share: colours, axes, and how they are written."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from experiments.data.transformation import Transformation
from experiments.files import whole
from experiments.training.tasks.task import is_share

# Distinct for colour-blind readers (Okabe and Ito).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
DPI = 150


def plain(name: str) -> str:
    """Return a name as matplotlib shows it as it is: between two dollars it would set mathematics."""
    return name.replace("$", r"\$")


def label_axes(ax: Axes, title: str, x: str, y: str) -> None:
    """Set title and labels, and the style of all pictures."""
    ax.set(title=title, xlabel=x, ylabel=y)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e5e5e5")
    ax.set_axisbelow(True)


def save(figure: Figure, file: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole(file) as unfinished:
        figure.savefig(unfinished, dpi=DPI, format="png")


def metric_name(metric: str) -> str:
    """Return the name of a metric as people write it.

    Example:
        >>> metric_name("balanced_accuracy"), metric_name("auroc")
        ('balanced accuracy', 'AUROC')
    """
    names = {"auroc": "AUROC", "mae": "MAE", "rmse": "RMSE", "r2": "R²", "object_f1": "object F1"}
    return names.get(metric, metric.replace("_", " "))


def metric_axis(ax: Axes, metric: str, horizontal: bool = False) -> None:
    """Set an axis for a metric between 0 and 1; that of an AUROC begins at 0.5, which is chance, or below it.

    The axis of a metric without such limits is that of the values.
    """
    if not is_share(metric):
        return
    axis, limits = (ax.xaxis, ax.set_xlim) if horizontal else (ax.yaxis, ax.set_ylim)
    lowest = ax.dataLim.x0 if horizontal else ax.dataLim.y0  # infinite before anything is drawn
    limits(min(0.5, lowest) if metric == "auroc" else 0, 1.02)
    if metric == "accuracy":
        axis.set_major_formatter(PercentFormatter(1))


def factor_axis(ax: Axes, factors: Sequence[float], transformation: Transformation) -> None:
    """Set the horizontal axis for amounts of a transformation."""
    if transformation.logarithmic:
        ax.set_xscale("log", base=2)
    ax.set_xticks(factors, [transformation.label(factor) for factor in factors])
    ax.xaxis.set_minor_locator(NullLocator())
