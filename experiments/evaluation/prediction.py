"""Predictions for files: recordings, images, and maps of images; as rows, dictionaries and tables."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from experiments.files import whole
from experiments.training.tasks.multi_label import MultiLabel
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.task import Task

Row = dict[str, Any]
SILENT = "silent"  # in place of the class of a silent window


@dataclass(frozen=True)
class MapPrediction:
    """A map of the classes of an image.

    Attributes:
        file: The image.
        classes: Names of the classes.
        height: Height of the image and of the map, in pixels.
        width: Width of the image and of the map, in pixels.
        share: Share of the pixels that each class has.
        components: Number of connected components of each class; pixels that share an edge or a corner are connected.
        thickness: Mean thickness in pixels of all that is not the first class, see ``wavenets.nn.mean_thickness``. None
            if it has no boundary.
        written: The files that were written, by what they are: ``map``, ``probabilities``, ``overlay``.
    """

    file: str
    classes: Sequence[str]
    height: int
    width: int
    share: Sequence[float]
    components: Sequence[int]
    thickness: float | None
    written: Mapping[str, Path] = field(default_factory=dict)

    @property
    def predicted(self) -> str:
        """The class of most pixels."""
        return str(self.classes[int(np.argmax(self.share))])

    def row(self) -> Row:
        """Return the line of the file in a CSV file."""
        shares = {f"share_{name}": share for name, share in zip(self.classes, self.share, strict=True)}
        counts = {f"components_{name}": count for name, count in zip(self.classes, self.components, strict=True)}
        size = {"height": self.height, "width": self.width}
        return {"file": self.file, **size, **shares, **counts, "thickness": self.thickness}

    def to_dict(self) -> Row:
        """Return plain values, for JSON."""
        return {
            "file": self.file,
            "height": self.height,
            "width": self.width,
            "share": dict(zip(self.classes, self.share, strict=True)),
            "components": dict(zip(self.classes, self.components, strict=True)),
            "thickness": self.thickness,
            **{name: str(path) for name, path in self.written.items()},
        }


@dataclass(frozen=True)
class Prediction:
    """The classes, or the numbers, of a file.

    Attributes:
        file: The file.
        task: The task that the network was trained for.
        classes: Names of the classes, or of the numbers of a regression.
        probabilities: Probabilities of each window, (windows, num_classes), or the numbers. An image is one window.
        spans: Begin and end of each window of a recording, in seconds of the file.
        silent: Whether each window of a recording is silent, so that its probabilities mean nothing.
        map: The map of a classifier that looked at windows of a large image.
    """

    file: str
    task: Task
    classes: Sequence[str]
    probabilities: np.ndarray
    spans: Sequence[tuple[float, float]] = ()
    silent: Sequence[bool] = ()
    map: MapPrediction | None = None

    @property
    def values(self) -> dict[str, float]:
        """Probabilities of the classes, or the numbers: the means over the windows."""
        return dict(zip(self.classes, self.probabilities.mean(0).tolist(), strict=True))

    @property
    def predicted(self) -> str:
        """The class; of a network of several labels those with a probability of ½ or more, separated by ``|``."""
        return self.predicted_of(self.probabilities.mean(0))

    def predicted_of(self, probabilities: np.ndarray) -> str:
        """Return the class of some probabilities, see `predicted`."""
        if isinstance(self.task, MultiLabel):
            return "|".join(name for name, p in zip(self.classes, probabilities, strict=True) if p >= 0.5)
        return str(self.classes[int(probabilities.argmax())])

    def ranking(self) -> list[tuple[str, float]]:
        """Return the classes and their probabilities, the likeliest first."""
        return sorted(self.values.items(), key=lambda pair: -pair[1])

    def episodes(self) -> list[tuple[float, float, str, float]]:
        """Return the sequence of classes: begin and end in seconds, the likeliest class, its mean probability.

        Silent windows have the class ``silent``. Where windows overlap, an episode ends where the next one begins.
        """
        best = self.probabilities.argmax(1)
        names = [SILENT if s else self.classes[b] for b, s in zip(best, self.silent, strict=True)]
        runs = [list(run) for _, run in groupby(range(len(best)), lambda window: names[window])]
        begins = [self.spans[run[0]][0] for run in runs]
        ends = [min(self.spans[run[-1]][1], b) for run, b in zip(runs, [*begins[1:], np.inf], strict=True)]
        return [
            (begin, end, names[run[0]], float(self.probabilities[run, best[run]].mean()))
            for run, begin, end in zip(runs, begins, ends, strict=True)
        ]

    def row(self) -> Row:
        """Return the line of the file in a CSV file."""
        mean = self._row(self.probabilities.mean(0), all(self.silent) if self.silent else None)
        return {"file": self.file, **mean, **(self.map.row() if self.map else {})}

    def rows(self) -> list[Row]:
        """Return the lines of the windows in a CSV file."""
        return [
            {"file": self.file, "start": start, "end": end, **self._row(p, silent)}
            for (start, end), silent, p in zip(self.spans, self.silent, self.probabilities, strict=True)
        ]

    def to_dict(self) -> Row:
        """Return plain values, for JSON."""
        result: Row
        if isinstance(self.task, Regression):
            key, result = "values", {"file": self.file, "values": self.values}
        else:
            key = "probabilities"
            result = {"file": self.file, "predicted": self.predicted, key: dict(self.ranking())}
        if self.spans:
            result["windows"] = [
                {"start": start, "end": end, "silent": silent, key: dict(zip(self.classes, p.tolist(), strict=True))}
                for (start, end), silent, p in zip(self.spans, self.silent, self.probabilities, strict=True)
            ]
        return result | (self.map.to_dict() if self.map else {})

    def _row(self, probabilities: np.ndarray, silent: bool | None) -> Row:
        mark = {} if silent is None else {"silent": int(silent)}
        if isinstance(self.task, Regression):
            return {**mark, **dict(zip(self.classes, probabilities.tolist(), strict=True))}
        each = {f"p_{name}": p for name, p in zip(self.classes, probabilities.tolist(), strict=True)}
        return {"predicted": self.predicted_of(probabilities), "p": float(probabilities.max()), **mark, **each}


def write_csv(file: Path | str, rows: Iterable[Row]) -> None:
    """Write a CSV file in UTF-8, whole or not at all; the columns are those of all rows."""
    rows = list(rows)
    columns = dict.fromkeys(name for row in rows for name in row) or {"file": None}
    with whole(file) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as content:
        writer = csv.DictWriter(content, list(columns))
        writer.writeheader()
        writer.writerows(rows)
