"""Playing sounds, and the maps of them, at other speeds."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.data.sets.urbansound8k import UrbanSound8K
from experiments.data.sound.playback import play, stretch


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.71, 1.41, 2, 4])
def test_a_tone_moves_by_the_factor(factor: float) -> None:
    rate, hertz = 8000, 500
    tone = torch.sin(2 * torch.pi * hertz * torch.arange(rate) / rate)[None]
    frequencies, power = scipy.signal.periodogram(play(tone, factor)[0].numpy(), rate)
    assert frequencies[power.argmax()] == pytest.approx(hertz * factor, abs=2)


def test_play_against_another_resampler() -> None:
    rng = np.random.default_rng(0)
    smooth = scipy.signal.sosfiltfilt(scipy.signal.butter(6, 0.15, output="sos"), rng.standard_normal(4000))
    sound = torch.from_numpy(smooth.astype(np.float32))[None]
    fast = play(sound, 2)[0].numpy()
    assert len(fast) == 2000
    expected = scipy.signal.resample_poly(smooth, 1, 2)
    np.testing.assert_allclose(fast[100:1900], expected[100:1900], atol=2e-3 * np.abs(expected).max())
    slow = play(sound, 0.5)[0].numpy()
    expected = scipy.signal.resample(smooth, 8000)
    np.testing.assert_allclose(slow[200:7800], expected[200:7800], atol=2e-3 * np.abs(expected).max())


@settings(deadline=None)  # the first call imports librosa, which compiles
@given(st.floats(0.25, 4), st.integers(0, 3000))
def test_play_is_resampling_as_by_librosa(factor: float, length: int) -> None:
    clip = torch.randn(2, length)
    expected = [librosa.resample(c, orig_sr=factor, target_sr=1, res_type="soxr_hq") for c in clip.numpy()]
    np.testing.assert_array_equal(play(clip, factor).numpy(), expected)


def test_played_clips_are_neither_padded_nor_cut(sounds: Path) -> None:
    data: Any = UrbanSound8K(sounds, sample_rate=8000, duration=0.25, cache_dir=sounds / "cache", num_workers=1)
    for factor, length in (0.5, 4000), (1, 2000), (1.41, 1419), (2, 1000):
        for (clip, label), (original, same) in zip(data.transformed("test", factor), data.split("test"), strict=True):
            assert clip.shape == (1, length) and label == same
            assert torch.equal(clip, play(original, factor))


def test_play_at_the_original_speed_changes_nothing() -> None:
    clip = torch.randn(1, 999)
    assert torch.equal(play(clip, 1), clip)


@pytest.mark.parametrize("factor", [0.2, 4.1, -1, float("nan")])
def test_only_speeds_from_a_quarter_to_four(factor: float, sounds: Path) -> None:
    data = UrbanSound8K(sounds, cache_dir=sounds / "cache", num_workers=1)
    with pytest.raises(ValueError, match=rf"rescale={factor:g} is out of range.* 0\.25 to 4$"):
        data.transformed("test", factor)


@settings(deadline=None)
@example(length=71, factor=0.71)  # 71 / 0.71 is 100, but 71 · (1 / 0.71) a little more
@given(length=st.integers(1, 300), factor=st.sampled_from([0.25, 0.3, 0.71, 1.0, 1.41, 2.0, 3.9]))
def test_a_map_of_a_sound_stays_as_long_as_its_sound(length: int, factor: float) -> None:
    target = torch.arange(length)
    stretched = stretch(target, factor)
    assert len(stretched) == play(torch.zeros(1, length), factor).shape[-1]
    at = (torch.arange(len(stretched)) + 0.5) * length / len(stretched) - 0.5  # where each comes from
    assert ((stretched - at).abs() <= 0.5 + 1e-4).all()
