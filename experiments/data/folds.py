"""How a set says what is trained on, validated on and tested on: a CSV file, and the folds in it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from experiments.data.source import Fold, Stage


def read_csv(csv: Path, columns: Sequence[str], missing: str, remedy: str, separator: str = ",") -> pd.DataFrame:
    """Reads the CSV of a set.

    Args:
        csv: The file.
        columns: The columns that are needed.
        missing: What to do if there is no such file, for the error message.
        remedy: What to do if it is no good.
        separator: Stands between its fields.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a CSV, lacks a column, or has an empty field in one.
    """
    if not csv.is_file():
        raise FileNotFoundError(f"{csv} not found: {missing}")
    try:
        # Nothing but an empty field is missing: "NA" and "null" may be names.
        table = pd.read_csv(csv, sep=separator, keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise ValueError(f"{csv} is not a readable CSV ({error}); {remedy}") from error
    if lacking := [column for column in columns if column not in table]:
        raise ValueError(f"{csv} lacks the column {', '.join(lacking)} (it has {', '.join(map(str, table))}); {remedy}")
    if (empty := table[list(columns)].isna().any(axis=1)).any():
        raise ValueError(f"{csv} has an empty field in line {int(empty.argmax()) + 2}; {remedy}")
    return table


def split_folds(
    folds: Iterable[Fold], test_fold: Fold | None = None, val_fold: Fold | None = None
) -> dict[Stage, list[Fold]]:
    """Shares out the folds of a set: one to test on, another to validate on, the rest to train on.

    Args:
        folds: The folds of the set, all numbers or all texts; repetitions do not matter.
        test_fold: The fold to test on; None is the first.
        val_fold: The fold to validate on; None is the one after ``test_fold``, in a circle.

    Returns:
        The folds of each stage.

    Raises:
        ValueError: A fold is not in the set, the two are the same, or none is left to train on.

    Example:
        >>> split_folds([1, 2, 3, 4], test_fold=4)
        {'train': [2, 3], 'val': [1], 'test': [4]}
        >>> split_folds(["slow", "fast", "medium"], val_fold="slow")
        {'train': ['medium'], 'val': ['slow'], 'test': ['fast']}
    """
    names = sorted(set(folds), key=lambda fold: (isinstance(fold, str), fold))
    for argument, fold in ("test_fold", test_fold), ("val_fold", val_fold):
        if fold is not None and fold not in names:
            raise ValueError(f"data.{argument}={fold} is not a fold of this set; choose one of {names}")
    if test_fold is None:
        test_fold = names[0]
    if val_fold is None:
        val_fold = names[(names.index(test_fold) + 1) % len(names)]
    train = [fold for fold in names if fold not in (test_fold, val_fold)]
    if test_fold == val_fold:
        raise ValueError(f"data.test_fold and data.val_fold are both {test_fold}; choose two different folds")
    if not train:
        raise ValueError(f"a set with the folds {names} leaves none to train on; it needs at least three")
    return {"train": train, "val": [val_fold], "test": [test_fold]}
