"""Sets of users in the layout of nnU-Net: images and masks that a dataset.json describes."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.data.image.image_set import Images, ImageSet
from experiments.data.image.read import is_image, read_image
from experiments.data.sets.own import Automatic, groups_of
from experiments.data.source import Fold
from experiments.data.splits import check_groups

LAYOUT = "data.root must be a folder such as Dataset001_NAME with dataset.json, imagesTr and labelsTr"


class NNUNet(ImageSet):
    """2D images and masks in the layout of nnU-Net, for segmentation.

    The folder has dataset.json, ``imagesTr/CASE_0000.png``, ``CASE_0001.png``, … (a file for each channel, or one file
    with all channels) and ``labelsTr/CASE.png``. Folds are drawn. If there is a folder ``labelsTs``, it and
    ``imagesTs`` are the test examples, and the first fold validates.

    F. Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation, Nature
    Methods 2021.

    Args:
        root: The folder.
        test_fold: The fold to test on. ``None``: the first, or ``labelsTs``.
        val_fold: The fold to validate on. ``None``: the one after ``test_fold``, in a circle. False: none.
        folds: Number of folds.
        seed: Seed of the folds.
        group: Regular expression whose first parentheses match the group of a case, such as the patient, in its name.
        channels: Number of channels. ``None``: that of dataset.json.
        **options: See `ImageSet`.

    Raises:
        FileNotFoundError: The folder does not hold the set.
        ValueError: The dataset.json is broken, or not of 2D images; or a file of a case is missing.
    """

    def __init__(
        self,
        root: Path | str,
        test_fold: Fold | float | None = None,
        val_fold: Fold | float | None = None,
        folds: int = 5,
        seed: int = 0,
        group: str | None = None,
        channels: int | None = None,
        **options: Any,
    ) -> None:
        root = Path(root).expanduser()
        described, ending, labels = _description(root)
        if channels not in (None, described):
            raise ValueError(f"data.channels={channels}, but {root / 'dataset.json'} names {described}; leave it out")
        self._files: dict[Path, list[Path]] = {}
        cases = self._cases(root, "Tr", described, ending)
        training = len(cases)
        published = (root / "labelsTs").is_dir()
        if published:
            cases += self._cases(root, "Ts", described, ending)
        names = [mask.name.removesuffix(ending) for _, mask in cases]
        groups = groups_of(group, names)
        automatic = Automatic(None, groups, folds, seed)
        split = ["train"] * training + ["test"] * (len(cases) - training) if published else None
        where = "test examples in labelsTs"
        stages, made_of = automatic.published(split, len(cases), root, where, test_fold, val_fold)
        if groups:
            check_groups(groups, stages)
        ignore = labels.pop("ignore", None)
        classes = sorted(labels, key=lambda name: labels[name])
        given = {"mask_values": [labels[name] for name in classes], "ignore": ignore}
        options |= {key: value for key, value in given.items() if options.get(key) is None}
        paths, masks = zip(*cases, strict=True)
        super().__init__(Images(paths, stages, mask=masks, group=groups), classes, described, **options)
        self.folds = made_of

    def read(self, file: Path) -> Tensor:
        """Read all channels of the case whose first file is given."""
        files = self._files[file]
        each = self.channels // len(files)
        return torch.cat([read_image(one, each, self.background, range=self.range) for one in files])

    def _cases(self, root: Path, part: str, channels: int, ending: str) -> list[tuple[Path, Path]]:
        """Return the first image file and the mask of each case of ``imagesTr`` or ``imagesTs``, in order of names."""
        cases: dict[str, dict[int, Path]] = defaultdict(dict)
        for file in sorted((root / f"images{part}").glob(f"[!.]*{ending}")):
            if match := re.fullmatch(r"(.+)_(\d{4})", file.name.removesuffix(ending)):
                cases[match[1]][int(match[2])] = file
        if not cases:
            raise FileNotFoundError(f"{root / f'images{part}'} has no files such as CASE_0000{ending}; {LAYOUT}")
        for case, files in cases.items():
            if sorted(files) not in ([0], list(range(channels))):
                raise ValueError(
                    f"{root / f'images{part}' / case} has the channels {sorted(files)}; {channels} are needed, from "
                    f"_0000 on"
                )
            self._files[files[0]] = [files[channel] for channel in sorted(files)]
        return [(files[0], root / f"labels{part}" / f"{case}{ending}") for case, files in cases.items()]


def _description(root: Path) -> tuple[int, str, dict[str, int]]:
    """Return the number of channels, the ending of file names, and the value of each class."""
    file = root / "dataset.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} not found; {LAYOUT}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        ending, labels = str(content["file_ending"]), dict(content["labels"])
        channels = len(content.get("channel_names") or content["modality"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is not the description of a set of nnU-Net ({error!r}); correct it") from error
    if not is_image(Path(f"case{ending}")):
        raise ValueError(f"{file} lists files that end in {ending}, which are not 2D images; save them as PNG or TIFF")
    if all(name.isdecimal() for name in labels):  # as the first version of nnU-Net writes them
        labels = {str(name): int(value) for value, name in labels.items()}
    if wrong := [name for name, value in labels.items() if not isinstance(value, int)]:
        raise ValueError(f"{file} has regions of several labels ({wrong[0]}); list one value for each class")
    return channels, ending, labels
