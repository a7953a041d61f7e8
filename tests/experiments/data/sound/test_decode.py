"""Files of sound are decoded as librosa and scipy read them; bad ones are named."""

import builtins
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from experiments.data.sound.decode import AudioError, decode, fit


def noise(*shape: int, seed: int = 0, peak: float = 0.9) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-peak, peak, shape)


@given(st.integers(0, 60), st.integers(1, 60))
def test_fit_keeps_the_centre(length: int, num_samples: int) -> None:
    x = np.arange(1, length + 1)
    y = fit(x, num_samples)
    kept = y[y != 0]
    assert len(y) == num_samples
    assert len(kept) == min(length, num_samples)
    assert np.all(np.diff(kept) == 1)
    if length > num_samples:
        before, after = kept[0] - 1, length - kept[-1]
    else:
        before, after = (np.argmax(y != 0), np.argmax(y[::-1] != 0)) if length else (0, 0)
    assert after - before in (0, 1)


@pytest.mark.filterwarnings("ignore:Chunk")  # scipy on the extra chunk of float files
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("subtype", "offset", "full_scale"),
    [
        ("PCM_U8", 128, 2**7),
        ("PCM_16", 0, 2**15),
        ("PCM_24", 0, 2**31),  # scipy gives 24 bits as the upper ones of 32
        ("PCM_32", 0, 2**31),
        ("FLOAT", 0, 1),
        ("DOUBLE", 0, 1),
    ],
)
def test_wav_equals_scipy(tmp_path: Path, subtype: str, offset: int, full_scale: int, channels: int) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(1013, channels), 8000, subtype=subtype)
    _, raw = scipy.io.wavfile.read(path)
    expected = ((raw.astype(np.float64) - offset) / full_scale).reshape(-1, channels).mean(axis=1)
    clip = decode(path, 8000, 1013)
    assert clip.dtype == np.float32
    np.testing.assert_allclose(clip, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 96000, 192000])
@pytest.mark.parametrize("num_samples", [4001, 997])
def test_resampled_clip_equals_librosa(tmp_path: Path, rate: int, num_samples: int) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, noise(rate // 7, 2, peak=0.3), rate)
    expected, _ = librosa.load(path, sr=16000, mono=True, res_type="soxr_hq")
    np.testing.assert_array_equal(decode(path, 16000, num_samples), fit(expected, num_samples))


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg"])
@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_tone_keeps_frequency_and_amplitude(tmp_path: Path, name: str, rate: int) -> None:
    soundfile.write(tmp_path / name, 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate)
    clip = decode(tmp_path / name, 11025, 11025)
    spectrum = np.abs(np.fft.rfft(clip)) / (len(clip) / 2)
    assert spectrum.argmax() == 440
    assert spectrum.max() == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("length", [1, 2, 401])  # 401 samples at 8 kHz: the 0.05 s of the shortest real clips
def test_short_clip_is_centred_in_silence(tmp_path: Path, length: int) -> None:
    soundfile.write(tmp_path / "x.wav", np.full(length, 0.5), 8000)
    clip = decode(tmp_path / "x.wav", 8000, 1000)
    start = (1000 - length) // 2
    expected = np.zeros(1000)
    expected[start : start + length] = 0.5
    np.testing.assert_array_equal(clip, expected)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_channels_that_cancel_out_are_an_error(tmp_path: Path, name: str) -> None:
    sound = noise(4000, peak=0.5)
    soundfile.write(tmp_path / name, np.stack([sound, -sound], axis=1), 8000)
    with pytest.raises(AudioError, match=r"a\.(wav|flac) has channels that cancel out, as one is inverted"):
        decode(tmp_path / name, 8000, 4000)
    soundfile.write(tmp_path / name, np.stack([sound, np.zeros(4000)], axis=1), 8000)
    assert np.abs(decode(tmp_path / name, 8000, 4000)).max() > 0.2


@pytest.mark.parametrize("channels", [1, 2])
def test_silence_at_both_ends_is_cut_off_and_what_is_left_is_centred(tmp_path: Path, channels: int) -> None:
    sound = np.concatenate([np.full(9000, 1e-4), noise(8000), np.zeros(3000), noise(8000), np.full(20000, 1e-4)])
    soundfile.write(tmp_path / "a.wav", np.stack([sound] * channels, axis=1), 8000, subtype="FLOAT")
    x = decode(tmp_path / "a.wav", 8000, 30000, trim=40)
    loud = np.abs(x) > 0.01
    assert abs(loud.argmax() - 5500) <= 2048 and abs(loud[::-1].argmax() - 5500) <= 2048  # a frame of the detector
    start = loud.argmax() - (np.abs(sound) > 0.01).argmax()
    np.testing.assert_array_equal(x[loud.argmax() :][:19000], sound[loud.argmax() - start :][:19000].astype(np.float32))
    np.testing.assert_array_equal(decode(tmp_path / "a.wav", 8000, 48000), sound.astype(np.float32))  # untrimmed


def test_silence_alone_is_left_as_it_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    np.testing.assert_array_equal(decode(tmp_path / "a.wav", 8000, 100, trim=40), np.zeros(100))


def test_sound_beyond_full_scale_is_turned_down_undistorted(tmp_path: Path) -> None:
    x = noise(500, peak=4.0).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", x, 8000, subtype="FLOAT")
    np.testing.assert_array_equal(decode(tmp_path / "x.wav", 8000, 500), x / np.abs(x).max())


def write_nan(path: Path) -> None:
    soundfile.write(path, np.array([0.1, np.nan, 0.1]), 8000, subtype="FLOAT")


def write_beyond_all_bounds(path: Path) -> None:
    soundfile.write(path, np.full((90, 2), 3e38, np.float32), 8000, subtype="FLOAT")  # their sum overflows


def write_overshooting(path: Path) -> None:
    square = np.where(np.arange(9000) // 9 % 2, 3.3e38, -3.3e38).astype(np.float32)
    soundfile.write(path, square, 44100, subtype="FLOAT")  # resampled it overflows


def write_cut_short(path: Path) -> None:
    soundfile.write(path, noise(8000), 8000)
    path.write_bytes(path.read_bytes()[:8000])


def write_with_rate(path: Path, rate: int) -> None:
    soundfile.write(path, noise(800), 8000)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)


def write_inf(path: Path) -> None:
    soundfile.write(path, np.array([0.1, np.inf, 0.1]), 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (lambda path: path.write_bytes(b"no audio at all"), "cannot be decoded"),
        (lambda path: path.write_bytes(b""), "cannot be decoded"),
        (lambda path: soundfile.write(path, np.zeros(0), 8000), "no samples"),
        (write_nan, "NaN, infinite"),
        (write_inf, "NaN, infinite"),
        (write_beyond_all_bounds, "samples that are NaN, infinite or too large"),
        (write_overshooting, r"samples up to 3.3e\+38, where full scale is 1"),
        (write_cut_short, r"cut short: it holds 7,\d+ of 16,000 bytes"),
        (lambda path: write_with_rate(path, 1), "its rate is 1 Hz"),
        (lambda path: write_with_rate(path, 2**31 - 1), "its rate is 2147483647 Hz"),
    ],
)
def test_bad_file_is_named_with_problem_and_remedy(tmp_path: Path, write: Callable[[Path], None], problem: str) -> None:
    path = tmp_path / "bad.wav"
    write(path)
    with pytest.raises(AudioError, match=problem) as error:
        decode(path, 8000, 10)
    assert str(path) in str(error.value)
    assert "data.on_bad_file=skip" in str(error.value)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.wav"):
        decode(tmp_path / "none.wav", 8000, 10)


def test_a_stream_that_did_not_know_its_length_is_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", x := noise(800), 8000, subtype="FLOAT")
    content = (tmp_path / "x.wav").read_bytes()
    at = content.index(b"data") + 4
    (tmp_path / "y.wav").write_bytes(content[:at] + b"\xff" * 4 + content[at + 4 :])
    np.testing.assert_array_equal(decode(tmp_path / "y.wav", 8000, 800), x.astype(np.float32))


def test_ctrl_c_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # libsndfile reads a Python file by calling back; what is raised in the call is printed and dropped.
    soundfile.write(tmp_path / "x.wav", noise(800), 8000)

    def interrupted(*arguments: Any) -> None:
        raise AssertionError("a callback into Python")

    monkeypatch.setattr(soundfile.SoundFile, "_init_virtual_io", interrupted)
    decode(tmp_path / "x.wav", 8000, 10)


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
@pytest.mark.parametrize(("rate", "sample_rate"), [(44100, 8000), (8000, 22050), (16000, 16000)])
def test_the_middle_of_a_long_file_is_as_if_all_of_it_were_read(
    tmp_path: Path, name: str, rate: int, sample_rate: int
) -> None:
    soundfile.write(tmp_path / name, noise(9 * rate + 17, 2, peak=0.3), rate)
    channels, _ = soundfile.read(tmp_path / name, dtype="float32")
    whole = librosa.resample(channels.mean(axis=1), orig_sr=rate, target_sr=sample_rate, res_type="soxr_hq")
    for num_samples in 1, sample_rate // 2 + 1, 7 * sample_rate:
        clip = decode(tmp_path / name, sample_rate, num_samples)
        np.testing.assert_allclose(clip, fit(whole, num_samples), rtol=0, atol=1e-6)


def test_a_long_file_is_not_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "x.flac", np.zeros(2_000_000, np.int16), 8000)
    asked: list[int] = []
    read = soundfile.SoundFile.read

    def counting(self: Any, count: int, **options: Any) -> Any:
        asked.append(count)
        return read(self, count, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    assert decode(tmp_path / "x.flac", 8000, 800).shape == (800,)
    assert asked[0] < 10_000


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "x.wav", noise(80), 8000)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(arguments[0]))

    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(PermissionError, match=r"x\.wav"):
        decode(tmp_path / "x.wav", 8000, 10)
