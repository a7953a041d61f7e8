"""Sets of users: a folder of sounds or images in which a class is a subfolder."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.find import files_below
from experiments.data.image.image_set import Images
from experiments.data.sets.own import STAGES, Automatic, groups_of, is_picture, log, make
from experiments.data.sound.recordings import SOUNDS
from experiments.data.source import Fold
from experiments.data.splits import check_files, check_groups, check_names


class Folder:
    """A folder of sounds (`AudioSet`) or images (`ImageSet`), in which a class is a subfolder.

    Files may lie in further folders below that of their class. Links are followed; names that begin with a dot are
    left out. Folders ``train``, ``val`` and ``test`` at the top are the split, and hold the folders of the classes; a
    set for tests alone has ``test``. Without them, folds are drawn, stratified by class.

    Args:
        root: The folder.
        test_fold: The fold to test on. ``None``: the first, if there is no split.
        val_fold: The fold to validate on. ``None``: the one after ``test_fold``, in a circle. False: none.
        folds: Number of folds.
        seed: Seed of the folds.
        group: Regular expression whose first parentheses match the group of a file, such as the patient, in its name,
            which begins below the folder of its class. A group stays in one fold. ``None``: each file by itself.
        **options: See `AudioSet` and `ImageSet`.

    Raises:
        FileNotFoundError: The folder is missing, or has no sounds and no images.
        ValueError: A file is in no class, or in two; the split is not complete, or has other folders beside it; or an
            argument is out of range.
    """

    def __new__(
        cls,
        root: Path | str,
        test_fold: Fold | float | None = None,
        val_fold: Fold | float | None = None,
        folds: int = 5,
        seed: int = 0,
        group: str | None = None,
        **options: Any,
    ) -> Any:
        """Make the set: one name in the configuration, two kinds of sets."""
        root = Path(root).expanduser()
        paths = _usable(root)
        parts = [path.relative_to(root).parts for path in paths]
        split = _is_split(root, parts)
        for path, part in zip(paths, parts, strict=True):
            if len(part) < 2 + split:
                raise ValueError(f"{path} is in no folder of a class; move it into a subfolder whose name is the class")
        classes = sorted({part[split] for part in parts})
        check_names(classes)
        target = np.array([classes.index(part[split]) for part in parts])
        groups = groups_of(group, ["/".join(part[1 + split :]) for part in parts])
        automatic = Automatic(target, groups, folds, seed)
        check_files(paths)
        published = [STAGES[part[0].lower()] for part in parts] if split else None
        stages, made_of = automatic.published(
            published, len(paths), root, "the split in its folders", test_fold, val_fold
        )
        if groups:
            check_groups(groups, stages)
        return make(Images(paths, stages, target, group=groups), classes, made_of, options)


def _is_split(root: Path, parts: Sequence[Sequence[str]]) -> bool:
    """Return whether the folders at the top are those of a split.

    Args:
        root: The folder.
        parts: Folders and name of each file below it.

    Raises:
        ValueError: Folders of a split hold folders of classes, but others lie beside them, or are missing.
    """
    tops = sorted({part[0] for part in parts if len(part) > 1})
    stages = {top: STAGES[top.lower()] for top in tops if top.lower() in STAGES}
    others, found = ", ".join(top for top in tops if top not in stages), set(stages.values())
    deep = any(part[0] in stages and len(part) > 2 for part in parts)
    if not others and (len(found) > 1 or (found == {"test"} and deep)):
        return True
    if deep:
        lacking = " and no ".join(sorted({"train", "test"} - found))
        problem = f"beside {others}; move {others} elsewhere" if others else f"and no {lacking}; add what is missing"
        names = ", ".join(stages)
        raise ValueError(f"{root} has the folders of a split {names} {problem}, or rename {names} if they are classes")
    return False


def _usable(root: Path) -> list[Path]:
    """Return the sounds and images below a folder, and log how many other files there are."""
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; data.root must be a folder with a subfolder for each class")
    files = list(files_below(root))
    usable = [file for file in files if file.suffix.lower() in SOUNDS or is_picture(file)]
    if not usable:
        raise FileNotFoundError(
            f"{root} contains no sounds and no images; data.root must have a subfolder for each class"
        )
    if others := Counter(file.suffix or file.name for file in set(files) - set(usable)):
        names = ", ".join(sorted(others))
        log.info("left out %d files that are neither sounds nor images: %s", others.total(), names)
    return usable
