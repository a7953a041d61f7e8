"""STARE: 20 photographs of the retina with their vessels."""

from pathlib import Path
from typing import Any

from experiments.data.image.image_set import ImageSet
from experiments.data.sets.derived import gunzipped, retina
from experiments.data.sets.published import VESSELS, Example, images, in_folds, not_found
from experiments.data.source import Fold

HOME = "https://cecas.clemson.edu/~ahoover/stare/probing"
COUNT = 20
OBSERVERS = {1: "ah", 2: "vk"}


class STARE(ImageSet):
    """The vessels of STARE as they are downloaded: stare-images.tar, and labels-ah.tar or labels-vk.tar, unpacked.

    A. Hoover, V. Kouznetsova, M. Goldbaum, Locating blood vessels in retinal images by piecewise threshold probing of a
    matched filter response, IEEE Transactions on Medical Imaging 19, 2000. https://cecas.clemson.edu/~ahoover/stare; no
    licence is stated. There is no published split: one image is tested on and another is validated on, as is usual, or
    so many at once. Only the field of view counts in validation and tests; it is found in the image.

    Args:
        root: Folder with stare-images and labels-ah; the files may end in .gz.
        folds: Number of folds; 20 leaves one image out. Image i is in fold i modulo this.
        test_fold: The fold to test on, from 1.
        val_fold: The fold to validate on. If ``None``, it is the one after ``test_fold``.
        observer: Whose masks are used: 1 is A. Hoover, 2 is V. Kouznetsova.
        cache_dir: Folder of the fields of view and of unpacked files.
        **options: See `ImageSet`.

    Raises:
        FileNotFoundError: If ``root`` does not hold the set.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        root: Path | str,
        folds: int = COUNT,
        test_fold: Fold = 1,
        val_fold: Fold | None = None,
        observer: int = 1,
        cache_dir: Path | str = "runs/cache",
        **options: Any,
    ) -> None:
        if not 3 <= folds <= COUNT:
            raise ValueError(f"data.folds={folds} is not a number from 3 to {COUNT}, which leaves one image out")
        if observer not in OBSERVERS:
            raise ValueError(f"data.observer={observer} is unknown; choose 1 or 2")
        examples = read_stare(Path(root).expanduser(), OBSERVERS[observer], folds, cache_dir)
        examples, self.folds = in_folds(examples, test_fold, val_fold)
        super().__init__(images(examples, VESSELS), VESSELS, **options)


def read_stare(root: Path, observer: str, folds: int, cache_dir: Path | str) -> list[Example]:
    """Return the examples of STARE, in folds."""
    photographs = sorted((root / "stare-images").glob("im*.ppm*"))
    masks = sorted((root / f"labels-{observer}").glob(f"im*.{observer}.ppm*"))
    names = [[file.name.split(".")[0] for file in files] for files in (photographs, masks)]
    if names[0] != names[1] or len(masks) != COUNT:
        raise not_found(
            root,
            f"stare-images/im0001.ppm and labels-{observer}/im0001.{observer}.ppm (or .ppm.gz), {COUNT} of each "
            f"(there are {len(photographs)} and {len(masks)})",
            HOME,
        )
    pairs = [(gunzipped(photograph, cache_dir), mask) for photograph, mask in zip(photographs, masks, strict=True)]
    return [
        Example(photograph, number % folds + 1, mask=gunzipped(mask, cache_dir), roi=retina(photograph, cache_dir))
        for number, (photograph, mask) in enumerate(pairs)
    ]
