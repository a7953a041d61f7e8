"""Sets of users: a CSV file that lists sounds or images, with labels, numbers or masks."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.data.image.image_set import Images
from experiments.data.inputs import IGNORED
from experiments.data.sets.own import STAGES, Automatic, Split, by_folds, groups_of, make
from experiments.data.sound.clips import many_hot
from experiments.data.source import Fold
from experiments.data.splits import check_files, check_groups, check_names
from experiments.data.tables import read_csv

log = logging.getLogger(__name__)


class CSV:
    """A set that a CSV file lists: sounds (`AudioSet`) or images (`ImageSet`), by what the files are.

    The file has the column ``file``, relative to its own folder, and

    - ``label``, or several labels separated by "|";
    - or ``mask``, the file of a mask, and perhaps ``instances`` (file of the numbers of objects), ``roi`` (file of the
      region of interest) and ``mpp`` (side of a pixel, in microns);
    - or ``value``, or the columns of ``values``: numbers, for a regression.

    ``fold``, any numbers or texts, or ``split`` ("train", "val" or "test") says how it is split; without them, folds
    are drawn. Other columns do not matter. In a ``.tsv`` file tabs separate the fields.

    Args:
        metadata: The CSV file.
        root: Folder of the files. ``None``: that of the CSV file.
        test_fold: The fold to test on. ``None``: the split that the file says, or else the first fold.
        val_fold: The fold to validate on. ``None``: the one after ``test_fold``, in a circle. False: none.
        folds: Number of folds that are drawn, if the file has none.
        seed: Seed of these folds.
        group: Column of groups that stay in one fold, such as patients; or a regular expression whose first
            parentheses match the group in the name of the file.
        multi_label: Whether an example has any number of labels. ``None``: if there is a "|".
        values: Columns of the numbers of a regression.
        classes: Names of the classes, in the order of their numbers. ``None``: they are found.
        **options: See `AudioSet` and `ImageSet`.

    Raises:
        FileNotFoundError: The CSV file is missing, or one that it lists.
        ValueError: It is broken or contradicts itself, or an argument is out of range.
    """

    def __new__(
        cls,
        metadata: Path | str,
        root: Path | str | None = None,
        test_fold: Fold | float | None = None,
        val_fold: Fold | float | None = None,
        folds: int = 5,
        seed: int = 0,
        group: str | None = None,
        multi_label: bool | None = None,
        values: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Make the set: one name in the configuration, two kinds of sets."""
        file = Path(metadata).expanduser()
        table = read_csv(file, ["file"], separator="\t" if file.suffix.lower() == ".tsv" else ",", texts=True)
        table["file"] = table["file"].str.strip()
        folder = file.parent if root is None else Path(root).expanduser()
        names = _columns_of_numbers(table, values, file)
        images = {key: _files(table, key, folder) for key in ("mask", "instances", "roi")}
        target = None
        if names:
            if classes is not None:
                raise ValueError(
                    f"data.classes={list(classes)} is for labels and masks, but {file} has numbers; leave it out"
                )
            classes, target = names, _numbers(table, names, file)
        elif "label" in table:
            classes, target = _labels(table["label"], multi_label, classes)
            images = {}
        elif classes is None:
            classes, options["mask_values"] = _classes_of_masks(images["mask"] or [], options)
        groups = groups_of(group, table["file"].tolist(), table)
        paths = [folder / name for name in table["file"]]
        check_files(paths, next((table[key] for key in ("split", "fold") if key in table), None))
        stages, made_of = _split(table, file, Automatic(target, groups, folds, seed), test_fold, val_fold)
        if groups:
            check_groups(groups, stages)
        listed = Images(paths, stages, target, **images, mpp=_mpp(table, file), group=groups)
        return make(listed, list(classes), made_of, options)


def _columns_of_numbers(table: pd.DataFrame, values: Sequence[str] | None, file: Path) -> list[str]:
    """Return the columns of a regression; empty: there are labels or masks."""
    kinds = [key for key in ("label", "mask", "value") if key in table]
    columns = ", ".join(map(str, table))
    if values is not None:
        names = [values] if isinstance(values, str) else list(values)
        if lacking := [name for name in names if name not in table]:
            raise ValueError(f"data.values={names}: {file} lacks the column {lacking[0]} (it has {columns})")
        return names
    if not kinds:
        raise ValueError(
            f"{file} has the columns {columns}; it needs the column label, mask or value, or data.values=[…] names "
            "the columns of numbers"
        )
    if kinds[:2] == ["label", "mask"]:
        raise ValueError(f"{file} has the columns label and mask; rename the one that is not to be learned")
    return ["value"] if kinds == ["value"] else []


def _numbers(table: pd.DataFrame, names: Sequence[str], file: Path) -> np.ndarray:
    """Return the numbers of some columns, (N, K) in float64."""
    numbers = np.empty((len(table), len(names)))
    for column, name in enumerate(names):
        for row, (line, text) in enumerate(table[name].items()):
            number = np.nan
            with suppress(ValueError):
                number = float(str(text).replace(table.attrs["decimal"], "."))
            if not np.isfinite(number):
                raise ValueError(f"line {line} of {file} has {text!r} in the column {name}, which is not a number")
            numbers[row, column] = number
    return numbers


def _labels(labels: pd.Series, multi_label: bool | None, classes: Sequence[str] | None) -> tuple[list[str], np.ndarray]:
    """Return the classes, and the target of each example."""
    texts = ["" if pd.isna(label) else label.strip() for label in labels]
    if multi_label is None:
        multi_label = any("|" in text for text in texts)
    parts = [text.split("|") if multi_label else [text] for text in texts]
    several = [[name.strip() for name in names if name.strip() or not multi_label] for names in parts]
    if not multi_label and "" in texts:
        line = labels.index[texts.index("")]
        raise ValueError(f"line {line} of data.metadata has no label; data.multi_label=true allows examples without")
    found = sorted({name for names in several for name in names}, key=_number_or_text)
    check_names(found)
    names = found if classes is None else [str(name) for name in classes]
    if len(set(names)) < len(names):
        raise ValueError(f"data.classes={names} names a class twice; leave one out")
    if unknown := [name for name in found if name not in names]:
        raise ValueError(f"data.classes={names} lacks the label {unknown[0]} of data.metadata")
    numbers = {name: number for number, name in enumerate(names)}
    rows = [[numbers[name] for name in some] for some in several]
    return names, many_hot(rows, len(names)) if multi_label else np.array(rows)[:, 0]


def _files(table: pd.DataFrame, key: str, folder: Path) -> list[Path | None] | None:
    """Return the files of a column; ``None`` where the field is empty, or if there is no such column."""
    if key not in table:
        return None
    return [None if pd.isna(name) or not name.strip() else folder / name.strip() for name in table[key]]


def _classes_of_masks(masks: Sequence[Path | None], options: dict[str, Any]) -> tuple[list[str], list[int]]:
    """Return names and values of the classes that masks have: "0" and "1" if there are two, or else their values."""
    if options.get("mask_values") is not None:
        return [str(value) for value in options["mask_values"]], list(options["mask_values"])
    from experiments.data.image.mask import read_instances  # needs the extra "images"

    found: set[int] = set()
    for mask in masks:
        if mask is not None and mask.is_file():
            try:
                found.update(read_instances(mask).unique().tolist())
            except ValueError:
                if options.get("on_bad_file") != "skip":
                    raise
    values = sorted(found - {options.get("ignore")})
    shown = ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")
    if not 2 <= len(values) < IGNORED:
        raise ValueError(
            f"the masks have {len(values)} values ({shown}), which are not classes; name the classes with "
            "data.classes=[background,…] (numbers of objects are for the column instances)"
        )
    if len(values) > 2 and values[-1] == IGNORED and values[:-1] == list(range(len(values) - 1)):
        raise ValueError(
            f"the masks have the values {shown}: data.ignore={IGNORED} leaves out the pixels of value {IGNORED}, and "
            f"data.mask_values={values} makes them a class"
        )
    return ["0", "1"] if len(values) == 2 else [str(value) for value in values], values


def _split(table: pd.DataFrame, file: Path, automatic: Automatic, test_fold: Any, val_fold: Any) -> Split:
    """Return the split that the file says, or else one that is drawn."""
    if "split" in table and test_fold is None:
        if val_fold is not None:
            raise ValueError(f"{file} has its own split; data.val_fold={val_fold} needs data.test_fold=… as well")
        words = [str(word).strip().lower() for word in _filled(table, "split", file)]
        if unknown := [word for word in words if word not in STAGES]:
            raise ValueError(f"{file} has the split {unknown[0]!r}; choose among train, val and test")
        return automatic.completed([STAGES[word] for word in words], file), {}
    if "fold" in table:
        return by_folds(_filled(table, "fold", file), test_fold, val_fold)
    if "split" in table:
        raise ValueError(f"{file} has no column fold, so that there is no data.test_fold={test_fold}")
    return automatic.split(len(table), test_fold, val_fold)


def _filled(table: pd.DataFrame, column: str, file: Path) -> pd.Series:
    if (empty := table[column].isna()).any():
        raise ValueError(f"line {empty.idxmax()} of {file} has no {column}; add it, or remove the line")
    return table[column]


def _mpp(table: pd.DataFrame, file: Path) -> float | None:
    """Return the side of a pixel that all images have, in microns."""
    if "mpp" not in table or table["mpp"].isna().all():
        return None
    sides = set(_numbers(table.dropna(subset="mpp"), ["mpp"], file)[:, 0].tolist())
    if len(sides) > 1 or table["mpp"].isna().any():
        log.warning("%s has images of different mpp, so that the microns per pixel of the set are unknown", file)
        return None
    return sides.pop()


def _number_or_text(name: str) -> tuple[bool, float, str]:
    """Return a key that sorts 2 before 10."""
    number = name.isdecimal()
    return not number, float(name) if number else 0.0, name
