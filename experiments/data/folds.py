"""How a set says what is trained on, validated on and tested on: a CSV file, and the folds in it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from experiments.data.source import Fold, Stage


def read_csv(
    csv: Path,
    columns: Sequence[str],
    home: str = "",
    whole: Sequence[str] = (),
    separator: str = ",",
    texts: bool = False,
) -> pd.DataFrame:
    """Reads the CSV of a set.

    Args:
        csv: The file.
        columns: The columns that are needed.
        home: Where the set is downloaded, for the error messages; empty: it is the user's own.
        whole: Those of the columns that hold whole numbers.
        separator: Stands between the fields.
        texts: If True, all fields are texts, so that 01 is not 1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a CSV, lacks a column, has an empty field in one, or a text instead of a whole number.
    """
    again = f"download it again from {home}" if home else "mend it"
    if not csv.is_file():
        unpacked = f"data.root must be the unpacked download, which holds {csv.parent.name}/{csv.name} and audio/"
        what = f"{unpacked}; download it from {home}" if home else "data.metadata must be a CSV file"
        raise FileNotFoundError(f"{csv} not found: {what}")
    try:
        # None, NA and nan are names like others.
        kind = str if texts else None
        table = pd.read_csv(csv, sep=separator, keep_default_na=False, na_values=[""], dtype=kind)
    except ValueError as error:
        raise ValueError(f"{csv} is not a readable CSV ({error}); {again}") from error
    if lacking := [column for column in columns if column not in table]:
        raise ValueError(f"{csv} lacks the column {', '.join(lacking)} (it has {', '.join(map(str, table))}); {again}")
    if (empty := table[list(columns)].isna().any(axis=1)).any():
        raise ValueError(f"{csv} has an empty field in line {int(empty.argmax()) + 2}; {again}")
    if table.empty:
        raise ValueError(f"{csv} has no line below its head; {again}")
    for column in whole:
        if not pd.api.types.is_integer_dtype(table[column]):
            raise ValueError(f"{csv} has something else than whole numbers in the column {column}")
    return table


def check_metadata(table: pd.DataFrame) -> None:
    """Looks for contradictions in what a CSV says.

    Args:
        table: Columns ``path``, ``fold``, ``target`` and ``name``.

    Raises:
        ValueError: A file stands in it twice, so that it might be in test and training; or a class has two numbers, a
            number two classes, or two classes differ in nothing but case or blanks.
    """
    if (again := table["path"].duplicated()).any():
        path = table["path"][again].iloc[0]
        folds = sorted(set(table["fold"][table["path"] == path]))
        raise ValueError(f"{path} stands in the metadata more than once (in fold {folds}); keep one line of it")
    classes = table[["name", "target"]].drop_duplicates()
    names = classes["name"].drop_duplicates()
    for group, values, what in (
        (names.str.strip().str.casefold(), names, "the class {!r} is written as {} in the metadata"),
        (classes["name"], classes["target"], "the class {} has the numbers {} in the metadata"),
        (classes["target"], classes["name"], "the number {} has the classes {} in the metadata"),
    ):
        if (twice := group.duplicated()).any():
            key = group[twice].iloc[0]
            both = ", ".join(map(repr, values[group == key].tolist()))
            raise ValueError(f"{what.format(key, both)}; make it one")


def split_folds(folds: Iterable[Fold], test_fold: Fold, val_fold: Fold | None = None) -> dict[Stage, list[Fold]]:
    """Shares out the folds of a set: one to test on, another to validate on, the rest to train on.

    Args:
        folds: The folds of the set, all numbers or all texts; repetitions do not matter.
        test_fold: The fold to test on.
        val_fold: The fold to validate on; None is the one after ``test_fold``, in a circle. False is none: all others
            are trained on, as publications on ESC-50 do.

    Returns:
        The folds of each stage.

    Raises:
        ValueError: A fold is not in the set, the two are the same, or none is left to train on.

    Example:
        >>> split_folds([1, 2, 3, 4], test_fold=4)
        {'train': [2, 3], 'val': [1], 'test': [4]}
        >>> split_folds(["slow", "fast", "medium"], "fast", val_fold="slow")
        {'train': ['medium'], 'val': ['slow'], 'test': ['fast']}
        >>> split_folds([0, 1, 2], test_fold=2, val_fold=False)
        {'train': [0, 1], 'val': [], 'test': [2]}
    """
    names = in_order(folds)
    given = {"test_fold": test_fold} | ({} if val_fold is None or val_fold is False else {"val_fold": val_fold})
    for argument, fold in given.items():
        if fold not in names:
            raise ValueError(f"data.{argument}={fold} is not a fold of this set; choose one of {names}")
    if val_fold is None:
        val_fold = names[(names.index(test_fold) + 1) % len(names)]
    val = [] if val_fold is False else [val_fold]
    train = [fold for fold in names if fold not in (test_fold, *val)]
    if test_fold in val:
        raise ValueError(f"data.test_fold and data.val_fold are both {test_fold}; choose two different folds")
    if not train:
        raise ValueError(f"a set with the folds {names} leaves none to train on; it needs at least three")
    return {"train": train, "val": val, "test": [test_fold]}


def in_order(folds: Iterable[Fold]) -> list[Fold]:
    """Gives each fold once, numbers before texts."""
    return sorted(set(folds), key=lambda fold: (isinstance(fold, str), fold))
