"""IDC: patches of breast tissue with and without invasive ductal carcinoma."""

from pathlib import Path
from typing import Any

from experiments.data.image.image_set import ImageSet
from experiments.data.sets.derived import unzipped
from experiments.data.sets.published import Example, images, in_folds, listed, not_found
from experiments.data.source import Fold
from experiments.data.splits import stratified_folds

HOME = "https://www.kaggle.com/datasets/paultimothymooney/breast-histopathology-images"
HOLDS = "a folder for each patient (PATIENT/0/*.png and PATIENT/1/*.png), images.zip or IDC_regular_ps50_idx5.zip"
ARCHIVES = "images.zip", "IDC_regular_ps50_idx5.zip", "archive.zip"
CLASSES = ["normal", "idc"]
MPP = 1.0  # 10×


class IDC(ImageSet):
    """The patches of invasive ductal carcinoma as they are downloaded: a zip archive, or a folder for each patient.

    A. Cruz-Roa et al., Automatic detection of invasive ductal carcinoma in whole slide images with convolutional neural
    networks, SPIE Medical Imaging 2014; A. Janowczyk, A. Madabhushi, Journal of Pathology Informatics 7, 2016.
    https://www.kaggle.com/datasets/paultimothymooney/breast-histopathology-images; public domain. There are five folds,
    by patient: those that a ``metadata.csv`` says, or else stratified ones.

    Args:
        root: Folder of the set.
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
        examples = read_idc(Path(root).expanduser(), seed, cache_dir)
        examples, self.folds = in_folds(examples, test_fold, val_fold)
        super().__init__(images(examples, CLASSES, MPP), CLASSES, **options)


def read_idc(root: Path, seed: int, cache_dir: Path | str) -> list[Example]:
    """Return the examples of the set, in folds."""
    archive = next((file for name in ARCHIVES if (file := root / name).is_file()), None)
    folder = _patients(root) or (archive and _patients(unzipped(archive, cache_dir)))
    if folder is None:
        raise not_found(archive or root / ARCHIVES[0], HOLDS, HOME)
    if (csv := root / "metadata.csv").is_file():
        return listed(csv, HOME, "fold", "label", "patient", folder)
    files = sorted(file for file in folder.glob("*/[01]/*") if file.suffix in (".jpg", ".png"))
    labels, patients = [int(file.parent.name) for file in files], [file.parts[-3] for file in files]
    folds = stratified_folds(labels, patients, seed=seed)
    return [
        Example(file, fold, CLASSES[label], group=patient)
        for file, fold, label, patient in zip(files, folds, labels, patients, strict=True)
    ]


def _patients(folder: Path) -> Path | None:
    """Return the folder of the patients: this one, or one in it."""
    found = next((label for depth in ("*", "*/*") for label in folder.glob(f"{depth}/[01]")), None)
    return found and found.parent.parent
