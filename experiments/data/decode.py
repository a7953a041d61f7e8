"""One audio file to one clip of fixed rate and length."""

import io
from pathlib import Path

import librosa
import numpy as np
import soundfile


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


def decode(path: Path | str, sample_rate: int, num_samples: int, trim: float | None = None) -> np.ndarray:
    """Reads an audio file (wav, flac, ogg, mp3, ...) as a mono clip of fixed rate and length.

    Channels are averaged, the rate is changed by `librosa.resample` (`soxr_hq`), and the clip is centre-cropped or
    zero-padded.

    Args:
        path: audio file.
        sample_rate: rate of the clip, in Hz.
        num_samples: length of the clip, in samples.
        trim: silence at both ends is cut off first, what is this many decibels below the loudest moment; None: nothing.

    Returns:
        float32 array of shape (num_samples,), within [-1, 1].

    Raises:
        AudioError: the file cannot be decoded, has no samples, or has NaN or infinite samples.
        OSError: the file cannot be read.
    """
    content = io.BytesIO(Path(path).read_bytes())
    try:
        channels, rate = soundfile.read(content, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(path, f"cannot be decoded ({error.error_string})") from error
    if len(channels) == 0:
        raise AudioError(path, "has no samples")
    if not np.isfinite(channels).all():
        raise AudioError(path, "has NaN or infinite samples")
    mono = channels.mean(axis=1)
    if trim is not None and mono.any():
        mono, _ = librosa.effects.trim(mono, top_db=trim)
    clip = fit(librosa.resample(mono, orig_sr=rate, target_sr=sample_rate, res_type="soxr_hq"), num_samples)
    # Float files may go beyond full scale, and resampling may overshoot it. Turned down, the clip keeps its shape and
    # fits the int16 of the cache; clipped, it would be distorted.
    return clip / max(1.0, np.abs(clip).max())
