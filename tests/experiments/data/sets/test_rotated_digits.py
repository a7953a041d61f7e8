"""Digits at random angles: the protocol, its determinism, and a run that is tested at angles."""

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image

from experiments.data.sets.digit_images import shrink, shrink_aliased
from experiments.data.sets.rotated_digits import DigitsRotated
from experiments.report.tables import show_results
from experiments.results import Results
from tests.experiments.data.sets.idx_files import write_mnist
from tests.experiments.runs import composed, run


def test_rotated_digits_are_turned_by_their_angles() -> None:
    digits, same = DigitsRotated(seed=1), DigitsRotated(seed=1)
    images = digits.split("test").images
    assert np.array_equal(images, same.split("test").images)
    row, angle = digits.rows["test"][9], digits.angles["test"][9]
    expected = Image.fromarray(digits.images[row]).rotate(angle, Image.Resampling.BICUBIC)
    assert np.array_equal(images[9], np.asarray(expected))
    angles = np.concatenate(list(digits.angles.values()))
    assert 0 <= angles.min() < 1 and 358 < angles.max() <= 360 and abs(angles.mean() - 180) < 10
    upright = digits.transformed("test", 0).images
    assert np.array_equal(upright, digits.images[digits.rows["test"]])
    for quarters in 1, 2, 3:
        assert np.array_equal(digits.transformed("test", 90 * quarters).images, np.rot90(upright, quarters, (1, 2)))
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
    upright = digits.transformed("test", 0).images
    originals = digits.images[digits.rows["test"]]
    assert np.array_equal(upright, np.stack([shrink(*pair) for pair in zip(originals, factors, strict=True)]))
    half = digits.transformed("test", 180).images.astype(int)
    assert np.abs(half - shrunk_turned(originals, factors)).max() <= 1


def test_the_published_protocol_turns_and_shrinks_in_one_step() -> None:
    ours, theirs = DigitsRotated(scales=(0.3, 1.0)), DigitsRotated(scales=(0.3, 1.0), protocol="sesn")
    row, factor, angle = ours.rows["val"][5], ours.factors["val"][5], ours.angles["val"][5]
    assert np.array_equal(theirs.split("val").images[5], shrink_aliased(ours.images[row], factor, angle))
    with pytest.raises(ValueError, match=r"data.protocol=ghosh is unknown; choose smooth, sesn"):
        DigitsRotated(protocol="ghosh")


def shrunk_turned(originals: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return np.stack([shrink(image[::-1, ::-1], factor) for image, factor in zip(originals, factors, strict=True)])


def test_rotated_mnist_has_the_published_sizes(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    cfg = composed("data=mnist_rotated_scaled", f"data.root={tmp_path}", "seed=5").data
    mnist = instantiate(cfg)
    assert {stage: len(rows) for stage, rows in mnist.rows.items()} == {"train": 10_000, "val": 2_000, "test": 50_000}
    assert len(np.unique(np.concatenate(list(mnist.rows.values())))) == 62_000
    assert mnist.factors["val"].min() < 0.31 and len(mnist.split("val")) == 2_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits_rotated", "digits_rotated_scaled"])
def test_a_run_is_tested_at_angles(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "model=cnn", "model.width=2", "trainer=cpu", "trainer.max_epochs=1"
    results = run(tmp_path, f"data={name}", *small, "rescale=[0,45]")
    assert results["transformation"] == "angle" and list(results["transformed"]) == ["0", "45"]
    show_results(Results.from_dict(results), tmp_path)
    assert "angle 45°" in capsys.readouterr().out and (tmp_path / "transformed.png").exists()
