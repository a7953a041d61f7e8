"""One audio file to one clip of fixed rate and length."""

import re
from math import ceil, gcd
from pathlib import Path

import librosa
import numpy as np
import soundfile

MARGIN = 1000  # samples that are read before and after what is wanted; more than the resampler's filter is long
MAX_RATIO = 1000.0  # of a file's rate and the clip's; beyond it, the file's head is wrong


class AudioError(ValueError):
    """A file that holds no usable audio; the message names it, what is wrong and the remedy."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(path, problem)
        self.problem = problem

    def __str__(self) -> str:
        return "{} {}; fix or remove the file, or leave such clips out with data.on_bad_file=skip".format(*self.args)


def fit(x: np.ndarray, num_samples: int) -> np.ndarray:
    """Crops or zero-pad a signal around its centre.

    Args:
        x: signal, shape (T,).
        num_samples: length of the result, in samples.

    Returns:
        Signal of shape (num_samples,). An odd sample too many or missing is taken off or added at the end.

    >>> fit(np.array([1, 2, 3, 4]), 2), fit(np.array([1, 2]), 5)
    (array([2, 3]), array([0, 1, 2, 0, 0]))
    """
    spare = num_samples - len(x)
    if spare < 0:
        start = -spare // 2
        return x[start : start + num_samples]
    return np.pad(x, (spare // 2, spare - spare // 2))


def decode(
    path: Path | str, sample_rate: int, num_samples: int, trim: float | None = None, whole: bool = False
) -> np.ndarray:
    """Reads an audio file (wav, flac, ogg, mp3, ...) as a mono clip of fixed rate and length.

    Channels are averaged, the rate is changed by `librosa.resample` (`soxr_hq`), and the clip is centre-cropped or
    zero-padded. Of a file that is much longer than the clip, only the middle is read.

    Args:
        path: audio file.
        sample_rate: rate of the clip, in Hz.
        num_samples: length of the clip, in samples.
        trim: silence at both ends is cut off first, what is this many decibels below the loudest moment; None: nothing.
        whole: a clip that is longer is left as it is.

    Returns:
        float32 array of shape (num_samples,), or longer if `whole`, within [-1, 1].

    Raises:
        AudioError: the file cannot be decoded, is cut short, has no samples, or has NaN or infinite samples.
        OSError: the file cannot be read.
    """
    return decode_trimmed(path, sample_rate, num_samples, trim, whole)[0]


def decode_trimmed(
    path: Path | str, sample_rate: int, num_samples: int, trim: float | None = None, whole: bool = False
) -> tuple[np.ndarray, int]:
    """Does what `decode` does; gives the clip, and the place of its first sample in the file if silence was cut off."""
    with open(path, "rb") as content:  # libsndfile would not say why it cannot be read
        if not content.read(1):
            raise AudioError(path, "cannot be decoded (it is empty)")
    try:
        # By its name: libsndfile reads an open file by calling Python, and swallows a Ctrl-C within the call.
        with soundfile.SoundFile(str(path)) as file:
            everything = whole or trim is not None
            part, start = _read(path, file, sample_rate, num_samples, everything)
            rate, total = file.samplerate, _resampled_length(file.frames, file.samplerate, sample_rate)
    except soundfile.LibsndfileError as error:
        raise AudioError(path, f"cannot be decoded ({error.error_string})") from error
    except MemoryError as error:
        raise AudioError(path, "is too long for the memory") from error
    with np.errstate(over="ignore", invalid="ignore"):
        mono = part.mean(axis=1)
    _check_finite(path, mono)
    begin = 0
    if trim is not None and mono.any():
        mono, (begin, _) = librosa.effects.trim(mono, top_db=trim)
    clip = librosa.resample(mono, orig_sr=rate, target_sr=sample_rate, res_type="soxr_hq")
    _check_finite(path, clip)
    if everything:
        total = len(clip)
    if whole:
        num_samples = max(num_samples, total)
    first = max(0, (total - num_samples) // 2) - start
    clip = fit(clip[first : first + num_samples], num_samples)
    padding = max(0, num_samples - total) // 2
    # Float files may go beyond full scale, and resampling may overshoot it. Turned down, the clip keeps its shape and
    # fits the int16 of the cache; clipped, it would be distorted.
    return clip / max(1.0, np.abs(clip).max()), max(0, round(begin * sample_rate / rate) - padding)


def _read(
    path: Path | str, file: soundfile.SoundFile, sample_rate: int, num_samples: int, everything: bool
) -> tuple[np.ndarray, int]:
    """Reads what the middle of a file, `num_samples` long at `sample_rate`, is made of, or everything.

    Returns:
        Samples (T, channels), and the place of the first of them after resampling.
    """
    rate, frames = file.samplerate, file.frames
    if frames == 0:
        raise AudioError(path, "has no samples")
    # libsndfile makes do with what there is, and notes it. Writers to a pipe do not know the size and put the largest.
    for said, there in re.findall(r"(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", file.extra_info):
        if int(there) < 0.99 * int(said) and int(said) < 0x7FFF0000:
            raise AudioError(path, f"is cut short: it holds {int(there):,} of {int(said):,} bytes")
    if not 1 / MAX_RATIO <= rate / sample_rate <= MAX_RATIO:
        raise AudioError(path, f"says that its rate is {rate} Hz, which cannot be changed to {sample_rate} Hz")
    # In blocks of `step` samples, which last as long as `new` samples of the clip, so that the middle begins at a
    # sample of both.
    step, new = rate // gcd(rate, sample_rate), sample_rate // gcd(rate, sample_rate)
    margin = ceil(MARGIN / min(step, new))
    spare = _resampled_length(frames, rate, sample_rate) - num_samples
    first = max(0, spare // 2 // new - margin)
    last = ceil((spare // 2 + num_samples) / new) + margin
    if everything or spare <= 0 or not file.seekable():
        first, last = 0, ceil(frames / step)
    if first:
        file.seek(first * step)
    return file.read((last - first) * step, dtype="float32", always_2d=True), first * new


def _resampled_length(frames: int, rate: int, sample_rate: int) -> int:
    return ceil(frames * (sample_rate / rate))  # as librosa counts


def _check_finite(path: Path | str, x: np.ndarray) -> None:
    if not np.isfinite(x).all():
        raise AudioError(path, "has NaN or infinite samples, or some beyond all bounds")


def to_int16(clip: np.ndarray) -> np.ndarray:
    """Gives a decoded clip as the cache keeps it; divided by 32768 it is what a network is given.

    >>> to_int16(np.array([-1, 0.5, 1]))
    array([-32768,  16384,  32767], dtype=int16)
    """
    return np.minimum(np.rint(clip * 32768), 32767).astype(np.int16)
