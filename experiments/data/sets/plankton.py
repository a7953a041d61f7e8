"""Plankton: 30,336 images of 121 kinds of organisms in the sea."""

from pathlib import Path
from typing import Any

from experiments.data.image.image_set import ImageSet
from experiments.data.sets.derived import unzipped
from experiments.data.sets.published import Example, images, in_folds, listed, not_found
from experiments.data.source import Fold
from experiments.data.splits import stratified_folds

HOME = "https://www.kaggle.com/competitions/datasciencebowl/data"


class Plankton(ImageSet):
    """The labelled part of the National Data Science Bowl of 2015 as it is downloaded: train.zip, or its folder.

    R. K. Cowen, S. Sponaugle, K. Robinson, J. Luo, PlanktonSet 1.0, NOAA NCEI accession 0127422, 2015.
    https://www.kaggle.com/competitions/datasciencebowl/data; the terms of the competition hold. The labels of its test
    part are not public, so there are five folds: those that a ``metadata.csv`` says, or else stratified ones. The size
    of an image is that of the organism.

    Args:
        root: Folder with train.zip, or with train/CLASS/*.jpg.
        test_fold: The fold to test on, from 1.
        val_fold: The fold to validate on. If ``None``, it is the one after ``test_fold``.
        seed: Seed of the folds that no ``metadata.csv`` says.
        cache_dir: Folder of the unpacked images.
        **options: See `ImageSet`.

    Raises:
        FileNotFoundError: If ``root`` does not hold the set.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        root: Path | str,
        test_fold: Fold = 1,
        val_fold: Fold | None = None,
        seed: int = 0,
        cache_dir: Path | str = "runs/cache",
        **options: Any,
    ) -> None:
        examples = read_plankton(Path(root).expanduser(), seed, cache_dir)
        classes = sorted({example.label for example in examples})
        examples, self.folds = in_folds(examples, test_fold, val_fold)
        super().__init__(images(examples, classes), classes, **options)


def read_plankton(root: Path, seed: int, cache_dir: Path | str) -> list[Example]:
    """Return the examples of the set, in folds."""
    folder = root / "train"
    if not folder.is_dir():
        if not (archive := root / "train.zip").is_file():
            raise not_found(archive, "train.zip, or the folder train with a folder for each class", HOME)
        folder = unzipped(archive, cache_dir) / "train"
    if (csv := root / "metadata.csv").is_file():
        return listed(csv, HOME, "fold", "label", folder=folder)
    files = sorted(folder.glob("*/*.jpg"))
    if not files:
        raise not_found(folder / "*/*.jpg", "train.zip, or the folder train with a folder for each class", HOME)
    labels = [file.parent.name for file in files]
    folds = stratified_folds(labels, seed=seed)
    return [Example(file, fold, label) for file, fold, label in zip(files, folds, labels, strict=True)]
