"""Sets of images: inputs and targets of files, sizes and crops."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from experiments.data.image.fit import fit_to
from experiments.data.image.image_set import Images, ImageSet
from experiments.data.inputs import IGNORED, INSTANCE, Image
from experiments.data.splits import log_counts
from experiments.data.transforms import Mix
from experiments.data.wrappers import Augmented
from tests.experiments.data.image.sets import STAGES, labelled, masked, write_images, write_mask


def test_items_are_the_pixels_and_the_labels(tmp_path: Path) -> None:
    data = labelled(tmp_path, [(9, 7)] * 6)
    assert data.input == Image(3, (9, 7)) and not data.transforms
    for row, stage in enumerate(STAGES):
        assert data.files(stage) == [tmp_path / f"{row}.png", tmp_path / f"{row + 3}.png"]
        examples = data.split(stage)
        assert examples.labels is not None and examples.labels.tolist() == [row % 2, (row + 3) % 2]
        for (x, label), file, wanted in zip(examples, data.files(stage), examples.labels, strict=True):
            assert label == wanted and x.dtype == torch.float32
            assert torch.equal((x * 255).round().byte().movedim(0, 2), torch.from_numpy(np.array(Pillow.open(file))))


def test_several_labels_and_numbers(tmp_path: Path) -> None:
    files = write_images(tmp_path, [(4, 4)] * 3)
    numbers = np.array([[0.1, 5.0], [1 / 3, 7.0], [2.0, 9.0]])
    for target, classes in (np.eye(3, dtype=np.float32), ["a", "b", "c"]), (numbers, ["age", "weight"]):
        examples: Any = ImageSet(Images(files, ["train"] * 3, target), classes).split("train")
        assert examples.labels is not None and examples.labels.dtype == target.dtype
        for row, (_, value) in enumerate(examples):
            assert value.dtype == torch.float32 and torch.equal(value, torch.from_numpy(target[row]).float())


def test_masks_are_aligned_class_numbers(tmp_path: Path) -> None:
    data = masked(tmp_path)
    for stage in STAGES:
        examples = data.split(stage)
        x, mask = examples[0]
        assert examples.labels is None and mask.dtype == torch.int64
        assert torch.equal(mask, (x[0] > 127.5 / 255).long())
        assert 0 < mask.sum() < mask.numel()


def test_a_class_that_the_training_masks_lack(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files, all_classes = write_images(tmp_path, [(4, 5)] * 3), np.arange(20, dtype=np.uint8).reshape(4, 5) % 3
    numbers = all_classes % 2, all_classes * 0, all_classes // 2 * 2
    masks = [write_mask(tmp_path / f"{row}_mask.png", values) for row, values in enumerate(numbers)]
    caplog.set_level("INFO")
    log_counts(ImageSet(Images(files, list(STAGES), mask=masks), ["background", "vessel", "rare"]))
    assert caplog.messages == [
        "train: 1 examples (background 1, vessel 1, rare 0)",
        "no training example has the class rare, which cannot be learned",
        "val: 1 examples (background 1, vessel 0, rare 0)",
        "no mask of val has the class vessel, rare, of which the Dice is 0 or not a number",
        "test: 1 examples (background 1, vessel 0, rare 1)",
        "no mask of test has the class vessel, of which the Dice is 0 or not a number",
    ]


def test_instances_and_the_region_of_interest(tmp_path: Path) -> None:
    files = write_images(tmp_path, [(4, 5)] * 2)
    classes = np.zeros((4, 5), np.uint8)
    classes[:2] = 1
    objects = np.zeros((4, 5), np.uint16)
    objects[0], objects[1, :2] = 1, 300
    roi = np.full((4, 5), 255, np.uint8)
    roi[:, 4] = 0
    mask, instances, region = (
        write_mask(tmp_path / f"{name}.png", values)
        for name, values in (("mask", classes), ("instances", objects), ("roi", roi))
    )
    listed = Images(files, ["train"] * 2, None, [mask, mask], [instances, None], [region, None])
    examples = ImageSet(listed, ["background", "nucleus"]).split("train")
    (_, known), (_, unknown) = examples[0], examples[1]
    expected = torch.from_numpy(classes + INSTANCE * objects.astype(np.int64))
    expected[:, 4] = IGNORED
    assert torch.equal(known, expected)
    assert torch.equal(unknown, torch.from_numpy(classes).long())


def test_ignored_values_and_values_of_classes(tmp_path: Path) -> None:
    files = write_images(tmp_path, [(2, 2)])
    mask = write_mask(tmp_path / "mask.png", np.array([[10, 20], [30, 99]], np.uint8))
    listed = Images(files, ["train"], mask=[mask])
    data: Any = ImageSet(listed, ["a", "b", "c"], mask_values=[10, 30, 20], ignore=99)
    assert data.split("train")[0][1].tolist() == [[0, 2], [1, IGNORED]]
    with pytest.raises(ValueError, match=r"mask.png has the value 99") as error:
        ImageSet(listed, ["a", "b", "c"], mask_values=[10, 30, 20]).split("train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fit", ["resize", "pad", "crop"])
def test_images_and_masks_get_one_size(tmp_path: Path, fit: str) -> None:
    data = masked(tmp_path, (40, 20), size=[16, 16], fit=fit)
    x, mask = data.split("train")[0]
    assert data.input == Image(3, (16, 16)) and x.shape == (3, 16, 16) and mask.shape == (16, 16)
    whole, truth = masked(tmp_path, (40, 20)).split("train")[0]
    if fit == "crop":
        assert torch.equal(x, whole[:, 12:28, 2:18]) and torch.equal(mask, truth[12:28, 2:18])
    if fit == "pad":  # 40 × 20 shrinks to 16 × 8: a factor of 0.4
        assert (x[..., :4] == 1).all() and (x[..., 12:] == 1).all() and (mask[:, :4] == IGNORED).all()
        assert torch.allclose(x[..., 4:12].mean((1, 2)), whole.mean((1, 2)), atol=0.03)
        assert set(mask[:, 4:12].unique().tolist()) == {0, 1}


def test_small_images_are_padded_and_not_enlarged() -> None:
    x = torch.rand(1, 3, 5)
    padded = fit_to(x, (7, 9), "pad", 0.25)
    assert torch.equal(padded[:, 2:5, 2:7], x) and padded.sum().item() == pytest.approx(0.25 * 48 + x.sum().item())
    assert torch.equal(fit_to(x, (7, 9), "crop", 0.25), padded)
    assert fit_to(torch.zeros(1, 10, 400), (40, 40), "pad").eq(0).sum() == 40  # 400 × 10 becomes 40 × 1


def test_training_on_several_sizes_needs_a_size_or_a_crop(tmp_path: Path) -> None:
    sizes = [(9, 7), (9, 7), (9, 7), (9, 8), (5, 7), (6, 7)]
    data = labelled(tmp_path, sizes)
    with pytest.raises(
        ValueError, match=r"3.png has 9 × 8 pixels, .*0.png has 9 × 7; data.size=\[9,7\].* data.crop=64"
    ):
        data.split("train")
    assert [x.shape for x, _ in data.split("test")] == [(3, 9, 7), (3, 6, 7)] and data.input == Image(3)
    assert {x.shape for x, _ in labelled(tmp_path, sizes, size=[5, 6]).split("train")} == {(3, 5, 6)}
    assert [x.shape for x, _ in labelled(tmp_path, sizes, crop=4).split("train")] == [(3, 9, 7), (3, 9, 8)]


def test_sizes_of_tests_do_not_matter_for_training(tmp_path: Path) -> None:
    data = labelled(tmp_path, [(9, 7), (5, 5), (6, 6), (9, 7), (4, 4), (3, 3)])
    assert len(data.split("train")) == 2 and data.input == Image(3)


def test_training_on_random_windows(tmp_path: Path) -> None:
    data = masked(tmp_path, (30, 20), crop=[8, 6], crops_per_image=5, foreground=0.5)
    assert data.input == Image(3) and data.repeats == 5
    examples = Augmented(data.split("train"), data.transforms, 2, seed=1, repeats=data.repeats)
    assert len(examples) == 5
    windows = [examples[0, item] for item in range(5)]
    whole = data.split("train")[0][0]
    patches = whole.unfold(1, 8, 1).unfold(2, 6, 1)
    for x, mask in windows:
        assert x.shape == (3, 8, 6) and torch.equal(mask, (x[0] > 127.5 / 255).long())
        assert (patches == x[:, None, None]).all(-1).all(-1).all(0).any()  # it is a window of the image
    assert len({x.sum().item() for x, _ in windows}) > 1
    assert data.split("test")[0][0].shape == (3, 30, 20)


def test_foreground_is_found(tmp_path: Path) -> None:
    file, mask = write_images(tmp_path, [(60, 60)])[0], np.zeros((60, 60), np.uint8)
    mask[50, 50] = 1
    masks = [write_mask(tmp_path / "mask.png", mask)]
    for foreground, least, most in (0.0, 0, 10), (1.0, 100, 100):
        data: Any = ImageSet(Images([file], ["train"], mask=masks), ["a", "b"], crop=9, foreground=foreground)
        examples = Augmented(data.split("train"), data.transforms, 2, repeats=100)
        assert least <= sum(int(examples[0, item][1].any()) for item in range(100)) <= most


@pytest.mark.parametrize("transformation, factor", [("rescaling", 0.5), ("rotation", 90), ("reflection", 1)])
def test_transformed_tests_move_image_and_mask(tmp_path: Path, transformation: str, factor: float) -> None:
    data = masked(tmp_path, (8, 6), transformation=transformation)
    (x, mask), (moved, target) = data.split("test")[0], data.transformed("test", factor)[0]
    if transformation == "rescaling":
        assert moved.shape == (3, 4, 3) and target.shape == (4, 3)
        assert torch.allclose(moved.mean(), x.mean(), atol=0.05)
    elif transformation == "rotation":
        assert torch.equal(moved, x.rot90(1, (1, 2))) and torch.equal(target, mask.rot90(1))
    else:
        assert torch.equal(moved, x.flip(2)) and torch.equal(target, mask.flip(1))
    for amount in data.test_factors:
        data.check_factor(amount)
    with pytest.raises(ValueError, match=r"rescale=500 is out of range"):
        data.check_factor(500)


def test_microns_per_pixel_are_kept_where_they_are_known(tmp_path: Path) -> None:
    files = write_images(tmp_path, [(8, 8)])
    listed = Images(files, ["train"], np.zeros(1, int), mpp=0.5)
    sizes = {(None, "resize"): 0.5, ((4, 4), "crop"): 0.5, ((4, 4), "resize"): None, ((4, 4), "pad"): None}
    assert {key: ImageSet(listed, ["a"], size=key[0], fit=key[1]).input.mpp for key in sizes} == sizes


def test_values_are_read_in_a_range(tmp_path: Path) -> None:
    file = tmp_path / "deep.png"
    Pillow.fromarray(np.array([[0, 1000], [2000, 4095]], np.uint16)).save(file)
    data: Any = ImageSet(Images([file], ["train"], np.zeros(1, int)), ["a"], channels=1, range=[0, 4095])
    expected = torch.tensor([[[0, 1000 / 4095], [2000 / 4095, 1]]])
    assert torch.allclose(data.split("train")[0][0], expected, atol=1e-6)


def test_labels_are_those_of_augmented_examples(tmp_path: Path) -> None:
    data = labelled(tmp_path, [(9, 7)] * 6)
    x, target = Augmented(data.split("train"), [Mix()], 2)[0]
    assert x.shape == (3, 9, 7) and target.sum().item() == pytest.approx(1) and (target > 0).all()
