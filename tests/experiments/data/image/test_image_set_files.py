"""Sets of images whose files are bad, too many, or not those that are needed, and arguments out of range."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from experiments.data.image import image_set
from experiments.data.image.image_set import Images, ImageSet
from tests.experiments.data.image.sets import STAGES, labelled, write_images, write_mask


def truncated(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[:-40])
    return file


def test_a_truncated_file_is_found_before_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sizes = [(20, 20)] * 6
    bad = truncated(write_images(tmp_path, sizes)[5])  # a test image
    listed = Images(sorted(tmp_path.glob("*.png")), [STAGES[n % 3] for n in range(6)], np.arange(6) % 2)
    with pytest.raises(ValueError, match=rf"{bad} cannot be decoded") as error:
        ImageSet(listed, ["a", "b"]).split("train")
    assert "\n" not in str(error.value)
    data: Any = ImageSet(listed, ["a", "b"], on_bad_file="skip")
    assert [len(data.split(stage)) for stage in ("train", "val", "test")] == [2, 2, 1]
    assert data.files("test") == [tmp_path / "2.png"] and data.split("test").labels.tolist() == [0]
    assert caplog.text.count("skipped 1 of 6 files") == 1 and str(bad) in caplog.text


@pytest.mark.parametrize("part", ["image", "mask"])
def test_a_missing_file_is_an_error_or_a_logged_skip(
    tmp_path: Path, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = write_images(tmp_path, [(5, 5)] * 4)
    masks = [write_mask(tmp_path / f"{n}_mask.png", np.eye(5, dtype=np.uint8)) for n in range(4)]
    gone = (files if part == "image" else masks)[1]
    gone.unlink()
    listed = Images(files, ["train", "train", "val", "test"], mask=masks)
    with pytest.raises(FileNotFoundError, match=rf"{gone} is in the metadata but not on disk \(1 of 8 files"):
        ImageSet(listed, ["a", "b"])
    data: Any = ImageSet(listed, ["a", "b"], on_bad_file="skip")
    assert data.files("train") == [files[0]] and f"{gone} is not on disk" in caplog.text
    assert torch.equal(data.split("val")[0][1], torch.eye(5).long())


@pytest.mark.parametrize(
    "values, message",
    [
        (np.zeros((5, 6), np.uint8), r"mask.png has 5 × 6 pixels, but its image .*0.png has 5 × 5"),
        (np.full((5, 5), 7, np.uint8), r"mask.png has the value 7"),
        (np.full((5, 5, 3), [9, 0, 0], np.uint8), r"mask.png has colours"),
    ],
)
def test_a_wrong_mask_is_one_line(tmp_path: Path, values: np.ndarray, message: str) -> None:
    files = write_images(tmp_path, [(5, 5)])
    mask = write_mask(tmp_path / "mask.png", values)
    with pytest.raises(ValueError, match=message) as error:
        ImageSet(Images(files, ["test"], mask=[mask]), ["a", "b", "c"]).split("train")
    assert "\n" not in str(error.value)


def test_an_image_without_a_mask(tmp_path: Path) -> None:
    files = write_images(tmp_path, [(5, 5)] * 2)
    with pytest.raises(ValueError, match=r"1.png has no mask; list one for each image, or remove its line"):
        ImageSet(Images(files, ["train", "test"], mask=[files[0], None]), ["a", "b"])


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"channels": 0}, "data.channels=0 is not a whole number above 0"),
        ({"size": 64}, r"data.size=64 is not a height and a width in pixels, such as data.size=\[64,64\]"),
        ({"size": [64, 0]}, r"data.size=\[64, 0\] is not a height and a width"),
        ({"crop": [64]}, r"data.crop=\[64\] is not a number of pixels, or a height and a width"),
        ({"crop": -1}, "data.crop=-1 is not a number of pixels"),
        ({"fit": "squash"}, "data.fit=squash is unknown; choose one of resize, pad, crop"),
        ({"transformation": "angle"}, "data.transformation=angle is unknown; choose one of rescaling, rotation, refl"),
        ({"crops_per_image": 4}, "data.crops_per_image and data.foreground need the size of the windows"),
        ({"crops_per_image": 0, "crop": 4}, "data.crops_per_image=0 is not a whole number"),
        ({"foreground": 0.5, "crop": 4}, "data.foreground=0.5 needs masks"),
        ({"range": [0]}, r"data.range=\[0\] is not a range"),
        ({"on_bad_file": "ignore"}, "data.on_bad_file=ignore is unknown; choose raise or skip"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labelled(tmp_path, [(9, 7)] * 3, **wrong)


def test_a_stage_without_images(tmp_path: Path) -> None:
    data = labelled(tmp_path, [(9, 7)] * 2)
    with pytest.raises(ValueError, match="no usable image in test"):
        data.split("test")
    data.folds = {"test": [7]}
    with pytest.raises(ValueError, match=r"no usable image in fold \[7\] \(test\)"):
        data.split("test")


def test_decoded_images_are_kept_as_far_as_there_is_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = 3 * 9 * 7 * 4
    monkeypatch.setattr(image_set, "MEMORY", 2 * one + 1)
    data = labelled(tmp_path, [(9, 7)] * 6)
    before = [x for stage in ("train", "val", "test") for x, _ in data.split(stage)]
    for file in tmp_path.glob("*.png"):
        Pillow.new("RGB", (7, 9)).save(file)
    after = [x for stage in ("train", "val", "test") for x, _ in data.split(stage)]
    assert sum(torch.equal(x, y) for x, y in zip(before, after, strict=True)) == 2
    copy = pickle.loads(pickle.dumps(data.split("train")))  # as for a loading process, which reads for itself
    assert len(pickle.dumps(copy)) < 10_000 and not any(x.any() for x, _ in copy)
