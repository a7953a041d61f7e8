"""How a set says what is trained on, validated on and tested on: the folds of its examples."""

import logging
import os
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from experiments.data.source import Fold, Source, Stage
from experiments.data.wrappers import labels

log = logging.getLogger(__name__)

MANY = 20  # classes, of which the counts are summarised


def check_metadata(table: pd.DataFrame) -> None:
    """Check that the metadata of a set do not contradict themselves.

    Args:
        table: Columns ``path``, ``fold``, ``target`` and ``name``.

    Raises:
        ValueError: A file is listed twice, so that it might be in test and training; or a class has two numbers, a
            number two classes, or two classes look alike.
    """
    check_files(table["path"].tolist(), table["fold"])
    check_names(table["name"])
    classes = table[["name", "target"]].drop_duplicates()
    for group, values, what in (
        (classes["name"], classes["target"], "the class {} has the numbers {} in the metadata"),
        (classes["target"], classes["name"], "the number {} has the classes {} in the metadata"),
    ):
        if (twice := group.duplicated()).any():
            key = group[twice].iloc[0]
            both = ", ".join(map(repr, values[group == key].tolist()))
            raise ValueError(f"{what.format(key, both)}; correct one of them")


def check_files(paths: Sequence[Any], folds: Iterable[Any] | None = None) -> None:
    """Check that no file is listed twice, also not by two names or through a link of any kind.

    Args:
        paths: Files of the examples.
        folds: Fold or stage of each, for the error message.

    Raises:
        ValueError: A file is listed twice.
    """
    seen: dict[Any, tuple[int, Any, Any]] = {}
    for row, (path, fold) in enumerate(zip(paths, folds if folds is not None else [""] * len(paths), strict=True)):
        first, other, before = seen.setdefault(_identity(path), (row, path, fold))
        if first != row:
            names = f"{path} is" if str(other) == str(path) else f"{other} and {path} are one file,"
            where = "" if folds is None else f" (in {before} and {fold})"
            raise ValueError(f"{names} listed twice{where}; keep one line of it")


def _identity(path: Any) -> Any:
    """Return what a file has in common with its links, also with hard ones."""
    try:
        stat = os.stat(path)
    except OSError:  # it is missing, and reported elsewhere
        return os.path.realpath(path)
    return stat.st_dev, stat.st_ino


def check_names(names: Iterable[Any], what: str = "the classes") -> None:
    """Check that no two classes, or other names, look alike.

    Args:
        names: The names.
        what: What they are, for the message.

    Raises:
        ValueError: Two differ in case, blanks, invisible characters or the encoding of accents alone.

    Example:
        >>> check_names(["dog", "Dog "])
        Traceback (most recent call last):
        ValueError: the classes 'dog' and 'Dog ' differ in case, blanks or invisible characters only; write them alike
    """
    seen: dict[str, str] = {}
    for name in dict.fromkeys(map(str, names)):
        visible = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
        key = " ".join(unicodedata.normalize("NFC", visible).split()).casefold()
        if (other := seen.setdefault(key, name)) != name:
            raise ValueError(
                f"{what} {other!a} and {name!a} differ in case, blanks or invisible characters only; write them alike"
            )


def check_groups(groups: Iterable[Any], stages: Iterable[str]) -> None:
    """Check that no group of examples, such as a patient, is in two stages.

    Raises:
        ValueError: A group is in two stages.
    """
    seen: dict[Any, str] = {}
    for group, stage in zip(groups, stages, strict=True):
        if (other := seen.setdefault(group, stage)) != stage:
            raise ValueError(f"the group {group} is in {other} and in {stage}; give all of it one fold or split")


def stratified_folds(
    classes: Sequence[Any], groups: Sequence[Any] | None = None, count: int = 5, seed: int = 0
) -> list[int]:
    """Return a fold from 1 to ``count`` for each example, with about the same share of each class in all folds.

    Args:
        classes: Class of each example. All alike: the folds are drawn without regard to classes.
        groups: Group of each example, such as the patient. All examples of a group are in one fold.
        count: Number of folds.
        seed: Seed of the choice.

    Raises:
        ValueError: There are too few examples or groups for so many folds.

    Example:
        >>> stratified_folds(["a", "a", "b", "b"], count=2)
        [2, 1, 1, 2]
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # takes a second to import

    _, numbers, sizes = np.unique([str(name) for name in classes], return_inverse=True, return_counts=True)
    if not isinstance(count, int) or count < 2:
        raise ValueError(f"data.folds={count} is not a whole number of at least 2")
    if sizes.max() < count:
        raise ValueError(f"data.folds={count} is more than the {sizes.max()} examples of the largest class; set fewer")
    if groups is not None and len(set(groups)) < count:
        raise ValueError(f"data.folds={count} is more than the {len(set(groups))} groups of data.group; set fewer")
    folds = np.empty(len(numbers), int)
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class that is in some of the folds only; `log_counts` names it
        pieces = kind(count, shuffle=True, random_state=seed).split(numbers, numbers, groups)
        for fold, (_, rows) in enumerate(pieces, 1):
            folds[rows] = fold
    return folds.tolist()


def log_counts(source: Source, stages: Sequence[Stage] = get_args(Stage)) -> None:
    """Log how many examples of each class the stages have, and warn of classes without training examples.

    Args:
        source: The set. Without an attribute ``labels`` or ``present`` of a dataset, only its length is logged.
        stages: The stages to count.
    """
    for stage in stages:
        if stage == "val" and not source.validated:
            continue
        examples: Any = source.split(stage)
        targets = labels(examples) if hasattr(examples, "labels") else None
        if targets is None:
            targets = getattr(examples, "present", None)
        if targets is None:
            log.info("%s: %d examples", stage, len(examples))
            continue
        counts = (targets > 0).sum(0) if targets.ndim == 2 else np.bincount(targets, minlength=len(source.classes))
        names = [str(name) for name in source.classes]
        each = ", ".join(f"{name} {n}" for name, n in zip(names, counts, strict=True))
        if len(names) > MANY:
            each = f"{len(names)} classes of {counts.min()} to {counts.max()}"
        log.info("%s: %d examples (%s)", stage, len(targets), each)
        without = ", ".join(name for name, n in zip(names, counts, strict=True) if n == 0)
        if without and stage == "train":
            log.warning("no training example has the class %s, which cannot be learned", without)
        elif without and getattr(examples, "present", None) is not None:
            log.warning("no mask of %s has the class %s, of which the Dice is 0 or not a number", stage, without)


def split_folds(folds: Iterable[Fold], test_fold: Fold, val_fold: Fold | None = None) -> dict[Stage, list[Fold]]:
    """Return the folds of each stage: one to test on, another to validate on, the rest to train on.

    Args:
        folds: The folds of the set, all numbers or all texts; repetitions do not matter.
        test_fold: The fold to test on.
        val_fold: The fold to validate on. ``None``: the one after ``test_fold``, in a circle. False: none; all others
            are trained on, as publications on ESC-50 do.

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
    if len(names) < 3 - (val_fold is False):
        raise ValueError(f"a set with the folds {names} leaves none to train on; it needs at least three")
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
    return {"train": train, "val": val, "test": [test_fold]}


def in_order(folds: Iterable[Fold]) -> list[Fold]:
    """Return each fold once, numbers before texts."""
    return sorted(set(folds), key=lambda fold: (isinstance(fold, str), fold))
