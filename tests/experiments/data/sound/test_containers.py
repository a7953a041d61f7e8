"""Files of which libsndfile would read a part as if it were all are named; those that it can read are whole."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from experiments.data.sets.folder import Folder
from experiments.data.sound.decode import AudioError, decode
from experiments.data.sound.recordings import read_windows

RATE, LENGTH = 8000, 24000
FORMATS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("wav", "aiff", "au", "caf", "w64", "rf64", "flac", "ogg", "mp3")},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "sph": {"format": "NIST", "subtype": "PCM_16"},
    "rifx": {"format": "WAV", "endian": "BIG"},
}


def sound(path: Path, seed: int = 0, **options: Any) -> bytes:
    """Write a noise in which no part is silent; return the bytes of the file."""
    x = np.random.default_rng(seed).uniform(-0.5, 0.5, LENGTH)
    soundfile.write(path, x, RATE, **(FORMATS[path.suffix[1:]] | options))
    return path.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    content = sound(path)
    assert len(decode(path, RATE, 1, whole=True)) == LENGTH
    if kind not in ("sph", "w64"):  # libsndfile reads those to the end of the file
        path.write_bytes(content + bytes(4000))  # what some recorders reserve
        assert len(decode(path, RATE, 1, whole=True)) == LENGTH


@pytest.mark.parametrize("share", [0.4, 0.8])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_is_cut_short_is_named(kind: str, share: float, tmp_path: Path) -> None:
    """The clip is its beginning, which is there, but of a compressed file it would be thought its middle."""
    path = tmp_path / f"a.{kind}"
    content = sound(path)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(AudioError, match=r"is cut short|cannot be decoded|has no samples") as error:
        decode(path, RATE, LENGTH)
    if kind not in ("flac", "caf", "ogg"):
        assert "is cut short: " in str(error.value)
    with pytest.raises(AudioError):
        list(read_windows(path, RATE, 800))


@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize("kind", ["sph", "rf64", "w64", "opus", "ogg", "mp3"])
def test_a_clip_of_a_file_that_is_cut_short_is_not_made(kind: str, share: float, tmp_path: Path) -> None:
    """Though its own samples may be there: it would be another part of the sound than the middle."""
    path = tmp_path / f"a.{kind}"
    content = sound(path)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(AudioError, match=r"is cut short|has no samples"):
        decode(path, RATE, 800)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "sph"])
def test_files_that_were_joined_are_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    first = sound(path)
    path.write_bytes(first + sound(path, seed=1))
    with pytest.raises(AudioError, match=r"several sounds|holds .*; fix|cannot be decoded"):
        decode(path, RATE, 800)


def without_first_frame(content: bytes) -> bytes:
    """Return an MP3 file without the frame that states its length."""
    assert b"Xing" in content[:60] or b"Info" in content[:60]
    return content[content.index(content[:2], 2) :]


def test_a_variable_bit_rate_without_a_stated_length(tmp_path: Path) -> None:
    """Silence, then noise: the length that one expects by the first frame is wrong."""
    x = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * LENGTH) * (np.arange(20 * LENGTH) > 10 * LENGTH)
    soundfile.write(tmp_path / "a.mp3", x, 22050, compression_level=0.5, bitrate_mode="VARIABLE")
    assert len(decode(tmp_path / "a.mp3", 22050, 1, whole=True)) == len(x)
    content = without_first_frame((tmp_path / "a.mp3").read_bytes())
    (tmp_path / "a.mp3").write_bytes(content)
    with pytest.raises(AudioError, match=r"holds 48\d,\d+ samples, but its head lets one expect"):
        decode(tmp_path / "a.mp3", 22050, 800)


def test_a_constant_bit_rate_needs_no_stated_length(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * LENGTH)
    for name, tag in ("a.mp3", b""), ("b.mp3", b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)):
        soundfile.write(tmp_path / name, x, 22050, compression_level=0.5, bitrate_mode="CONSTANT")
        content = without_first_frame((tmp_path / name).read_bytes())
        (tmp_path / name).write_bytes(tag + content)
        assert abs(len(decode(tmp_path / name, 22050, 1, whole=True)) - len(x)) < 4 * 1152


@pytest.mark.parametrize(("kind", "name", "size"), [("wav", b"data", "<I"), ("aiff", b"SSND", ">I"), ("au", b"", ">I")])
def test_a_size_that_has_overflowed_is_named(kind: str, name: bytes, size: str, tmp_path: Path) -> None:
    """As that of a file beyond 4 GiB, which is modulo 2**32; the rest does not begin with the name of a chunk."""
    path = tmp_path / f"a.{kind}"
    content = bytearray(sound(path))
    at = content.index(name) + 4 if name else 8
    content[at : at + 4] = struct.pack(size, 12_008)
    content[4:8] = struct.pack(size, 12_044) if name else content[4:8]
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"holds 48,\d+ bytes, but its head states 12,0\d\d"):
        decode(path, RATE, 800)


def unknown_length(content: bytes) -> bytes:
    """Return a FLAC file as a writer to a pipe leaves it: the number of samples, the last 36 bits of 8 bytes, is 0."""
    begin = content.index(b"fLaC") + 8 + 10
    (word,) = struct.unpack(">Q", content[begin : begin + 8])
    assert word % 2**36 == LENGTH
    return content[:begin] + struct.pack(">Q", word - LENGTH) + content[begin + 8 :]


@pytest.mark.parametrize("rate", [RATE, 5000])
@pytest.mark.parametrize("trim", [None, 40])
def test_a_flac_file_of_unknown_length_is_read(trim: float | None, rate: int, tmp_path: Path) -> None:
    known, stream = tmp_path / "known.flac", tmp_path / "stream.flac"
    stream.write_bytes(unknown_length(sound(known)))
    assert soundfile.info(known).frames == LENGTH < soundfile.info(stream).frames
    for num_samples in 800, LENGTH, 2 * LENGTH:
        for whole in False, True:
            expected = decode(known, rate, num_samples, trim, whole)
            np.testing.assert_array_equal(decode(stream, rate, num_samples, trim, whole), expected)
    for window, expected_window in zip(
        read_windows(stream, rate, 700, 300, trim), read_windows(known, rate, 700, 300, trim), strict=True
    ):
        assert (window.start, window.end) == (expected_window.start, expected_window.end)
        np.testing.assert_array_equal(window.clip, expected_window.clip)


def test_a_flac_file_of_unknown_length_is_trained_on(tmp_path: Path) -> None:
    """As a clip, and cut into windows."""
    for fold in "train", "val", "test":
        for name in "cat", "dog":
            path = tmp_path / "set" / fold / name / "a.flac"
            path.parent.mkdir(parents=True)
            path.write_bytes(unknown_length(sound(path)))
    options: dict[str, Any] = {"sample_rate": RATE, "cache_dir": tmp_path / "cache", "num_workers": 0}
    make: Callable[..., Any] = Folder
    assert len(make(tmp_path / "set", duration=1.0, **options).split("train")) == 2
    assert len(make(tmp_path / "set", duration=None, window=0.5, **options).split("train")) == 2 * 6


@pytest.mark.parametrize(
    "head", [b".snd\0\0", b"RIFF", b"FORM\0\0", b"caff\0", b"NIST_1A\n   1024\n", b"fLaC\0", b"OggS\0"]
)
def test_a_file_that_ends_within_its_head(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(head)
    with pytest.raises(AudioError, match=r"a\.wav cannot be decoded"):
        decode(tmp_path / "a.wav", RATE, LENGTH)
