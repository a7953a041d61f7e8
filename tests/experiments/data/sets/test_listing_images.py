"""Sets of images that a CSV file lists, with labels or masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.data.image.image_set import ImageSet
from experiments.data.inputs import IGNORED
from experiments.data.sets.listing import CSV
from tests.experiments.data.sets.lists import options, write_images, write_listing, write_masks, write_sounds


def test_images_with_labels(tmp_path: Path) -> None:
    data = CSV(write_images(tmp_path), test_fold="v")
    assert issubclass(type(data), ImageSet) and data.folds == {"train": ["u"], "val": ["w"], "test": ["v"]}
    assert data.classes == ["a", "b"] and [label for _, label in data.split("test")] == [0, 1]
    assert [file.name for file in data.files("test")] == ["2.png", "3.png"]


@pytest.mark.parametrize("classes, names", [(None, ["0", "1"]), (["background", "red"], ["background", "red"])])
def test_images_with_masks(tmp_path: Path, classes: Any, names: list[str]) -> None:
    data = CSV(write_images(tmp_path, columns="file,mask,fold"), classes=classes)
    assert issubclass(type(data), ImageSet) and data.classes == names
    x, mask = data.split("train")[0]
    assert torch.equal(mask, (x[0] > 127.5 / 255).long())


def test_classes_are_found_in_all_masks(tmp_path: Path) -> None:
    data = CSV(write_masks(tmp_path, [[0, 1, 1], [0, 0, 2], [3, 0, 0]]))
    assert data.classes == ["0", "1", "2", "3"] and data.split("test")[0][1].tolist() == [[3, 0, 0]]
    data = CSV(write_masks(tmp_path, [[0, 40, 0], [0, 0, 80], [0, 0, 0]]))
    assert data.classes == ["0", "40", "80"] and data.split("val")[0][1].tolist() == [[0, 0, 2]]
    data = CSV(write_masks(tmp_path, [[0, 1, 1], [0, 0, 2], [3, 0, 0]]), mask_values=[3, 2, 1, 0])
    assert data.classes == ["3", "2", "1", "0"] and data.split("train")[0][1].tolist() == [[3, 2, 2]]


def test_the_value_255_beside_several_classes_is_asked_about(tmp_path: Path) -> None:
    file = write_masks(tmp_path, [[0, 1, 255]] * 3)
    with pytest.raises(
        ValueError, match=r"the values 0, 1, 255: data.ignore=255 .*data.mask_values=\[0, 1, 255\] makes"
    ):
        CSV(file)
    assert CSV(file, ignore=255).split("train")[0][1].tolist() == [[0, 1, IGNORED]]
    assert CSV(file, mask_values=[0, 1, 255]).split("train")[0][1].tolist() == [[0, 1, 2]]


def test_instances_region_of_interest_and_resolution(tmp_path: Path) -> None:
    for name, row in {"i0": [0, 7, 0], "roi": [255, 255, 0]}.items():
        Image.fromarray(np.array([row], np.uint8)).save(tmp_path / f"{name}.png")
    more: dict[str, list[Any]] = {"instances": ["i0.png", None, None], "roi": ["roi.png"] * 3, "mpp": [0.25] * 3}
    data = CSV(write_masks(tmp_path, [[0, 1, 1]] * 3, **more))
    assert data.split("train")[0][1].tolist() == [[0, 1 + 256 * 7, IGNORED]]
    assert data.split("val")[0][1].tolist() == [[0, 1, IGNORED]] and data.input.mpp == 0.25
    assert CSV(write_masks(tmp_path, [[0, 1, 1]] * 3, mpp=[0.25, 0.5, 0.5])).input.mpp is None
    with pytest.raises(ValueError, match=r"line 4 of .* has 'wide' in the column mpp"):
        CSV(write_masks(tmp_path, [[0, 1, 1]] * 3, mpp=["", "", "wide"]))


def test_a_mask_for_some_images_only(tmp_path: Path) -> None:
    file = write_masks(tmp_path, [[0, 1, 1]] * 3)
    file.write_text(file.read_text().replace("m1.png", ""))
    with pytest.raises(ValueError, match=r"1.png has no mask; list one for each image, or remove its line"):
        CSV(file)


def test_options_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    file = write_images(tmp_path)
    assert isinstance(CSV(file, **options(tmp_path, sample_rate=22050, duration=4.0, trim=None)), ImageSet)
    with pytest.raises(ValueError, match=r"data.duration=2 is for sounds, but .*0.png is one of the images"):
        CSV(file, duration=2)
    with pytest.raises(ValueError, match=r"data.chanels is unknown"):
        CSV(file, chanels=1)
    names = write_sounds(tmp_path / "sounds", [80] * 3)
    file = write_listing(tmp_path / "sounds", [(name, "a", n) for n, name in enumerate(names)], "file,label,fold")
    with pytest.raises(ValueError, match=r"data.crop=64 is for images, but .*0.wav is one of the sounds"):
        CSV(file, **options(tmp_path, crop=64))
    masks = write_listing(tmp_path / "sounds", [(name, name, n) for n, name in enumerate(names)], "file,mask,fold")
    with pytest.raises(ValueError, match=r"0.wav is not an image; masks are for images"):
        CSV(masks, **options(tmp_path, classes=["a", "b"]))


@pytest.mark.parametrize("suffix", ["jfif", "JPE", "jp2", "tga"])
def test_images_by_all_their_names(tmp_path: Path, suffix: str) -> None:
    kind = {"jfif": "JPEG", "JPE": "JPEG", "jp2": "JPEG2000", "tga": "TGA"}[suffix]
    for number in range(3):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.{suffix}", kind)
    rows = [(f"{n}.{suffix}", "a", n) for n in range(3)]
    assert CSV(write_listing(tmp_path, rows, "file,label,fold")).split("train")[0][0].shape == (3, 4, 4)


def test_missing_images(tmp_path: Path) -> None:
    file = write_listing(tmp_path, [(f"{i}.png", "a", i) for i in range(3)], "file,label,fold")
    with pytest.raises(FileNotFoundError, match=r"0.png is in the metadata but not on disk \(3 of 3"):
        CSV(file)
