"""DRIVE: 40 photographs of the retina with their vessels."""

from pathlib import Path
from typing import Any

from experiments.data.image.image_set import ImageSet
from experiments.data.sets.published import VESSELS, Example, complete, hold_out, images, listed

HOME = "https://drive.grand-challenge.org"
HOLDS = "the folders training and test, each with images, 1st_manual and mask (or images that a metadata.csv lists)"


class DRIVE(ImageSet):
    """DRIVE as it is downloaded, or with a ``metadata.csv``: 20 images to train and validate on, 20 to test on.

    J. Staal, M. D. Abràmoff, M. Niemeijer, M. A. Viergever, B. van Ginneken, Ridge-based vessel segmentation in color
    images of the retina, IEEE Transactions on Medical Imaging 23, 2004. https://drive.grand-challenge.org; free of
    charge for research and education, not to be passed on. Only the field of view counts in validation and
    tests. The masks are those of the first observer.

    Args:
        root: Folder of the set.
        val_share: Share of the training images to validate on. 0: none, all are trained on.
        seed: Seed of the choice of these images.
        **options: See `ImageSet`.

    Raises:
        FileNotFoundError: If ``root`` does not hold the set.
        ValueError: If an argument is out of range.
    """

    def __init__(self, root: Path | str, val_share: float = 0.2, seed: int = 0, **options: Any) -> None:
        super().__init__(
            images(hold_out(read_drive(Path(root).expanduser()), val_share, seed), VESSELS), VESSELS, **options
        )


def read_drive(root: Path) -> list[Example]:
    """Return the examples of DRIVE, in "train" and "test"."""
    csv = root / "metadata.csv"
    return listed(csv, HOME) if csv.is_file() else [*_part(root, "training"), *_part(root, "test")]


def _part(root: Path, name: str) -> list[Example]:
    """Return the examples of a folder; the images have the numbers 1 to 20 in test, and 21 to 40 in training."""
    folder, numbers = root / name, range(21, 41) if name == "training" else range(1, 21)
    files = [
        complete(
            [
                folder / "images" / f"{number:02}_{name}.tif",
                folder / "1st_manual" / f"{number:02}_manual1.gif",
                folder / "mask" / f"{number:02}_{name}_mask.gif",
            ],
            HOLDS,
            HOME,
        )
        for number in numbers
    ]
    part = "train" if name == "training" else "test"
    return [Example(image, part, mask=mask, roi=roi) for image, mask, roi in files]
