"""PatchCamelyon: HDF5 files, packed and unpacked."""

import gzip
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from experiments.data.inputs import Image
from experiments.data.sets.patch_camelyon import PatchCamelyon
from tests.experiments.data.sets.copies import examples, write_patch_camelyon

PARTS: Any = {"train": "train", "val": "valid", "test": "test"}


def test_patches_and_labels_are_those_of_the_files(tmp_path: Path) -> None:
    root = write_patch_camelyon(tmp_path / "set")
    data = PatchCamelyon(root)
    assert [len(data.split(stage)) for stage in PARTS] == [6, 4, 2]
    assert data.input == Image(3, (96, 96), 0.972) and data.test_factors[1] == 30
    for stage, part in PARTS.items():
        with h5py.File(root / f"camelyonpatch_level_2_split_{part}_x.h5") as opened:
            pixels = opened["x"][:]
        patches = data.split(stage)
        assert patches.labels.tolist() == [0, 1] * (len(pixels) // 2)
        for (x, label), values, number in zip(examples(data, stage), pixels, range(len(pixels)), strict=True):
            assert torch.equal(x, torch.from_numpy(values.transpose(2, 0, 1).copy()) / 255) and label == number % 2


@pytest.mark.slow
def test_loading_processes_open_the_files_themselves(tmp_path: Path) -> None:
    data = PatchCamelyon(write_patch_camelyon(tmp_path / "set"))
    x, patches = torch.stack([x for x, _ in examples(data, "train")]), data.split("train")
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(torch.stack([x for x, _ in examples(again, "train")]), x)
    for context in "fork", "spawn":
        loader = DataLoader(patches, 2, num_workers=2, multiprocessing_context=context)
        assert torch.equal(torch.cat([some for some, _ in loader]), x)


def test_what_is_not_the_download(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"split_train_x.h5 not found: data.root must hold .* download it from http"
    ):
        PatchCamelyon(tmp_path)
    root = write_patch_camelyon(tmp_path / "set")
    with pytest.raises(ValueError, match=r"data.transformation=angle is unknown; choose rescaling, rotation"):
        PatchCamelyon(root, transformation="angle")
    images, labels = (root / f"camelyonpatch_level_2_split_valid_{kind}.h5" for kind in "xy")
    with h5py.File(labels, "a") as opened:
        opened["y"][0] = 2
    with pytest.raises(ValueError, match=r"valid_x.h5 and .*valid_y.h5 do not hold one label, 0 or 1, for each patch"):
        PatchCamelyon(root)
    labels.write_bytes(labels.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"valid_y.h5 cannot be read .*; download it again from http"):
        PatchCamelyon(root)
    images.with_name(f"{images.name}.gz").write_bytes(gzip.compress(images.read_bytes()))
    images.unlink()
    with pytest.raises(ValueError, match=r"valid_x.h5.gz is packed; unpack it with gunzip .*valid_x.h5.gz"):
        PatchCamelyon(root)


def test_labels_of_another_part(tmp_path: Path) -> None:
    root = write_patch_camelyon(tmp_path / "set")
    with h5py.File(root / "camelyonpatch_level_2_split_test_y.h5", "w") as opened:
        opened["y"] = np.zeros((3, 1, 1, 1), np.uint8)
    with pytest.raises(ValueError, match=r"test_x.h5 and .*test_y.h5 do not hold one label"):
        PatchCamelyon(root)
