"""Augmentation: each transform does what it says, and what is drawn depends on seed, epoch and item alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import soxr
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments.data import augment
from experiments.data.augmented import Augmented
from experiments.data.images import turn
from experiments.data.playback import resample
from tests.experiment_runs import CONF, composed, run, tiny, write_set
from tests.test_experiments_loading import Tones, epoch
from tests.test_experiments_train import assert_same_run

# That of Speech Commands needs its noises, and is tested with them.
OPTIONS = sorted({file.stem for file in (CONF / "augment").glob("*.yaml")} - {"background_noise"})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def transforms(name: str) -> list[Any]:
    data = ["data=digits_scale"] if name in ("rescale", "turn", "image") else []
    cfg = composed("experiment=[]", *data, f"augment={name}")
    return [instantiate(node) for node in cfg.augment.values()]


def smooth(length: int, seed: int = 0) -> np.ndarray:
    """Noise below a tenth of the rate."""
    spectrum = np.fft.rfft(rng(seed).standard_normal(length))
    spectrum[length // 10 :] = 0
    return np.fft.irfft(spectrum, length).astype(np.float32)


@settings(deadline=None)
@given(length=st.integers(2, 400), new=st.integers(2, 400), k=st.integers(0, 400))
def test_resampling_moves_the_cosines_of_its_basis_exactly(length: int, new: int, k: int) -> None:
    """Sample j of n stands at (j + ½) / n."""
    at = [(np.arange(n) + 0.5) / n for n in (length, new)]
    cosines = [torch.from_numpy(np.cos(np.pi * k * t).astype(np.float32))[None] for t in at]
    if k < length:
        expected = cosines[1] if k < new else torch.zeros(1, new)  # above half of the new rate: gone
        torch.testing.assert_close(resample(cosines[0], new), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("factor", [0.6, 1.7])
def test_resampling_against_soxr(factor: float) -> None:
    sound = smooth(4000)
    expected = soxr.resample(sound, factor, 1, "VHQ")
    ours = resample(torch.from_numpy(sound)[None], len(expected))[0].numpy()
    inner = slice(len(ours) // 10, -len(ours) // 10)
    at = (np.arange(len(ours)) + 0.5) * (len(sound) / len(ours)) - 0.5  # soxr's samples stand at j · factor
    expected = scipy.interpolate.CubicSpline(np.arange(len(expected)) * factor, expected)(at)
    np.testing.assert_allclose(ours[inner], expected[inner], atol=5e-3 * sound.std())


def test_speed_moves_a_tone_by_a_factor_within_its_range_and_pads_nothing() -> None:
    tone = torch.sin(2 * torch.pi * 400 * torch.arange(16000) / 8000)[None]
    speed = augment.Speed(0.5, 2, seconds=0.5, sample_rate=8000)
    heard = []
    for seed in range(50):
        y = speed(tone, rng(seed))
        assert y.shape == (1, 4000)
        assert y[0, :50].abs().max() > 0.5 and y[0, -50:].abs().max() > 0.5
        heard.append(np.abs(np.fft.rfft(y[0].numpy() * np.hanning(4000))).argmax() * 2 / 400)
    assert 0.49 < min(heard) < 0.55 and 1.8 < max(heard) < 2.02
    assert np.mean(np.log2(heard)) == pytest.approx(0, abs=0.2)


@settings(deadline=None)
@given(length=st.integers(1, 60), seed=st.integers(0, 9))
def test_a_crop_is_a_piece_and_a_short_sound_stays_whole(length: int, seed: int) -> None:
    x = torch.arange(1, length + 1.0)[None]
    y = augment.RandomCrop(30, sample_rate=1)(x, rng(seed))
    assert y.shape == (1, 30)
    kept = y[y > 0]
    assert torch.equal(kept, torch.arange(kept[0], kept[0] + min(length, 30)))


@settings(deadline=None)
@given(before=st.integers(0, 50), length=st.integers(1, 60), after=st.integers(0, 50), seed=st.integers(0, 99))
def test_a_crop_wastes_nothing_on_silence_around_a_sound(before: int, length: int, after: int, seed: int) -> None:
    sound = 1 + torch.arange(2.0 * length).reshape(2, length)
    y = augment.RandomCrop(30, sample_rate=1)(F.pad(sound, (before, after)), rng(seed))
    assert int((y != 0).all(0).sum()) == min(30, length)


def test_crops_reach_both_ends() -> None:
    x = torch.arange(1.0, 41.0)[None]
    starts = {int(augment.RandomCrop(30, 1)(x, rng(seed))[0, 0]) for seed in range(300)}
    assert starts == set(range(1, 12))


def test_gain_noise_and_polarity() -> None:
    x = torch.from_numpy(smooth(20000))[None]
    gains = [float(20 * torch.log10((augment.Gain(6)(x, rng(seed)) / x).mean())) for seed in range(200)]
    assert -6 <= min(gains) < -5.5 and 5.5 < max(gains) <= 6
    for seed in range(5):
        noise = augment.Noise(10, 10)(x, rng(seed)) - x
        assert 10 * torch.log10(x.square().mean() / noise.square().mean()) == pytest.approx(10, abs=0.2)
    signs = [float((augment.Polarity()(x, rng(seed)) / x).mean()) for seed in range(100)]
    assert set(signs) == {1, -1} and 30 < signs.count(1) < 70


def test_a_mixture_is_of_two_classes_with_labels_in_proportion() -> None:
    x = torch.eye(20)[:, None]  # the examples can be told apart in a mixture
    labels = torch.arange(20) % 4
    mixed = Augmented(TensorDataset(x, labels), [augment.Mix()], num_classes=5)
    seen = []
    for item in range(20):
        y, target = mixed[3, item]
        (one, other), weights = y[0].nonzero()[:, 0].tolist(), y[0][y[0] > 0]
        assert item in (one, other) and labels[one] != labels[other]
        assert weights.square().sum() == pytest.approx(1)
        shares = weights / weights.sum()
        expected = torch.zeros(5).index_add_(0, labels[[one, other]], shares)
        torch.testing.assert_close(target, expected)
        seen.append(float(shares.min()))
    assert min(seen) < 0.15 and max(seen) > 0.35
    with pytest.raises(ValueError, match="all of one class"):
        Augmented(TensorDataset(x, labels * 0), [augment.Mix()], num_classes=5)[0, 0]


def test_what_stands_before_the_mixing_changes_both_and_what_stands_behind_changes_the_mixture() -> None:
    examples = TensorDataset(torch.ones(2, 1, 8) * torch.tensor([1.0, 100.0])[:, None, None], torch.tensor([0, 1]))

    def louder(x: Tensor, rng: np.random.Generator) -> Tensor:
        return x * (1 + rng.integers(9))

    before = {round(float(Augmented(examples, [louder, augment.Mix()], 2)[e, 0][0][0, 0]), 3) for e in range(40)}
    assert len(before) == 40
    x, target = Augmented(examples, [augment.Mix(), lambda x, rng: x.new_tensor(7.0)], 2)[0, 0]
    assert x == 7 and target.sum() == pytest.approx(1) and (target > 0).all()


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, -5])
@pytest.mark.parametrize("size", [(8, 8), (7, 7)])
def test_quarter_turns_are_exact(quarters: int, size: tuple[int, int]) -> None:
    image = torch.rand(2, *size)
    torch.testing.assert_close(turn(image, 90.0 * quarters), torch.rot90(image, quarters, (1, 2)), atol=1e-5, rtol=0)


def test_a_turn_against_pillow_on_an_oblong_image() -> None:
    image = np.zeros((40, 60), np.float32)
    image[10:30, 20:45] = np.add.outer(np.arange(20), np.arange(25)) / 44
    expected = np.asarray(Image.fromarray(image).rotate(33, Image.Resampling.BILINEAR))
    difference = np.abs(turn(torch.from_numpy(image)[None], 33)[0].numpy() - expected)
    assert np.quantile(difference, 0.9) < 0.02 and difference.mean() < 0.02


def test_images_are_turned_to_both_sides_flipped_and_moved() -> None:
    image = torch.zeros(1, 21, 21)
    image[0, 10, 16] = 1  # to the right of the centre
    angles = []
    for seed in range(60):
        row, column = np.unravel_index(augment.Turn(90)(image, rng(seed)).argmax(), (21, 21))
        angles.append(np.degrees(np.arctan2(10 - row, column - 10)))
    assert -90 <= min(angles) < -70 and 70 < max(angles) <= 90
    flips = [int(augment.Flip()(image, rng(seed)).argmax() % 21) for seed in range(50)]
    assert set(flips) == {4, 16}
    places = {divmod(int(augment.Shift(2)(image, rng(seed)).argmax()), 21) for seed in range(400)}
    assert places == {(row, column) for row in range(8, 13) for column in range(14, 19)}
    sizes = [float(augment.Rescale(0.5, 2)(torch.ones(1, 20, 20), rng(seed)).mean()) for seed in range(60)]
    assert min(sizes) < 0.4 and max(sizes) == 1


@pytest.mark.parametrize("name", OPTIONS)
def test_an_example_depends_on_seed_epoch_and_item_alone(name: str) -> None:
    shape = (1, 28, 28) if name in ("rescale", "turn", "image") else (1, 16000)
    examples = TensorDataset(torch.rand(6, *shape, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3)
    state = torch.get_rng_state()
    data, again = (Augmented(examples, transforms(name), 3, seed=7) for _ in range(2))
    first = {position: data[position] for position in [(0, 0), (1, 0), (0, 1), (1, 1)]}
    for position in reversed(first):
        x, target = again[position]
        assert torch.equal(x, first[position][0])
        assert torch.equal(torch.as_tensor(target), torch.as_tensor(first[position][1]))
    assert not torch.equal(first[0, 0][0], first[1, 0][0])
    assert not torch.equal(first[0, 0][0], Augmented(examples, transforms(name), 3, seed=8)[0, 0][0])
    assert torch.equal(state, torch.get_rng_state())


def test_loading_processes_and_devices_change_nothing() -> None:
    augmented = [augment.Noise(0, 10)]
    alone = dict(
        zip(*map(Tensor.tolist, reversed(epoch(2, workers=0, source=Tones(), transforms=augmented))), strict=True)
    )
    for workers, world_size in (2, 1), (1, 2):
        for rank in range(world_size):
            values, items = epoch(2, 0, world_size, rank, workers, source=Tones(), transforms=augmented)
            assert all(alone[item] == value for item, value in zip(items.tolist(), values.tolist(), strict=True))


def test_an_augmented_run_resumes_to_the_same_result(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set")
    options = [*tiny(root), "augment=sound_speed", "augment.speed.seconds=0.1", "rescale=[]", "fraction=0.5"]
    options.append("+augment.mix._target_=experiments.data.augment.Mix")
    run(tmp_path / "unbroken", *options, "trainer.max_epochs=3")
    run(tmp_path / "resumed", *options, "trainer.max_epochs=1")
    run(tmp_path / "resumed", *options, "trainer.max_epochs=3")
    assert_same_run(tmp_path / "unbroken", tmp_path / "resumed")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: augment.Speed(2, 1, 1, 8000), "speed from 2 to 1 is not a range"),
        (lambda: augment.Rescale(0, 1), "factor from 0 to 1"),
        (lambda: augment.RandomCrop(0, 8000), "seconds is less than one sample"),
    ],
)
def test_values_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
