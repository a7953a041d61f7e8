"""Any set of one's own: a CSV file that lists sounds or images, with their labels and folds."""

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.data.audio import AudioSet, Recordings
from experiments.data.clips import many_hot
from experiments.data.folds import in_order, read_csv, split_folds
from experiments.data.source import Fold, Stage

IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
STAGES: Mapping[str, Stage] = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
    **{"test": "test", "testing": "test"},
}


class CSV:
    """A set that a CSV file lists: sounds (`AudioSet`) or images (`ImageSet`), by what the files are.

    The file has the columns ``file``, relative to its own folder; ``label``, or several of them separated by "|"; and
    ``fold``, any numbers or texts, or ``split``: "train", "val" or "test". Other columns do not matter. In a ``.tsv``
    file tabs separate the fields.

    Args:
        metadata: The CSV file.
        root: Folder of the files; None is that of the CSV file.
        test_fold: The fold to test on; None is the split that the file says, or else the first fold.
        val_fold: The fold to validate on; None is the one after ``test_fold``, in a circle, False is none.
        multi_label: Whether an example has any number of labels; None: as soon as there is a "|".
        size: Of images: height and width, see `ImageSet`.
        channels: Of images: 3, or 1 for grey.
        quantity: Of images: what is rescaled, "size" or "angle".
        **options: Of sounds, see `AudioSet`.

    Raises:
        FileNotFoundError: The CSV file is missing, or one that it lists.
        ValueError: It is broken, or contradicts itself, or an argument is out of range.
    """

    def __new__(
        cls,
        metadata: Path | str,
        root: Path | str | None = None,
        test_fold: Fold | float | None = None,
        val_fold: Fold | float | None = None,
        multi_label: bool | None = None,
        size: Sequence[int] | None = None,
        channels: int = 3,
        quantity: str = "size",
        **options: Any,
    ) -> Any:
        """Makes the set: one name in the configuration, two kinds of sets."""
        file = Path(metadata)
        table = read_listing(file)
        paths = [Path(root or file.parent) / name for name in table["file"]]
        classes, target = _targets(table["label"], multi_label)
        split = "split" in table and test_fold is None
        if split and val_fold is not None:
            raise ValueError(f"{file} says the split itself; data.val_fold={val_fold} goes with data.test_fold=…")
        folds = None if split else _folds(table, file, test_fold, val_fold)
        recordings = Recordings(paths, _stages(table, file, folds), target)
        pictures = [path.suffix.lower() in IMAGES for path in paths]
        if any(pictures) and not all(pictures):
            raise ValueError(f"{file} lists images and others, such as {paths[pictures.index(False)]}; split it in two")
        made: Any
        if pictures[0]:
            from experiments.data.pictures import ImageSet  # needs the extra "images"

            if unknown := sorted(options.keys() - inspect.signature(AudioSet).parameters.keys()):
                raise ValueError(f"data.{unknown[0]} is unknown; conf/data/csv.yaml has all keys of a listing")
            made = ImageSet(recordings, classes, size, channels, quantity)
        else:
            made = AudioSet(recordings, classes, **options)
        made.folds = folds or {}
        return made


def read_listing(file: Path) -> pd.DataFrame:
    """Reads the CSV file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It lacks a column or has an empty field, or lists a file twice.
    """
    table = read_csv(file, ["file"], separator="\t" if file.suffix == ".tsv" else ",", texts=True)
    if "label" not in table or not {"fold", "split"} & set(table):
        raise ValueError(
            f"{file} has the columns {', '.join(map(str, table))}; it needs the columns file, label, and fold or split"
        )
    table["file"] = table["file"].str.strip()
    names = table["file"].map(os.path.normpath)
    if (twice := names.duplicated()).any():
        raise ValueError(f"{file} lists {names[twice].iloc[0]} twice; a file has one line, and one fold")
    return table


def _targets(labels: pd.Series, multi_label: bool | None) -> tuple[list[str], np.ndarray]:
    """The classes, and what each example is of them."""
    texts = ["" if pd.isna(label) else label.strip() for label in labels]
    if multi_label is None:
        multi_label = any("|" in text for text in texts)
    parts = [text.split("|") if multi_label else [text] for text in texts]
    several = [[name.strip() for name in names if name.strip() or not multi_label] for names in parts]
    if not multi_label and "" in texts:
        raise ValueError(
            f"line {texts.index('') + 2} of data.metadata has no label; data.multi_label=true allows examples without"
        )
    classes = sorted({name for names in several for name in names}, key=_number_or_text)
    numbers = {name: number for number, name in enumerate(classes)}
    rows = [[numbers[name] for name in names] for names in several]
    return classes, many_hot(rows, len(classes)) if multi_label else np.array(rows)[:, 0]


def _folds(table: pd.DataFrame, file: Path, test_fold: Any, val_fold: Any) -> dict[Stage, list[Fold]]:
    if "fold" not in table:
        raise ValueError(f"{file} has no column fold, so that there is no data.test_fold={test_fold}")
    if (empty := table["fold"].isna()).any():
        raise ValueError(f"line {int(empty.argmax()) + 2} of {file} has no fold; give it one, or take it out")
    folds = [_fold(fold) for fold in table["fold"]]
    tested = in_order(folds)[0] if test_fold is None else _fold(test_fold)
    return split_folds(folds, tested, val_fold if val_fold is None or val_fold is False else _fold(val_fold))


def _stages(table: pd.DataFrame, file: Path, folds: Mapping[Stage, Sequence[Fold]] | None) -> list[str]:
    if folds:
        stage_of = {fold: stage for stage, names in folds.items() for fold in names}
        return [stage_of[_fold(fold)] for fold in table["fold"]]
    words = [str(word).strip().lower() for word in table["split"]]
    if unknown := [word for word in words if word not in STAGES]:
        raise ValueError(f"{file} has the split {unknown[0]!r}; choose among train, val and test")
    stages = [STAGES[word] for word in words]
    if missing := {"train", "val", "test"} - set(stages):
        raise ValueError(f"{file} has no line with the split {' and '.join(sorted(missing))}; every stage needs some")
    return list(stages)


def _fold(value: Any) -> Fold:
    """Gives a fold as a whole number, if it is one, or else as text: 600.0 and "600" are 600."""
    text = str(value).strip().removesuffix(".0")
    return int(text) if text.lstrip("-").isdecimal() else text


def _number_or_text(name: str) -> tuple[bool, float, str]:
    """Sorts 2 before 10."""
    number = name.isdecimal()
    return not number, float(name) if number else 0.0, name
