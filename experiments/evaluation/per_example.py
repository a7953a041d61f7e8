"""The file predictions.csv: a row for each test example."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from experiments.data.source import Source
from experiments.files import whole
from experiments.training.tasks.task import Task


@contextmanager
def writing(file: Path | None, task: Task, source: Source) -> Iterator[Callable[[Tensor, Tensor], None] | None]:
    """Provide a function that writes rows for outputs and targets (B, …) of the test examples, in their order.

    A row has the file of an example, or else its number, its group if there are groups, and the columns of
    `Task.rows`. A value that is not a number is empty. The file is whole or not there.

    Args:
        file: The CSV file. ``None``: nothing is written, and there is no function.
        task: Has the columns.
        source: Has the names of the examples.
    """
    if file is None:
        yield None
        return
    classes, examples = [str(name) for name in source.classes], _examples(source)
    with whole(file) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as content:
        writer, begun = csv.writer(content), False

        def write(logits: Tensor, target: Tensor) -> None:
            nonlocal begun
            for values, example in zip(task.rows(logits, target, classes), examples, strict=False):
                row = example | values
                if not begun:
                    writer.writerow(row)
                    begun = True
                writer.writerow(map(_text, row.values()))

        yield write


def _examples(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the file of each test example, or of each recording that is tested as a whole, and its group."""
    files, recordings = source.files("test"), source.recordings("test")
    first = count() if recordings is None else np.unique(recordings, return_index=True)[1].tolist()
    if files is None:
        yield from ({"item": item} for item in first)
        return
    for item in range(len(files)) if recordings is None else first:
        path = files[item]
        group = {"group": source.group_of.get(path, "")} if source.group_of else {}
        yield {"file": path.absolute() if isinstance(path, Path) else path, **group}


def _text(value: Any) -> Any:
    """Return a value as text that restores a number in single precision."""
    return value if not isinstance(value, float) else "" if isnan(value) else f"{value:.9g}"
