"""Small sets of images for the tests."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from experiments.data.image.image_set import Images, ImageSet
from experiments.data.source import Stage

STAGES: tuple[Stage, ...] = ("train", "val", "test")


def write_images(folder: Path, sizes: list[tuple[int, int]]) -> list[Path]:
    rng = np.random.default_rng(0)
    files = [folder / f"{number}.png" for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        Pillow.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file)
    return files


def write_mask(file: Path, values: np.ndarray) -> Path:
    Pillow.fromarray(values).save(file)
    return file


def labelled(folder: Path, sizes: list[tuple[int, int]], **options: Any) -> Any:
    files = write_images(folder, sizes)
    stages = [STAGES[row % 3] for row in range(len(files))]
    return ImageSet(Images(files, stages, np.arange(len(files)) % 2), ["a", "b"], **options)


def masked(folder: Path, pixels: tuple[int, int] = (9, 7), **options: Any) -> Any:
    """Return a set of three images; the class is 1 where red is above 127."""
    files = write_images(folder, [pixels] * 3)
    red = [np.asarray(Pillow.open(file))[..., 0] for file in files]
    masks = [
        write_mask(folder / f"{n}_mask.png", np.where(x > 127, 255, 0).astype(np.uint8)) for n, x in enumerate(red)
    ]
    return ImageSet(Images(files, list(STAGES), mask=masks), ["background", "red"], **options)
