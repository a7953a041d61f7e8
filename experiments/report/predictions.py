"""Predictions as tables on the screen."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from rich.console import Console

from experiments.evaluation.prediction import SILENT, MapPrediction, Prediction
from experiments.report.tables import show
from experiments.training.tasks.regression import Regression

NAMES = "class", "second", "third"


def show_predictions(predictions: Sequence[Prediction | MapPrediction], top: int) -> None:
    """Print a table with a row for each file; of several files, also how many have each class.

    Args:
        predictions: The predictions of one network.
        top: Number of classes to show, the likeliest, if so many fit on the screen.
    """
    maps = [p for p in predictions if isinstance(p, MapPrediction)]
    others = [p for p in predictions if isinstance(p, Prediction)]
    if maps:
        cells = [(p.file, f"{p.height} × {p.width}", *(f"{share:.1%}" for share in p.share)) for p in maps]
        show("share of the pixels", ["file", "pixels", *maps[0].classes], cells)
    elif others and isinstance(others[0].task, Regression):
        numbers = [(p.file, *(f"{value:.5g}" for value in p.values.values())) for p in others]
        show("predictions", ["file", *others[0].classes], numbers)
    elif others:
        _show_classes(others, top)


def show_windows(prediction: Prediction) -> None:
    """Print what follows what in a recording of several windows."""
    if len(prediction.spans) > 1 and not isinstance(prediction.task, Regression):
        rows = [
            (f"{a:.2f}", f"{b:.2f}", name, "" if name == SILENT else f"{p:.1%}")
            for a, b, name, p in prediction.episodes()
        ]
        show(f"{prediction.file}, over time", ["from (s)", "to (s)", "class", "probability"], rows)


def _show_classes(predictions: Sequence[Prediction], top: int) -> None:
    names = [f"{p.file} (silent)" if p.silent and all(p.silent) else p.file for p in predictions]
    cells = [[f"{name} {p:.1%}" for name, p in prediction.ranking()[:top]] for prediction in predictions]
    widths = [max(len(NAMES[1]), *map(len, column)) + 3 for column in zip(*cells, strict=True)]
    room = Console().width
    used = min(max(map(len, names)), room // 3) + 4
    fitting = max(1, sum(used + sum(widths[: n + 1]) <= room for n in range(len(widths))))
    columns = ["file", *NAMES, *(f"{number}th" for number in range(len(NAMES) + 1, fitting + 1))][: fitting + 1]
    show("predictions", columns, [(name, *row[:fitting]) for name, row in zip(names, cells, strict=True)])
    if len(predictions) > 1:
        each = (SILENT if p.silent and all(p.silent) else p.predicted or "none" for p in predictions)
        counts = Counter(chain.from_iterable(names.split("|") for names in each))
        print(", ".join(f"{name} {count}" for name, count in counts.most_common()))
