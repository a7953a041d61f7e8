"""Small made-up copies of published sets of images, in the layouts in which they are downloaded."""

import gzip
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from PIL import Image
from torch import Tensor

from experiments.data.source import Source

KUMAR_TRAIN = (
    "18-5592 38-6178 49-4488 50-5931 A7-A13E A7-A13F AR-A1AK AR-A1AS B0-5711 HE-7128 HE-7129 HE-7130 G9-6336 G9-6348 "
    "G9-6356 G9-6363"
)
KUMAR_SAME = "E2-A1B5 E2-A14V B0-5710 B0-5698 21-5784 21-5786 CH-5767 G9-6362"
KUMAR_OTHER = "DK-A2I6 G2-A2EK AY-A8YK NH-A8F7 KB-A93J RD-A8N9"
TESTED = (
    "2Z-A9J9 44-2665 69-7764 A6-6782 AC-A2FO AO-A0J2 CU-A0YN EJ-A46H FG-A4MU GL-6846 HC-7209 HT-8564 IZ-8196 ZF-A9R5"
)


def examples(data: Source, stage: Any) -> list[tuple[Tensor, Any]]:
    """The examples of a stage, in a list."""
    some: Any = data.split(stage)
    return [some[item] for item in range(len(some))]


def photograph(number: int) -> np.ndarray:
    """An image (32, 48, 3): a bright field of view, whose colour is the number, on black."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[field(number)] = (200, 100 + number, 50)
    return pixels


def field(number: int) -> np.ndarray:
    """The field of view of a photograph: a rectangle of whole blocks of a JPEG."""
    inside = np.zeros((32, 48), bool)
    inside[:, 16 : 32 + 16 * (number % 2)] = True
    return inside


def vessels(number: int) -> np.ndarray:
    """A random mask (32, 48) of 0 and 255."""
    return np.random.default_rng(number).choice(np.array([0, 255], np.uint8), (32, 48), p=(0.8, 0.2))


def save(file: Path, pixels: np.ndarray, **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)
    return file


def write_drive(root: Path) -> Path:
    for part, numbers in ("training", range(21, 41)), ("test", range(1, 21)):
        for number in numbers:
            save(root / part / "images" / f"{number:02}_{part}.tif", photograph(number))
            save(root / part / "1st_manual" / f"{number:02}_manual1.gif", vessels(number))
            save(root / part / "mask" / f"{number:02}_{part}_mask.gif", 255 * field(number).astype(np.uint8))
    return root


def write_stare(root: Path, packed: bool = False) -> Path:
    for number in range(1, 21):
        files = [save(root / "stare-images" / f"im{7 * number:04}.ppm", photograph(number))]
        for observer in "ah", "vk":
            mask = vessels(number + 100 * (observer == "vk"))
            files.append(save(root / f"labels-{observer}" / f"im{7 * number:04}.{observer}.ppm", np.dstack([mask] * 3)))
        for file in files if packed else []:
            file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    return root


def write_chase_db1(root: Path) -> Path:
    for number in range(28):
        name = f"Image_{number // 2 + 1:02}{'LR'[number % 2]}"
        save(root / f"{name}.jpg", photograph(number), quality=100, subsampling=0)
        for observer, mask in ("1stHO", vessels(number)), ("2ndHO", vessels(number + 100)):
            save(root / f"{name}_{observer}.png", mask > 0)
    return root


def write_monuseg(root: Path) -> Path:
    """Each image has two nuclei: of 7 × 7 pixels, and of 4 × 5 pixels of which one column is covered by the first."""
    training = f"{KUMAR_TRAIN} {KUMAR_SAME} {KUMAR_OTHER}".split()
    for number, patient in enumerate([*training, *TESTED.split()]):
        if patient in training:
            folder = root / "MoNuSeg 2018 Training Data"
            image, truth = folder / "Tissue Images", folder / "Annotations"
        else:
            image = truth = root / "MoNuSegTestData"
        name = f"TCGA-{patient}-01Z-00-DX1"
        save(image / f"{name}.tif", np.full((20, 24, 3), number, np.uint8))
        regions = ""
        for corners in ((8, 4), (11, 4), (11, 8), (8, 8)), ((2, 3), (8, 3), (8, 9), (2, 9)):
            vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in corners)
            regions += f"<Region><Vertices>{vertices}</Vertices></Region>"
        truth.mkdir(parents=True, exist_ok=True)
        (truth / f"{name}.xml").write_text(
            f"<Annotations><Annotation><Regions>{regions}</Regions></Annotation></Annotations>"
        )
    return root


def write_isbi2012(root: Path) -> Path:
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    tifffile.imwrite(root / "train-volume.tif", rng.integers(0, 256, (30, 16, 20), np.uint8))
    tifffile.imwrite(root / "train-labels.tif", rng.choice(np.array([0, 255], np.uint8), (30, 16, 20)))
    return root


def write_patch_camelyon(root: Path) -> Path:
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in ("train", 6), ("valid", 4), ("test", 2):
        for kind, values in (
            ("x", rng.integers(0, 256, (count, 96, 96, 3), np.uint8)),
            ("y", np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1) % 2),
        ):
            with h5py.File(root / f"camelyonpatch_level_2_split_{part}_{kind}.h5", "w") as opened:
                opened[kind] = values
    return root


def write_plankton(root: Path, packed: bool = True) -> Path:
    """Five images of class a, ten of b and fifteen of c, each of a size; the grey value is the number."""
    root.mkdir(parents=True)
    names = [f"{'abbccc'[number // 5]}/{number}.jpg" for number in range(30)]
    for number, name in enumerate(names):
        save(root / "train" / name, np.full((20 + number, 15), number, np.uint8), quality=100)
    return packed_up(root, "train.zip", [f"train/{name}" for name in names]) if packed else root


def write_idc(root: Path, packed: bool = True) -> Path:
    """Ten patients; patient i has 2 + i patches without carcinoma, and 3 with it."""
    root.mkdir(parents=True)
    names = [
        f"{8000 + patient}/{label}/{8000 + patient}_idx5_x{x}_y1_class{label}.png"
        for patient in range(10)
        for label, count in ((0, 2 + patient), (1, 3))
        for x in range(count)
    ]
    for number, name in enumerate(names):
        save(root / name, np.full((50, 50 - number % 2, 3), number, np.uint8))
    return packed_up(root, "IDC_regular_ps50_idx5.zip", names) if packed else root


def packed_up(root: Path, archive: str, names: list[str]) -> Path:
    """Move files into an archive."""
    with zipfile.ZipFile(root / archive, "w") as opened:
        for name in names:
            opened.write(root / name, name)
            (root / name).unlink()
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        folder.rmdir()
    return root
