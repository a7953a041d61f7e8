"""CHASE_DB1: 28 photographs of the retinas of 14 children with their vessels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.data.image.image_set import ImageSet
from experiments.data.sets.derived import retina
from experiments.data.sets.published import VESSELS, Example, complete, hold_out, images, listed

HOME = "https://researchdata.kingston.ac.uk/96"
HOLDS = "Image_01L.jpg, Image_01L_1stHO.png and so on (or images that a metadata.csv lists)"
OBSERVERS = {1: "1stHO", 2: "2ndHO"}
NUM_TRAIN, NUM_CHILDREN = 10, 14


class CHASEDB1(ImageSet):
    """CHASE_DB1 as it is downloaded, or with a ``metadata.csv``: 20 images to train and validate on, 8 to test on.

    M. M. Fraz et al., An ensemble classification-based approach applied to retinal blood vessel segmentation, IEEE
    Transactions on Biomedical Engineering 59, 2012. https://researchdata.kingston.ac.uk/96; CC BY 4.0. The usual split
    is by child: the first ten to train on, the last four to test on. Only the field of view counts in validation and
    tests; it is found in the image unless the ``metadata.csv`` lists it.

    Args:
        root: Folder of the set.
        split: "published", or "all": every image is a test image, for networks that were trained on other sets.
        val_share: Share of the training children to validate on. 0: none, all are trained on.
        seed: Seed of the choice of these children.
        observer: Whose masks are used, 1 or 2.
        cache_dir: Folder of the fields of view.
        **options: See `ImageSet`.

    Raises:
        FileNotFoundError: If ``root`` does not hold the set.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = "published",
        val_share: float = 0.2,
        seed: int = 0,
        observer: int = 1,
        cache_dir: Path | str = "runs/cache",
        **options: Any,
    ) -> None:
        if observer not in OBSERVERS:
            raise ValueError(f"data.observer={observer} is unknown; choose 1 or 2")
        if split not in ("published", "all"):
            raise ValueError(f"data.split={split} is unknown; choose published or all")
        examples = read_chase(Path(root).expanduser(), observer, cache_dir)
        if split == "all":
            examples = [replace(example, part="test") for example in examples]
        else:
            examples = hold_out(examples, val_share, seed)
        super().__init__(images(examples, VESSELS), VESSELS, **options)


def read_chase(root: Path, observer: int, cache_dir: Path | str) -> list[Example]:
    """Return the examples of CHASE_DB1, in "train" and "test"."""
    if (csv := root / "metadata.csv").is_file():
        if observer != 1:
            raise ValueError(f"data.observer={observer}: {csv} lists one observer; choose 1")
        return listed(csv, HOME, group="child")
    names = [(child, f"Image_{child:02}{eye}") for child in range(1, NUM_CHILDREN + 1) for eye in "LR"]
    files = [
        complete([root / f"{name}.jpg", root / f"{name}_{OBSERVERS[observer]}.png"], HOLDS, HOME) for _, name in names
    ]
    return [
        Example(
            image,
            "train" if child <= NUM_TRAIN else "test",
            mask=mask,
            roi=retina(image, cache_dir),
            group=f"{child:02}",
        )
        for (child, _), (image, mask) in zip(names, files, strict=True)
    ]
