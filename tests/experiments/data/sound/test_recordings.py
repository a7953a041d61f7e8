"""Recordings of any length: windows, made while the recording is decoded."""

import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from experiments.data.sound import decode
from experiments.data.sound.clips import windows
from experiments.data.sound.decode import AudioError, opened
from experiments.data.sound.recordings import ROUNDING, cut, envelope, read_windows

RATE = 8000


def noise(*shape: int, peak: float = 0.3) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-peak, peak, shape)


@given(st.integers(1, 80), st.integers(1, 20), st.integers(1, 30), st.lists(st.integers(0, 80), max_size=4))
def test_windows_of_blocks_are_those_of_the_whole(length: int, size: int, hop: int, ends: list[int]) -> None:
    x = np.arange(length)
    pairs = list(cut(np.split(x, sorted(min(end, length) for end in ends)), size, hop))
    if length < (1 + ROUNDING) * size:
        assert len(pairs) == 1 and np.array_equal(pairs[0][1], x)
    else:
        assert [start for start, _ in pairs] == windows(length, size, hop).tolist()
        assert all(np.array_equal(samples, x[start : start + size]) for start, samples in pairs)


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
@pytest.mark.parametrize(("rate", "sample_rate"), [(44100, 8000), (8000, 22050), (48000, 22050), (16000, 16000)])
def test_blocks_equal_the_whole(
    name: str, rate: int, sample_rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "BLOCK", 5000)
    soundfile.write(tmp_path / name, noise(3 * rate + 17, 2), rate)
    mono = soundfile.read(tmp_path / name, dtype="float32")[0].mean(axis=1)
    whole = librosa.resample(mono, orig_sr=rate, target_sr=sample_rate, res_type="soxr_hq")
    with opened(tmp_path / name, sample_rate) as sound:
        blocks = list(sound.blocks())
        assert len(blocks) >= 5
        np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=0, atol=1e-6)
        assert sound.length == len(whole)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_silence_is_cut_off_as_by_librosa(rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BLOCK", 3001)
    for seed in range(5):
        loudness = np.repeat(10.0 ** np.random.default_rng(seed).uniform(-4, 0, 30), 1111)
        x = (loudness * noise(len(loudness))).astype(np.float32)
        soundfile.write(tmp_path / "x.wav", x, rate, subtype="FLOAT")
        expected, (begin, _) = librosa.effects.trim(x, top_db=20)
        with opened(tmp_path / "x.wav", rate, trim=20) as sound:
            assert sound.begin == begin
            np.testing.assert_array_equal(np.concatenate(list(sound.blocks())), expected)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """An hour of stereo: 230 MB as float32 samples."""
    second = (noise(8000, 2) * 32767).astype(np.int16)
    with soundfile.SoundFile(tmp_path / "hour.flac", "w", 8000, 2) as file:
        for _ in range(3600):
            file.write(second)
    tracemalloc.start()
    count, last = 0, 0
    for window in read_windows(tmp_path / "hour.flac", 11025, 11025):
        count, last = count + 1, window.end
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, last) == (3600, 3600 * 11025)
    assert peak < 20e6


def test_a_window_ends_where_the_recording_ends(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", noise(1600), RATE)
    (window,) = read_windows(tmp_path / "short.wav", RATE, 4000)
    assert (window.start, window.end, window.clip.shape) == (0, 1600, (1, 4000))
    soundfile.write(tmp_path / "long.wav", noise(9000), RATE)
    ends = [(window.start, window.end) for window in read_windows(tmp_path / "long.wav", RATE, 4000)]
    assert ends == [(0, 4000), (4000, 8000), (5000, 9000)]


def test_silent_windows_are_marked(tmp_path: Path) -> None:
    x = np.concatenate([noise(4000), np.zeros(4000), np.full(4000, 0.9e-4), np.full(4000, 1.3e-4)])
    soundfile.write(tmp_path / "x.wav", x, RATE, subtype="FLOAT")
    assert [w.level <= -80 for w in read_windows(tmp_path / "x.wav", RATE, 4000)] == [False, True, True, False]


def test_one_factor_for_all_of_a_file(tmp_path: Path) -> None:
    """The click of 2.0 at the start counts, whatever is read (a file beyond full scale is turned down as a whole)."""
    x = noise(40_000).astype(np.float32)
    x[0] = 2.0
    soundfile.write(tmp_path / "x.wav", x, RATE, subtype="FLOAT")
    middle = decode.decode(tmp_path / "x.wav", RATE, 4000)
    np.testing.assert_array_equal(middle, x[18_000:22_000] / 2)
    clips = [window.clip[0] for window in read_windows(tmp_path / "x.wav", RATE, 4000, hop=2000)]
    np.testing.assert_allclose(clips[9], middle, rtol=0, atol=1 / 32768)


@pytest.mark.parametrize("name", ["x.ogg", "x.mp3"])
def test_what_a_decoder_overshoots_is_clipped(name: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / name, np.sign(noise(40_000, peak=1.0)) * 0.99, RATE)
    raw = soundfile.read(tmp_path / name, dtype="float32")[0]
    assert np.abs(raw).max() > 1.2
    clip = decode.decode(tmp_path / name, RATE, len(raw))
    np.testing.assert_array_equal(clip, raw.clip(-1, 1))


def test_samples_in_another_unit_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", 32000 * np.sin(np.arange(8000)), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"samples up to 3.2e\+04, where full scale is 1: divide them"):
        decode.decode(tmp_path / "x.wav", RATE, 800)


def test_a_file_without_a_head_is_an_audio_error(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"0" * 1000)
    with pytest.raises(AudioError, match=r"x\.raw cannot be decoded"):
        decode.decode(tmp_path / "x.raw", RATE, 800)


def test_a_pipe_is_read(tmp_path: Path) -> None:
    import os
    import threading

    soundfile.write(tmp_path / "x.wav", noise(30_000), 16000)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes((tmp_path / "x.wav").read_bytes()))
    writer.start()
    clip = decode.decode(tmp_path / "pipe", RATE, 15_000)
    writer.join()
    np.testing.assert_array_equal(clip, decode.decode(tmp_path / "x.wav", RATE, 15_000))


def test_a_cut_mp3_is_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.mp3", noise(10 * RATE), RATE)
    content = (tmp_path / "x.mp3").read_bytes()
    (tmp_path / "x.mp3").write_bytes(content[: len(content) // 4])
    for whole in True, False:
        with pytest.raises(AudioError, match="is cut short: it holds"):
            decode.decode(tmp_path / "x.mp3", RATE, RATE, whole=whole)


def test_the_outline_of_a_sound(tmp_path: Path) -> None:
    x = noise(8050).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", x, RATE, subtype="FLOAT")
    with opened(tmp_path / "x.wav", RATE) as sound:
        times, low, high = envelope(sound, sound.length, points=80)
    parts = x[:8000].reshape(80, 100)
    np.testing.assert_array_equal(low, parts.min(1))
    np.testing.assert_array_equal(high, parts.max(1))
    np.testing.assert_allclose(times, np.arange(80) / 80)
