"""Random transforms of sounds: each does what it says, and resampling is exact."""

from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import soxr
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data.sound.playback import resample
from experiments.data.sound.transforms import Gain, Noise, Polarity, RandomCrop, Speed


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


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
    speed = Speed(0.5, 2, seconds=0.5, sample_rate=8000)
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
    y = RandomCrop(30, sample_rate=1)(x, rng(seed))
    assert y.shape == (1, 30)
    kept = y[y > 0]
    assert torch.equal(kept, kept[0] + torch.arange(min(length, 30)))


@settings(deadline=None)
@given(before=st.integers(0, 50), length=st.integers(1, 60), after=st.integers(0, 50), seed=st.integers(0, 99))
def test_a_crop_wastes_nothing_on_silence_around_a_sound(before: int, length: int, after: int, seed: int) -> None:
    sound = 1 + torch.arange(2.0 * length).reshape(2, length)
    y = RandomCrop(30, sample_rate=1)(F.pad(sound, (before, after)), rng(seed))
    assert int((y != 0).all(0).sum()) == min(30, length)


def test_crops_reach_both_ends() -> None:
    x = torch.arange(1.0, 41.0)[None]
    starts = {int(RandomCrop(30, 1)(x, rng(seed))[0, 0]) for seed in range(300)}
    assert starts == set(range(1, 12))


def test_gain_noise_and_polarity() -> None:
    x = torch.from_numpy(smooth(20000))[None]
    gains = [float(20 * torch.log10((Gain(6)(x, rng(seed)) / x).mean())) for seed in range(200)]
    assert -6 <= min(gains) < -5.5 and 5.5 < max(gains) <= 6
    for seed in range(5):
        noise = Noise(10, 10)(x, rng(seed)) - x
        assert 10 * torch.log10(x.square().mean() / noise.square().mean()) == pytest.approx(10, abs=0.2)
    signs = [float((Polarity()(x, rng(seed)) / x).mean()) for seed in range(100)]
    assert set(signs) == {1, -1} and 30 < signs.count(1) < 70


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Speed(2, 1, 1, 8000), "speed from 2 to 1 is not a range"),
        (lambda: RandomCrop(0, 8000), "seconds is less than one sample"),
    ],
)
def test_values_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
