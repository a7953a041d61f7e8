"""What the published sets of images share: their examples and their splits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.data.image.image_set import Images
from experiments.data.sets.own import as_fold, by_folds
from experiments.data.source import Fold, Stage
from experiments.data.splits import check_groups
from experiments.data.tables import read_csv

VESSELS = ["background", "vessel"]


@dataclass(frozen=True)
class Example:
    """An image of a set, and what is known about it.

    Attributes:
        image: The file.
        part: ``"train"``, ``"val"`` or ``"test"``; or the fold.
        label: Name of the class.
        mask: File of the mask.
        instances: File of the numbers of the objects.
        roi: File of the region that counts in validation and tests.
        group: What must not be in two parts, such as the patient.
    """

    image: Path
    part: Fold
    label: str = ""
    mask: Path | None = None
    instances: Path | None = None
    roi: Path | None = None
    group: str = ""


def listed(
    csv: Path, home: str, part: str = "split", target: str = "mask", group: str = "", folder: Path | None = None
) -> list[Example]:
    """Return the examples of a set that a ``metadata.csv`` lists.

    Args:
        csv: The file. Its columns are ``file``, and ``label``, or ``mask`` and perhaps ``instances`` and ``fov``.
        home: Where the set is downloaded, for the error message.
        part: Name of the column of the stages or folds.
        target: "mask" or "label", which each line has.
        group: Name of the column of the groups. If empty, there are none.
        folder: Folder of the files. If ``None``, it is that of the CSV file.

    Raises:
        ValueError: If the file lacks a column, or has an empty field in one.
    """
    columns = ["file", part, target, *[group] * bool(group)]
    table, folder = read_csv(csv, columns, home, texts=True).fillna(""), folder or csv.parent

    def file(name: str) -> Path | None:
        return folder / name if name else None

    return [
        Example(
            folder / row["file"],
            as_fold(row[part]),
            label=row.get("label", ""),
            mask=file(row.get("mask", "")),
            instances=file(row.get("instances", "")),
            roi=file(row.get("fov", "")),
            group=row[group] if group else "",
        )
        for row in table.to_dict("records")
    ]


def complete(files: Sequence[Path], holds: str, home: str) -> Sequence[Path]:
    """Return files, if all of them are there.

    Raises:
        FileNotFoundError: If one is missing. The message says what ``data.root`` must hold, and where to get it.
    """
    if missing := [file for file in files if not file.is_file()]:
        raise not_found(missing[0], holds, home)
    return files


def not_found(path: Path, holds: str, home: str) -> FileNotFoundError:
    """Return the error that a file of a set is missing."""
    return FileNotFoundError(f"{path} not found: data.root must hold {holds}; download it from {home}")


def hold_out(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """Move a share of the training examples, by groups, to validation, unless there are validation examples.

    Every other example stays where it is.

    Args:
        examples: The examples, in "train" and "test".
        share: Share of the groups of the training examples. 0: none, all are trained on.
        seed: Seed of the choice.

    Raises:
        ValueError: If the share is not at least 0 and less than 1.
    """
    if not 0 <= share < 1:
        raise ValueError(
            f"data.val_share={share:g} is not a share of at least 0 and less than 1, such as data.val_share=0.2"
        )
    if share == 0 or any(example.part == "val" for example in examples):
        return list(examples)
    groups = sorted({_group(example) for example in examples if example.part == "train"})
    count = min(max(1, round(share * len(groups))), len(groups) - 1)
    held = set(np.random.default_rng(seed).permutation(groups)[:count].tolist())
    return [
        replace(example, part="val") if example.part == "train" and _group(example) in held else example
        for example in examples
    ]


def in_folds(
    examples: Sequence[Example], test_fold: Fold | None, val_fold: Fold | None
) -> tuple[list[Example], dict[Stage, list[Fold]]]:
    """Return examples in folds as examples in stages, and the folds of each stage; see `by_folds`."""
    stages, folds = by_folds([example.part for example in examples], test_fold, val_fold)
    return [replace(example, part=stage) for example, stage in zip(examples, stages, strict=True)], folds


def images(examples: Sequence[Example], classes: Sequence[str], mpp: float | None = None) -> Images:
    """Return examples in stages as the table of an `ImageSet`; those without a mask have a label.

    Args:
        examples: The examples.
        classes: Names of the classes.
        mpp: Side of a pixel, in microns.

    Raises:
        ValueError: If a label is not among the classes, or a group is in two stages.
    """
    with_masks = any(example.mask for example in examples)
    if unknown := {example.label for example in examples if not with_masks} - set(classes):
        raise ValueError(f"the metadata have the class {min(unknown)!r}; choose among {', '.join(classes)}")
    grouped = [example for example in examples if example.group]
    check_groups([example.group for example in grouped], [str(example.part) for example in grouped])
    return Images(
        [example.image for example in examples],
        [str(example.part) for example in examples],
        None if with_masks else np.array([classes.index(example.label) for example in examples]),
        [example.mask for example in examples] if with_masks else None,
        [example.instances for example in examples],
        # Nothing lies beyond a field of view, and a network learns this from its training images; tests leave it out.
        [None if example.part == "train" else example.roi for example in examples],
        mpp,
        [example.group for example in examples] if grouped else None,
    )


def _group(example: Example) -> str:
    return example.group or str(example.image)
