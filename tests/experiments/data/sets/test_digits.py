"""Digits at random scales: the protocol and its determinism."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.interpolate import RectBivariateSpline

from experiments.data.sets.digit_images import shrink, shrink_aliased
from experiments.data.sets.scaled_digits import DigitsScale, MNISTScale
from tests.experiments.data.sets.idx_files import write_mnist


def test_the_generated_set_is_pinned() -> None:
    digits = DigitsScale(seed=0)
    content = b"".join(digits.split(stage).images.tobytes() for stage in ("train", "val", "test"))
    assert hashlib.sha256(content).hexdigest()[:16] == "ef5144678a3a8fb9"


def test_a_seed_is_a_set() -> None:
    first, again, other = DigitsScale(seed=1), DigitsScale(seed=1), DigitsScale(seed=2)
    assert np.array_equal(first.split("test").images, again.split("test").images)
    assert not np.array_equal(first.split("test").labels, other.split("test").labels)


def test_splits_are_apart_and_of_the_published_sizes(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")  # torchvision's layout
    mnist = MNISTScale(tmp_path)
    assert {stage: len(rows) for stage, rows in mnist.rows.items()} == {"train": 10_000, "val": 2_000, "test": 50_000}
    assert len(np.unique(np.concatenate(list(mnist.rows.values())))) == 62_000
    assert all(0.3 <= factors.min() < 0.301 and 0.99 < factors.max() <= 1 for factors in mnist.factors.values())
    image, label = mnist.split("val")[7]
    row, factor = mnist.rows["val"][7], mnist.factors["val"][7]
    assert image.shape == (1, 28, 28) and image.dtype == torch.float32 and label == mnist.labels[row]
    assert np.array_equal(image[0].numpy() * 255, shrink(mnist.images[row], factor))


def test_large_images_are_the_small_ones_enlarged() -> None:
    small, large = DigitsScale(seed=3).split("val"), DigitsScale(seed=3, size=56).split("val")
    assert large[0][0].shape == (1, 56, 56)
    enlarged = Image.fromarray(small.images[5]).resize((56, 56), Image.Resampling.BICUBIC)
    assert np.array_equal(large.images[5], np.asarray(enlarged))


def test_one_scale_to_train_on_and_others_to_test_on() -> None:
    digits = DigitsScale(train_scales=(1.0, 1.0))
    rows = digits.rows["train"]
    assert np.array_equal(digits.split("train").images, digits.images[rows])
    assert digits.factors["test"].min() < 0.31
    for factor in 0.09, 4.1:
        with pytest.raises(ValueError, match=rf"rescale={factor:g} is out of range.* from 0.1 to 4$"):
            digits.transformed("test", factor)


@pytest.mark.parametrize(("size", "factor", "side"), [(28, 0.5, 14), (28, 2, 56), (56, 0.35, 20)])
def test_rescaled_digits_are_neither_padded_nor_cut(size: int, factor: float, side: int) -> None:
    digits = DigitsScale(size=size)
    images = digits.transformed("test", factor).images
    assert images.shape == (600, side, side)
    original = digits.images[digits.rows["test"]][7]
    expected = Image.fromarray(original).resize((side, side), Image.Resampling.BICUBIC)
    assert np.array_equal(images[7], np.asarray(expected))


def test_enlarged_digits_have_no_more_detail_than_those_they_are_made_of() -> None:
    small, large = DigitsScale(size=56), DigitsScale(size=56, enlarge=2)
    pairs = [(small.split("val"), large.split("val")), (small.transformed("val", 0.25), large.transformed("val", 0.25))]
    for ours, theirs in pairs:
        side = 2 * ours.images.shape[1]
        expected = [Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC) for image in ours.images]
        assert np.array_equal(theirs.images, np.stack([np.asarray(image) for image in expected]))
        assert np.array_equal(theirs.labels, ours.labels)


def test_fewer_test_images_leave_the_others_as_they_are(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    whole, some = MNISTScale(tmp_path), MNISTScale(tmp_path, num_test=7)
    assert np.array_equal(some.rows["test"], whole.rows["test"][:7])
    assert all(np.array_equal(some.rows[stage], whole.rows[stage]) for stage in ("train", "val"))
    for number in 0, 50_001, 1.5:
        with pytest.raises(ValueError, match=f"data.num_test={number} is not a whole number from 1 to 50000"):
            MNISTScale(tmp_path, num_test=number)  # type: ignore[arg-type]


def test_the_protocol_of_ghosh_puts_a_cubic_spline_in_the_centre() -> None:
    digits = DigitsScale(seed=3, protocol="ghosh")
    row, factor = digits.rows["val"][5], digits.factors["val"][5]
    side = round(28 * factor)
    where = np.linspace(0, 27, side)  # the corners of both images coincide
    spline = RectBivariateSpline(np.arange(28), np.arange(28), digits.images[row])(where, where)
    expected, start = np.zeros((28, 28)), (28 - side) // 2
    expected[start : start + side, start : start + side] = spline.clip(0, 255)
    image = digits.split("val").images[5]
    assert np.abs(image - expected).max() < 8  # the splines differ in what lies beyond the edges
    assert np.abs(image - expected)[start + 2 : start + side - 2, start + 2 : start + side - 2].max() < 1


def test_the_published_protocol_has_the_same_draws_and_repeats_pixels() -> None:
    ours, theirs = DigitsScale(seed=3), DigitsScale(seed=3, protocol="sesn")
    row, factor = ours.rows["val"][5], ours.factors["val"][5]
    assert np.array_equal(theirs.split("val").images[5], shrink_aliased(ours.images[row], factor))
    large = DigitsScale(seed=3, protocol="sesn", size=56).split("val").images
    small = theirs.split("val").images
    assert large.shape == (197, 56, 56)
    assert all(np.array_equal(large[:, i::2, j::2], small) for i in (0, 1) for j in (0, 1))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"scales": [0.5, 2]}, r"data.scales=\[0.5, 2\] is not a range within \[0.1, 1\]"),
        ({"scales": [0.5]}, r"data.scales=\[0.5\] is not a range"),
        ({"size": 28.5}, "data.size=28.5 is not a whole number"),
        ({"train_scales": (1.0, 0.5)}, "data.train_scales"),
        ({"protocol": "stn"}, "data.protocol=stn is unknown; choose smooth, sesn, ghosh"),
        ({"protocol": "sesn", "size": 40}, "data.size=40 is not a multiple of 28"),
        ({"enlarge": 0}, "data.enlarge=0 is not a whole number of at least 1"),
        ({"enlarge": 1.5}, "data.enlarge=1.5 is not a whole number"),
        ({"size": 14}, "data.size=14 is not a whole number of at least the 28 pixels"),
    ],
)
def test_arguments_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DigitsScale(**options)
