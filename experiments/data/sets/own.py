"""What the sets of users share: which examples belong together, how they are split, and what they become."""

import inspect
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.data.image.image_set import Images, ImageSet
from experiments.data.sound.audio_set import AudioSet, Recordings
from experiments.data.sound.recordings import SOUNDS
from experiments.data.source import Fold, Stage
from experiments.data.splits import check_names, in_order, split_folds, stratified_folds

log = logging.getLogger(__name__)

STAGES: Mapping[str, Stage] = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
    **{"test": "test", "testing": "test"},
}
HARMLESS = "cache_dir", "num_workers"  # options of sounds that change no result, and may be set for images as well
Split = tuple[list[str], dict[Stage, list[Fold]]]  # the stage of each example, and the folds of each stage


class Automatic:
    """Folds of examples of which no split is given, stratified by class and drawn by a seed.

    Args:
        target: Targets of the examples, see `Images`. ``None``: masks.
        groups: Group of each example, such as the patient; a group stays in one fold. ``None``: there are none.
        count: Number of folds.
        seed: Seed of the folds.
    """

    def __init__(self, target: np.ndarray | None, groups: Sequence[str] | None, count: int, seed: int) -> None:
        self.target, self.groups, self.count, self.seed = target, groups, count, seed

    def folds(self, rows: Sequence[int]) -> list[int]:
        """Return a fold, from 1, for each of some rows.

        Raises:
            ValueError: There are too few rows.
        """
        classes = [0] * len(rows) if self.target is None else _strata(self.target[list(rows)])
        groups = None if self.groups is None else [self.groups[row] for row in rows]
        return stratified_folds(classes, groups, self.count, self.seed)

    def split(self, examples: int, test_fold: Any = None, val_fold: Any = None) -> Split:
        """Return the split of all examples; ``test_fold=None`` is the first fold."""
        log.info("the split is drawn: %d folds, by data.seed=%d", self.count, self.seed)
        return by_folds(self.folds(range(examples)), test_fold, val_fold)

    def published(
        self, stages: Sequence[str] | None, examples: int, origin: Any, where: str, test_fold: Any, val_fold: Any
    ) -> Split:
        """Return a published split, completed, or else the split that is drawn.

        Args:
            stages: Stage of each example. ``None``: there is no published split.
            examples: Number of examples.
            origin: What says the split, for the error message.
            where: Where it says the split, for the error message.
            test_fold: The fold to test on, of a split that is drawn.
            val_fold: The fold to validate on, of a split that is drawn.

        Raises:
            ValueError: A fold is given with a published split, or the split cannot be completed.
        """
        if stages is None:
            return self.split(examples, test_fold, val_fold)
        if test_fold is not None or val_fold is not None:
            raise ValueError(f"{origin} has {where}, and no folds; leave out data.test_fold and val_fold")
        return self.completed(stages, origin), {}

    def completed(self, stages: Sequence[str], origin: Any) -> list[str]:
        """Return a split with validation examples. If it has none, they are the first fold of the training examples.

        Args:
            stages: Stage of each example.
            origin: What says the split, for the error message.

        Raises:
            ValueError: The split has no training examples, or no test examples. A set for tests alone is good.
        """
        stages, present = list(stages), set(stages)
        if present == {"test"} or present >= {"train", "val", "test"}:
            return stages
        if lacking := {"train", "test"} - present:
            raise ValueError(f"{origin} has no {' and no '.join(sorted(lacking))} examples in its split; add some")
        rows = [row for row, stage in enumerate(stages) if stage == "train"]
        for row, fold in zip(rows, self.folds(rows), strict=True):
            stages[row] = "val" if fold == 1 else "train"
        log.info(
            "%s has no validation examples: %d of the %d training examples are used (data.folds=%d, data.seed=%d)",
            *(origin, stages.count("val"), len(rows), self.count, self.seed),
        )
        return stages


def by_folds(folds: Iterable[Any], test_fold: Any = None, val_fold: Any = None) -> Split:
    """Return the split that folds make; ``test_fold=None`` is the first fold. See `split_folds`."""
    folds = [as_fold(fold) for fold in folds]
    tested = in_order(folds)[0] if test_fold is None else as_fold(test_fold)
    stages = split_folds(folds, tested, val_fold if val_fold is None or val_fold is False else as_fold(val_fold))
    stage_of = {fold: stage for stage, names in stages.items() for fold in names}
    return [stage_of[fold] for fold in folds], stages


def as_fold(value: Any) -> Fold:
    """Return a fold as a whole number if it is one, and else as text.

    Example:
        >>> as_fold(600.0), as_fold("600"), as_fold("slow")
        (600, 600, 'slow')
    """
    text = str(value).strip().removesuffix(".0")
    return int(text) if text.removeprefix("-").isdecimal() else text


def groups_of(group: str | None, names: Sequence[str], table: pd.DataFrame | None = None) -> list[str] | None:
    r"""Return the group of each example, such as the patient. ``None``: no ``group`` is set.

    Args:
        group: A column of the table, or a regular expression, whose first parentheses match the group in a name.
        names: Names of the files.
        table: The table, if there is one.

    Raises:
        ValueError: ``group`` is neither, a field is empty, a name does not match, or two groups look alike.

    Example:
        >>> groups_of(r"(P\d+)_", ["P1_a.png", "P12_b.png"])
        ['P1', 'P12']
    """
    if group is None:
        return None
    if table is not None and group in table:
        column = table[group].fillna("").str.strip()
        if (empty := column == "").any():
            raise ValueError(f"line {empty.idxmax()} of the list has an empty field in the column {group}")
        return _distinct(column.str.removesuffix(".0").tolist(), group)  # 1 and 1.0 are one patient
    columns = "" if table is None else f"a column of the list ({', '.join(map(str, table))}) or "
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ValueError(f"data.group={group} is not {columns}a regular expression ({error})") from error
    if not pattern.groups:
        raise ValueError(
            f"data.group={group} is not {columns}a regular expression with parentheses, such as '(P[0-9]+)_'"
        )
    found = [pattern.search(name) for name in names]
    if None in found:
        raise ValueError(
            f"data.group={group} does not match {names[found.index(None)]}; write one that matches all names"
        )
    return _distinct([str(match[1]) for match in found if match], group)


def _distinct(groups: list[str], group: str) -> list[str]:
    """Return the groups, if no two of them look alike; otherwise, a patient might be in test and training."""
    check_names(groups, f"data.group={group}: the groups")
    return groups


def make(listed: Images, classes: Sequence[str], folds: Mapping[Stage, list[Fold]], options: Mapping[str, Any]) -> Any:
    """Make the set of sounds or images.

    Args:
        listed: Its files.
        classes: Names of the classes.
        folds: Folds of each stage; empty: there are none.
        options: Arguments of `AudioSet` and `ImageSet`. Those of the other kind must have their defaults.

    Raises:
        ValueError: There are images and other files, or an option is unknown or of the other kind.
    """
    pictures = [is_picture(path) for path in listed.path]
    if any(pictures) and not all(pictures):
        image, sound = listed.path[pictures.index(True)], listed.path[pictures.index(False)]
        raise ValueError(f"{image} is an image and {sound} is not; make two sets of them")
    kinds = {"images": ImageSet, "sounds": AudioSet}
    kind, other = ("images", "sounds") if pictures[0] else ("sounds", "images")
    mine, others = (inspect.signature(kinds[name]).parameters for name in (kind, other))
    for key, value in options.items():
        if key not in mine and key not in others:
            raise ValueError(f"data.{key} is unknown; conf/data/defaults has the keys of sounds and images")
        if key not in mine and key not in HARMLESS and value != others[key].default:
            raise ValueError(
                f"data.{key}={value} is for {other}, but {listed.path[0]} is one of the {kind}; leave it out"
            )
    given = {key: value for key, value in options.items() if key in mine}
    made: Any
    if pictures[0]:
        made = ImageSet(listed, classes, **given)
    elif listed.target is None:
        raise ValueError(f"{listed.path[0]} is not an image; masks are for images")
    else:
        made = AudioSet(Recordings(listed.path, listed.stage, listed.target, listed.group), classes, **given)
    made.folds = folds
    return made


def is_picture(path: Path) -> bool:
    """Return whether a file is an image, by the end of its name; sounds do not need the extra "images" for this."""
    if path.suffix.lower() in SOUNDS:
        return False
    from experiments.data.image.read import is_image

    return is_image(path)


def _strata(target: np.ndarray) -> list[int]:
    """Return a class for each example by which folds are stratified: of several labels the rarest."""
    if target.dtype == np.float64:
        return [0] * len(target)
    if target.ndim == 1:
        return target.tolist()
    return np.where(target > 0, target.sum(0), np.inf).argmin(1).tolist()
