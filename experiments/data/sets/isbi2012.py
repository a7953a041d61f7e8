"""ISBI 2012: 30 slices of the brain of a fly's larva with the membranes of its cells."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from experiments.data.image.decode import named
from experiments.data.image.image_set import ImageSet
from experiments.data.sets.derived import made_once, write_png
from experiments.data.sets.published import Example, complete, images, in_folds, listed
from experiments.data.source import Fold

HOME = "https://imagej.net/events/isbi-2012-segmentation-challenge"
HOLDS = "train-volume.tif and train-labels.tif (or images that a metadata.csv lists)"
CLASSES = ["cell", "membrane"]
COUNT, FOLDS = 30, 5
MPP = 0.004


class ISBI2012(ImageSet):
    """The training part of the ISBI challenge of 2012 as it is downloaded, or with a ``metadata.csv``.

    I. Arganda-Carreras et al., Crowdsourcing the creation of image segmentation algorithms for connectomics, Frontiers
    in Neuroanatomy 9, 2015; A. Cardona et al., PLoS Biology 8, 2010.
    https://imagej.net/events/isbi-2012-segmentation-challenge; free of charge for research. The labels of its test part
    are not public, so there are five folds, of six slices in sequence each, as neighbouring slices are alike.

    Args:
        root: Folder of the set.
        test_fold: The fold to test on, from 0.
        val_fold: The fold to validate on. If ``None``, it is the one after ``test_fold``.
        cache_dir: Folder of the slices.
        **options: See `ImageSet`.

    Raises:
        FileNotFoundError: If ``root`` does not hold the set.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        root: Path | str,
        test_fold: Fold = 0,
        val_fold: Fold | None = None,
        cache_dir: Path | str = "runs/cache",
        **options: Any,
    ) -> None:
        csv = Path(root).expanduser() / "metadata.csv"
        examples = listed(csv, HOME, "fold") if csv.is_file() else read_isbi2012(Path(root).expanduser(), cache_dir)
        examples, self.folds = in_folds(examples, test_fold, val_fold)
        super().__init__(images(examples, CLASSES, MPP), CLASSES, **options)


def read_isbi2012(root: Path, cache_dir: Path | str) -> list[Example]:
    """Return the slices, in folds; in the labels, which are 0 at membranes and 255 in cells, 255 is membrane."""
    volume, labels = complete([root / "train-volume.tif", root / "train-labels.tif"], HOLDS, HOME)
    slices, masks = _pages(volume, cache_dir), _pages(labels, cache_dir, inverted=True)
    return [
        Example(image, number * FOLDS // COUNT, mask=mask)
        for number, (image, mask) in enumerate(zip(slices, masks, strict=True))
    ]


def _pages(stack: Path, cache_dir: Path | str, inverted: bool = False) -> list[Path]:
    """Return the pages of a stack, each in a file."""

    def write(folder: Path) -> None:
        with named(stack):
            pages = tifffile.imread(stack)
        if len(pages) != COUNT or pages.dtype != np.uint8:
            raise ValueError(f"{stack} is not a stack of {COUNT} slices of 8 bits; download it again from {HOME}")
        for number, page in enumerate(pages):
            write_png(folder / f"{number:02}.png", 255 - page if inverted else page)

    return sorted(made_once(stack, "slices", cache_dir, write).glob("*.png"))
