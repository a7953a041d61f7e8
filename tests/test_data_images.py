"""Digits at random scales: the protocol, its determinism, and the idx files."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from experiments.data.digits import DigitsScale, MNISTScale
from experiments.data.idx import read_idx
from experiments.data.images import rescale, shrink, shrink_aliased
from experiments.data.turned_digits import DigitsRotated
from experiments.report.tables import show_results
from experiments.run import Results
from tests.experiment_runs import composed, run


def write_idx(file: Path, array: np.ndarray) -> None:
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


def write_mnist(folder: Path, suffix: str = "", train: int = 60_000, test: int = 10_000) -> None:
    """Images that hold their number in their first bytes, so that each can be told."""
    rng = np.random.default_rng(0)
    for part, count in ("train", train), ("t10k", test):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 10:18, 12:16] = rng.integers(100, 255, (count, 8, 4))
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", rng.integers(0, 10, count).astype(np.uint8))


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


@given(factor=st.floats(0.1, 1), height=st.integers(5, 40), width=st.integers(5, 40))
def test_shrinking_is_pillows_and_centred(factor: float, height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(1, 255, (height, width), dtype=np.uint8)
    h, w = max(1, round(height * factor)), max(1, round(width * factor))
    small = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BICUBIC))
    shrunk = shrink(image, factor)
    assert shrunk.shape == image.shape
    top, left = (height - h) // 2, (width - w) // 2
    assert np.array_equal(shrunk[top : top + h, left : left + w], small)
    assert shrunk.sum() == small.sum()  # and black elsewhere


@given(factor=st.floats(0.25, 4), size=st.integers(5, 41))
def test_rescaling_keeps_size_and_centre(factor: float, size: int) -> None:
    image = torch.zeros(1, size, size)
    image[0, size // 2, size // 2] = 1
    rescaled = rescale(image, factor)
    assert rescaled.shape == image.shape
    assert torch.equal(rescale(image, 1.0), image)
    grid = torch.arange(size, dtype=torch.float32) - size // 2
    mass = rescaled[0].sum()
    if mass > 0.01:  # the point has moved with the centre of the image, by less than a pixel
        assert abs((rescaled[0].sum(0) * grid).sum() / mass) < 1.01 * max(1, factor)


def test_large_images_are_the_small_ones_enlarged() -> None:
    small, large = DigitsScale(seed=3).split("val"), DigitsScale(seed=3, size=56).split("val")
    assert large[0][0].shape == (1, 56, 56)
    enlarged = Image.fromarray(small.images[5]).resize((56, 56), Image.Resampling.BICUBIC)
    assert np.array_equal(large.images[5], np.asarray(enlarged))


def test_one_scale_to_train_on_and_others_to_test_on() -> None:
    digits = DigitsScale(train_scales=(1.0, 1.0), fit_rescaled=True)
    rows = digits.rows["train"]
    assert np.array_equal(digits.split("train").images, digits.images[rows])
    for factor in (0.35, 0.7):
        images = digits.rescaled("test", factor).images
        expected = [shrink(image, factor) for image in digits.images[digits.rows["test"]]]
        assert np.array_equal(images, np.stack(expected))
    with pytest.raises(ValueError, match=r"rescale=1.1 is out of range.* to 1$"):
        digits.rescaled("test", 1.1)


@pytest.mark.parametrize(("size", "factor", "side"), [(28, 0.5, 14), (28, 2, 56), (56, 0.35, 20)])
def test_rescaled_digits_are_neither_padded_nor_cut(size: int, factor: float, side: int) -> None:
    digits = DigitsScale(size=size)
    images = digits.rescaled("test", factor).images
    assert images.shape == (600, side, side)
    original = digits.images[digits.rows["test"]][7]
    expected = Image.fromarray(original).resize((side, side), Image.Resampling.BICUBIC)
    assert np.array_equal(images[7], np.asarray(expected))


def test_enlarged_digits_have_no_more_detail_than_those_they_are_made_of() -> None:
    small, large = DigitsScale(size=56), DigitsScale(size=56, enlarge=2)
    pairs = [(small.split("val"), large.split("val")), (small.rescaled("val", 0.25), large.rescaled("val", 0.25))]
    for ours, theirs in pairs:
        side = 2 * ours.images.shape[1]
        expected = [Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC) for image in ours.images]
        assert np.array_equal(theirs.images, np.stack(expected))
        assert np.array_equal(theirs.labels, ours.labels)


def test_fewer_test_images_leave_the_others_as_they_are(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    whole, some = MNISTScale(tmp_path), MNISTScale(tmp_path, num_test=7)
    assert np.array_equal(some.rows["test"], whole.rows["test"][:7])
    assert all(np.array_equal(some.rows[stage], whole.rows[stage]) for stage in ("train", "val"))
    for number in 0, 50_001, 1.5:
        with pytest.raises(ValueError, match=f"data.num_test={number} is no whole number from 1 to 50000"):
            MNISTScale(tmp_path, num_test=number)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("train-labels-idx1-ubyte", (60_001,)),  # would shift the labels of all that follow
        ("t10k-labels-idx1-ubyte", (9_999,)),
        ("t10k-images-idx3-ubyte", (60_000, 28, 28)),
        ("train-images-idx3-ubyte", (60_000, 28, 27)),
    ],
)
def test_images_and_labels_that_are_not_as_many(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    for part, count in ("train", 60_000), ("t10k", 10_000):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((count, 28, 28), np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.zeros(count, np.uint8))
    write_idx(tmp_path / name, np.zeros(shape, np.uint8))
    with pytest.raises(
        ValueError, match=rf"{name.split('-')[0]}-labels-idx1-ubyte in .* hold images .* not .* of each"
    ):
        MNISTScale(tmp_path)


def cubic(samples: np.ndarray, at: float) -> float:
    """Interpolates at a place (pixel n has its centre at n + 1/2) by the cubic that Pillow has, with a = -1."""
    near = int(np.floor(at - 0.5))
    distances = np.abs(np.arange(near - 1, near + 3) + 0.5 - at)
    inner, outer = (lambda d: d**3 - 2 * d**2 + 1), (lambda d: -(d**3) + 5 * d**2 - 8 * d + 4)
    weights = np.where(distances < 1, inner(distances), outer(distances))
    return float(weights @ samples[np.clip(np.arange(near - 1, near + 3), 0, len(samples) - 1)])


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.77, 1.0])
def test_the_published_way_of_shrinking_interpolates_where_a_pixel_comes_from(factor: float) -> None:
    row = np.random.default_rng(0).integers(100, 156, 28)
    image = np.broadcast_to(row, (28, 28)).astype(np.uint8)
    shrunk = shrink_aliased(image, factor)
    inside = [x for x in range(28) if 0.5 <= 14 + (x + 0.5 - 14) / factor <= 27.5]
    expected = [cubic(row, 14 + (x + 0.5 - 14) / factor) for x in inside]
    assert np.abs(shrunk[14, inside] - np.array(expected)).max() <= 1
    assert not shrunk[14, [x for x in range(28) if not 0 <= 14 + (x + 0.5 - 14) / factor < 28]].any()
    assert np.array_equal(shrink_aliased(image.T, factor), shrunk.T)


def test_the_published_protocol_has_the_same_draws_and_repeats_pixels() -> None:
    ours, theirs = DigitsScale(seed=3), DigitsScale(seed=3, protocol="sesn")
    row, factor = ours.rows["val"][5], ours.factors["val"][5]
    assert np.array_equal(theirs.split("val").images[5], shrink_aliased(ours.images[row], factor))
    large = DigitsScale(seed=3, protocol="sesn", size=56).split("val").images
    small = theirs.split("val").images
    assert large.shape == (197, 56, 56)
    assert all(np.array_equal(large[:, i::2, j::2], small) for i in (0, 1) for j in (0, 1))


def test_rotated_digits_are_turned_by_their_angles() -> None:
    digits, same = DigitsRotated(seed=1), DigitsRotated(seed=1)
    images = digits.split("test").images
    assert np.array_equal(images, same.split("test").images)
    row, angle = digits.rows["test"][9], digits.angles["test"][9]
    expected = Image.fromarray(digits.images[row]).rotate(angle, Image.Resampling.BICUBIC)
    assert np.array_equal(images[9], np.asarray(expected))
    angles = np.concatenate(list(digits.angles.values()))
    assert 0 <= angles.min() < 1 and 358 < angles.max() <= 360 and abs(angles.mean() - 180) < 10
    upright = digits.rescaled("test", 0).images
    assert np.array_equal(upright, digits.images[digits.rows["test"]])
    for quarters in 1, 2, 3:
        assert np.array_equal(digits.rescaled("test", 90 * quarters).images, np.rot90(upright, quarters, (1, 2)))
    with pytest.raises(ValueError, match=r"rescale=400 is out of range"):
        digits.check_factor(400)


def test_trained_upright_and_tested_turned() -> None:
    digits = DigitsRotated(train_angles=(0, 0), size=56)
    assert not digits.angles["train"].any() and not digits.angles["val"].any() and digits.angles["test"].std() > 90
    assert digits.split("val")[0][0].shape == (1, 56, 56)


def test_rotated_and_rescaled_digits_keep_their_sizes_when_turned() -> None:
    digits = DigitsRotated(scales=(0.3, 1.0))
    factors = digits.factors["test"]
    assert 0.3 <= factors.min() < 0.31 and 0.99 < factors.max() <= 1
    upright = digits.rescaled("test", 0).images
    originals = digits.images[digits.rows["test"]]
    assert np.array_equal(upright, np.stack([shrink(*pair) for pair in zip(originals, factors, strict=True)]))
    half = digits.rescaled("test", 180).images.astype(int)
    assert np.abs(half - shrunk_turned(originals, factors)).max() <= 1


def shrunk_turned(originals: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return np.stack([shrink(image[::-1, ::-1], factor) for image, factor in zip(originals, factors, strict=True)])


def test_rotated_mnist_has_the_published_sizes(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    cfg = composed("data=mnist_rotated_scaled", f"data.root={tmp_path}", "seed=5").data
    mnist = instantiate(cfg)
    assert {stage: len(rows) for stage, rows in mnist.rows.items()} == {"train": 10_000, "val": 2_000, "test": 50_000}
    assert len(np.unique(np.concatenate(list(mnist.rows.values())))) == 62_000
    assert mnist.factors["val"].min() < 0.31 and len(mnist.split("val")) == 2_000


@pytest.mark.parametrize("name", ["digits_rotated", "digits_rotated_scaled"])
def test_a_run_is_tested_at_angles(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "experiment=[]", "model=digit_cnn", "+model.width=2", "trainer=cpu", "trainer.max_epochs=1"
    results = run(tmp_path, f"data={name}", *small, "rescale=[0,45]")
    assert results["quantity"] == "angle" and list(results["rescaled"]) == ["0", "45"]
    show_results(Results.from_dict(results), tmp_path)
    assert "turned 45°" in capsys.readouterr().out and (tmp_path / "rescaled.png").exists()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_packed_or_not(tmp_path: Path, suffix: str) -> None:
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    write_idx(tmp_path / f"name{suffix}", array)
    assert np.array_equal(read_idx(tmp_path, "name"), array)


def test_a_missing_file_says_where_it_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\[.gz\] not found.*download them from http"):
        MNISTScale(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x08", b"no idx file at all", struct.pack(">HBBI", 0, 8, 1, 9)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    file = tmp_path / f"name{suffix}"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} is no good .*download it again"):
        read_idx(tmp_path, "name")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"scales": [0.5, 2]}, r"data.scales=\[0.5, 2\] is not a range within \[0.1, 1\]"),
        ({"scales": [0.5]}, r"data.scales=\[0.5\] is not a range"),
        ({"size": 28.5}, "data.size=28.5 is no whole number"),
        ({"train_scales": (1.0, 0.5)}, "data.train_scales"),
        ({"protocol": "stn"}, "data.protocol=stn is unknown; choose smooth or sesn"),
        ({"protocol": "sesn", "size": 40}, "data.size=40 is no multiple of 28"),
        ({"enlarge": 0}, "data.enlarge=0 is no whole number of at least 1"),
        ({"enlarge": 1.5}, "data.enlarge=1.5 is no whole number"),
        ({"size": 14}, "data.size=14 is no whole number of at least the 28 pixels"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DigitsScale(**options)
