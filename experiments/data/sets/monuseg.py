"""MoNuSeg: 44 images of stained tissue with all of their nuclei, of many organs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.image.image_set import ImageSet
from experiments.data.image.mask import read_aperio_xml
from experiments.data.image.read import image_size
from experiments.data.sets.derived import made_once, write_png
from experiments.data.sets.published import Example, hold_out, images, listed, not_found

HOME = "https://monuseg.grand-challenge.org/Data"
HOLDS = (
    "Tissue Images (30 .tif), Annotations (an .xml or a .png for each) and MoNuSegTestData (14 of each), at any depth "
    "(or images that a metadata.csv lists)"
)
CLASSES = ["background", "nucleus"]
MPP = 0.25  # 40×
NUM_TEST = 14
# Patients of the training part: those that were trained on in 2017 (liver, breast, kidney and prostate), and those that
# were tested on, of the same organs and of others.
TRAIN = {
    "18-5592", "38-6178", "49-4488", "50-5931", "A7-A13E", "A7-A13F", "AR-A1AK", "AR-A1AS",
    "B0-5711", "HE-7128", "HE-7129", "HE-7130", "G9-6336", "G9-6348", "G9-6356", "G9-6363",
}  # fmt: skip
SAME = {"21-5784", "21-5786", "B0-5698", "B0-5710", "CH-5767", "E2-A14V", "E2-A1B5", "G9-6362"}
OTHER = {"AY-A8YK", "DK-A2I6", "G2-A2EK", "KB-A93J", "NH-A8F7", "RD-A8N9"}
TESTED = {"kumar": SAME | OTHER, "kumar_same": SAME, "kumar_other": OTHER}


class MoNuSeg(ImageSet):
    """MoNuSeg as it is downloaded, or with a ``metadata.csv``; nuclei are objects wherever their outlines are known.

    N. Kumar et al., A dataset and a technique for generalized nuclear segmentation for computational pathology, IEEE
    Transactions on Medical Imaging 36, 2017; and A multi-organ nucleus segmentation challenge, 39, 2020.
    https://monuseg.grand-challenge.org; CC BY-NC-SA 4.0.

    Args:
        root: Folder with Tissue Images and Annotations, and with MoNuSegTestData, at any depth.
        split: "challenge": 30 images to train and validate on, 14 to test on. "kumar": of these 30, the 16 of 2017 to
            train and validate on, 14 to test on; "kumar_same" tests on the 8 of these that are of organs in training,
            "kumar_other" on the 6 of other organs.
        val_share: Share of the training patients to validate on. 0: none, all are trained on.
        seed: Seed of the choice of these patients.
        cache_dir: Folder of the filled outlines.
        **options: See `ImageSet`.

    Raises:
        FileNotFoundError: If ``root`` does not hold the set.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = "challenge",
        val_share: float = 0.2,
        seed: int = 0,
        cache_dir: Path | str = "runs/cache",
        **options: Any,
    ) -> None:
        if split != "challenge" and split not in TESTED:
            raise ValueError(f"data.split={split} is unknown; choose challenge, {', '.join(TESTED)}")
        root = Path(root).expanduser()
        if (csv := root / "metadata.csv").is_file():
            examples = listed(csv, HOME, group="patient")
        else:
            examples = read_monuseg(root, split == "challenge", cache_dir)
        if split != "challenge":
            examples = kumar(examples, TESTED[split])
        super().__init__(images(hold_out(examples, val_share, seed), CLASSES, MPP), CLASSES, **options)


def read_monuseg(root: Path, with_test: bool, cache_dir: Path | str) -> list[Example]:
    """Return the examples of the training part of the challenge, and of its test part. Other images are left out."""
    files: dict[str, dict[str, Path]] = {"train": {}, "test": {}}
    for file in sorted(root.rglob("TCGA-*.tif")):
        files["test" if file.parent.name == "MoNuSegTestData" else "train"][_patient(file)] = file
    if missing := sorted((TRAIN | SAME | OTHER) - files["train"].keys()):
        raise not_found(root / "Tissue Images" / f"TCGA-{missing[0]}*.tif", HOLDS, HOME)
    if with_test and len(files["test"]) != NUM_TEST:
        raise not_found(root / "MoNuSegTestData" / f"*.tif (there are {len(files['test'])})", HOLDS, HOME)
    chosen = {"train": TRAIN | SAME | OTHER, "test": set(files["test"]) if with_test else set()}
    return [
        _example(file, part, patient, cache_dir)
        for part in files
        for patient, file in files[part].items()
        if patient in chosen[part]
    ]


def kumar(examples: Sequence[Example], tested: set[str]) -> list[Example]:
    """Return the examples of 2017, in "train" and "test"; they are those of the challenge's training part."""
    part_of = dict.fromkeys(TRAIN, "train") | dict.fromkeys(tested, "test")
    return [
        replace(example, part=part_of[patient])
        for example in examples
        if (patient := example.group.removeprefix("TCGA-")) in part_of
    ]


def _patient(image: Path) -> str:
    """Return the patient of an image, such as 18-5592 of TCGA-18-5592-01Z-00-DX1.tif."""
    return "-".join(image.stem.split("-")[1:3])


def _example(image: Path, part: str, patient: str, cache_dir: Path | str) -> Example:
    """Return the example of an image, with filled outlines, or with a mask."""
    folder = image.parent if part == "test" else image.parent.parent / "Annotations"
    xml, mask = (folder / f"{image.stem}{suffix}" for suffix in (".xml", ".png"))
    if xml.is_file():
        mask, instances = _filled(xml, image, cache_dir)
        return Example(image, part, mask=mask, instances=instances, group=patient)
    if not mask.is_file():
        raise not_found(xml, HOLDS, HOME)
    return Example(image, part, mask=mask, group=patient)


def _filled(xml: Path, image: Path, cache_dir: Path | str) -> tuple[Path, Path]:
    """Return the files of the mask and of the instances."""

    def fill(folder: Path) -> None:
        instances = read_aperio_xml(xml, image_size(image)).numpy()
        write_png(folder / "instances.png", instances.astype(np.uint16))
        write_png(folder / "mask.png", 255 * (instances > 0).astype(np.uint8))

    folder = made_once(xml, "nuclei", cache_dir, fill)
    return folder / "mask.png", folder / "instances.png"
