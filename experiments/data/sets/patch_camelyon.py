"""PatchCamelyon: 327,680 patches of lymph nodes with and without metastases."""

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.inputs import Image
from experiments.data.sets.published import not_found
from experiments.data.source import Source, Stage
from experiments.data.transformation import OF_IMAGES, TESTED

HOME = "https://github.com/basveeling/pcam"
NAMES: dict[Stage, str] = {"train": "train", "val": "valid", "test": "test"}
FILE = "camelyonpatch_level_2_split_{}_{}.h5"
SIZE = 96


class PatchCamelyon(Source):
    """PatchCamelyon as it is downloaded and unpacked: a file of images and one of labels for each stage.

    B. S. Veeling, J. Linmans, J. Winkens, T. Cohen, M. Welling, Rotation equivariant CNNs for digital pathology, MICCAI
    2018; B. Ehteshami Bejnordi et al., JAMA 318, 2017. https://github.com/basveeling/pcam; CC0. A patch is positive if
    there is tumour in its middle 32 × 32 pixels.

    Args:
        root: Folder of the six files.
        transformation: What tests do: "rescaling", "rotation" or "reflection".

    Raises:
        FileNotFoundError: If ``root`` does not hold the set.
        ImportError: If h5py is not installed.
        ValueError: If a file is damaged or packed, or an argument is out of range.
    """

    classes = ("normal", "tumour")
    input = Image(3, (SIZE, SIZE), mpp=0.972)

    def __init__(self, root: Path | str, transformation: str = "rotation") -> None:
        if find_spec("h5py") is None:
            raise ImportError("PatchCamelyon is in HDF5 files; run pip install 'wavenets[images]'")
        if transformation not in OF_IMAGES:
            raise ValueError(f"data.transformation={transformation} is unknown; choose {', '.join(OF_IMAGES)}")
        self.root = Path(root).expanduser()
        self.transformation = OF_IMAGES[transformation]
        self.test_factors = TESTED[type(self.transformation)]
        self.stages = {stage: Patches(*(self._file(stage, kind) for kind in "xy")) for stage in NAMES}

    def split(self, stage: Stage) -> "Patches":
        """Return the patches of a stage."""
        return self.stages[stage]

    def _file(self, stage: Stage, kind: str) -> Path:
        file = self.root / FILE.format(NAMES[stage], kind)
        if file.is_file():
            return file
        packed = file.with_name(f"{file.name}.gz")
        if packed.is_file():
            raise ValueError(f"{packed} is packed; unpack it with gunzip {packed}")
        raise not_found(file, f"{FILE.format('train', 'x')}, …_y.h5, and those of valid and test", HOME)


class Patches(Dataset[tuple[Tensor, int]]):
    """The patches in a pair of HDF5 files: item i is (image (3, H, W) within [0, 1], label).

    Args:
        images: File of the images (N, H, W, 3).
        labels: File of the labels.

    Raises:
        ValueError: If a file is damaged, or the two do not belong together.
    """

    def __init__(self, images: Path, labels: Path) -> None:
        shape, _ = _read(images, "x")
        _, values = _read(labels, "y")
        self.images, self.labels = images, values.ravel().astype(np.int64)
        if shape != (len(self.labels), SIZE, SIZE, 3) or not np.isin(self.labels, (0, 1)).all():
            raise ValueError(
                f"{images} and {labels} do not hold one label, 0 or 1, for each patch of {SIZE} × {SIZE} pixels; "
                f"download them again from {HOME}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        pixels = _opened(self.images, os.getpid())[item]
        return torch.from_numpy(pixels).movedim(-1, 0).float() / 255, int(self.labels[item])


def _read(file: Path, key: str) -> tuple[tuple[int, ...], np.ndarray]:
    """Return the shape of a dataset in an HDF5 file, and the labels in it."""
    import h5py

    try:
        with h5py.File(file) as opened:
            return opened[key].shape, opened[key][:] if key == "y" else np.empty(0)
    except (KeyError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}); download it again from {HOME}") from error


@cache
def _opened(file: Path, process: int) -> Any:
    """Return the images in a file. Each process opens it once, as processes must not share an open HDF5 file."""
    import h5py

    return h5py.File(file)["x"]
