"""Audio files as mono sounds of one rate, decoded block by block: whole, or their middle as a clip of fixed length."""

import errno
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from math import ceil, gcd
from pathlib import Path

import numpy as np
import soundfile
import soxr

from experiments.data.sound.containers import UNKNOWN, File, fault

BLOCK = 2**16  # samples that are decoded at once
MARGIN = 1000  # samples that are read before and after what is wanted; more than the resampler's filter is long
MAX_RATIO = 1000.0  # of a file's rate and the clip's; beyond it, the file's head is wrong
MAX_PEAK = 100.0  # of floating-point samples, where 1 is full scale; beyond it, they are in another unit
MP3_DELAY = 2304  # samples that the end of an MP3 file may lack
CANCELLED = 1e-4  # of the power of the channels that is left in their mean, where one is the negative of another
FRAME, HOP = 2048, 512  # samples, in which the loudness is measured to cut silence off, as librosa does


class AudioError(ValueError):
    """A file that holds no usable audio; the message names it, what is wrong and the remedy."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(path, problem)
        self.problem = problem

    def __str__(self) -> str:
        return "{} {}; fix or remove the file, or leave such clips out with data.on_bad_file=skip".format(*self.args)


def fit(x: np.ndarray, num_samples: int) -> np.ndarray:
    """Crop or zero-pad a signal (T,) around its centre.

    An odd sample too many or missing is taken off or added at the end.

    >>> fit(np.array([1, 2, 3, 4]), 2), fit(np.array([1, 2]), 5)
    (array([2, 3]), array([0, 1, 2, 0, 0]))
    """
    spare = num_samples - len(x)
    if spare < 0:
        start = -spare // 2
        return x[start : start + num_samples]
    return np.pad(x, (spare // 2, spare - spare // 2))


def change_rate(x: np.ndarray, rate: float, sample_rate: float) -> np.ndarray:
    """Resample a signal (T,) to ⌈T · sample_rate / rate⌉ samples, by soxr in its high quality.

    `librosa.resample` returns the same, but its first import compiles for most of a minute.

    >>> change_rate(np.ones(5), 2, 1).shape
    (3,)
    """
    if rate == sample_rate:
        return x
    length = resampled_length(len(x), rate, sample_rate)
    resampled = soxr.resample(x, rate, sample_rate, "HQ")[:length]
    return np.pad(resampled, (0, length - len(resampled)))  # as librosa does


def decode(
    path: Path | str, sample_rate: int, num_samples: int, trim: float | None = None, whole: bool = False
) -> np.ndarray:
    """Read an audio file (wav, flac, ogg, mp3, ...) as a mono clip of fixed rate and length.

    Channels are averaged, the rate is changed by soxr in its high quality, as `librosa.resample` does, and the clip is
    centre-cropped or zero-padded. Of a file that is much longer than the clip, only the middle is read.

    Args:
        path: Audio file.
        sample_rate: Rate of the clip, in Hz.
        num_samples: Length of the clip, in samples.
        trim: Silence at both ends is cut off first: what is this many decibels below the loudest moment. ``None``:
            nothing.
        whole: Whether a clip that is longer is left as it is.

    Returns:
        float32 array of shape (num_samples,), or longer if `whole`, within [-1, 1].

    Raises:
        AudioError: The file cannot be decoded, is cut short, has no samples, or has NaN, infinite or too large ones.
        OSError: The file cannot be read, or is too long for memory.
    """
    with opened(path, sample_rate, trim) as sound:
        if whole or trim is not None or not sound.file.repeatable:
            clip, total = np.concatenate(list(sound.blocks())), sound.length
            first = max(0, (total - num_samples) // 2)
            return fit(clip if whole else clip[first : first + num_samples], max(num_samples, total * whole))
        return sound.middle(num_samples)


class Sound:
    """An audio file that is open, as a mono sound at another rate.

    A file of floating-point samples beyond full scale is turned down as a whole, whatever part of it is read. What
    decoders and resampling overshoot is clipped.

    Args:
        path: Its path.
        file: The open file.
        sample_rate: Rate of the sound, in Hz.
        trim: See `decode`.

    Attributes:
        begin: First sample of the sound, counted from the start of the file: it lies behind silence that is cut off.
    """

    def __init__(self, path: Path | str, file: File, sample_rate: int, trim: float | None = None) -> None:
        _check_head(path, file, sample_rate)
        self.path, self.file, self.sample_rate, self.frames = path, file, sample_rate, file.frames
        if file.repeatable and file.frames > UNKNOWN:
            self.frames = sum(map(len, self._mono(0, file.frames)))
        self.first, self.last, self.peak = 0, self.frames, 1.0
        if trim is not None or file.subtype in ("FLOAT", "DOUBLE"):
            if not file.repeatable:
                raise AudioError(path, "cannot be read twice, as its loudness must be known first: save it to a disk")
            self._scan(trim)
        self.begin = round(self.first * sample_rate / file.samplerate)

    @property
    def length(self) -> int:
        """Number of samples; of a pipe it is known when all has been read."""
        return resampled_length(self.last - self.first, self.file.samplerate, self.sample_rate)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the sound, block by block: float32 within [-1, 1], equal to what decoding it at once returns."""
        rate, read, made = self.file.samplerate, 0, 0
        if rate == self.sample_rate:
            for block in self._mono(self.first, self.last):
                read += len(block)
                yield self._levelled(block)
        else:
            resampler = soxr.ResampleStream(rate, self.sample_rate, 1, "float32", "HQ")
            for block in chain(self._mono(self.first, self.last), [np.empty(0, np.float32)]):
                resampled = self._levelled(resampler.resample_chunk(block, last=not len(block)))
                read, made = read + len(block), made + len(resampled)
                yield resampled
        self.last = self.first + read  # of a pipe, the file does not state it
        if rate != self.sample_rate:
            yield np.zeros(max(0, self.length - made), np.float32)  # as librosa does

    def middle(self, num_samples: int) -> np.ndarray:
        """Read the middle, `num_samples` long; zero-padded if the sound is shorter."""
        rate, total = self.file.samplerate, self.length
        # In blocks of `step` samples, which last as long as `new` samples of the clip, so that the middle begins at a
        # sample of both.
        step, new = rate // gcd(rate, self.sample_rate), self.sample_rate // gcd(rate, self.sample_rate)
        margin = ceil(MARGIN / min(step, new))
        spare = total - num_samples
        begin = max(0, spare // 2 // new - margin)
        end = ceil((spare // 2 + num_samples) / new) + margin
        if spare <= 0:
            begin, end = 0, ceil(self.frames / step)
        mono = np.concatenate(list(self._mono(begin * step, end * step)))
        clip = self._levelled(change_rate(mono, rate, self.sample_rate))
        first = max(0, spare // 2) - begin * new
        return fit(clip[first : first + num_samples], num_samples)

    def _mono(self, first: int, last: int) -> Iterator[np.ndarray]:
        """Yield the mean of the channels, from one sample of the file to another."""
        if self.file.repeatable:
            last = min(last, self.frames)
            self.file.seek(first)
        power = np.zeros(2)  # of the channels, and of their mean
        while first < last:
            block = self.file.read(min(BLOCK, last - first), dtype="float32", always_2d=True)
            if not len(block):
                break
            first += len(block)
            with np.errstate(over="ignore", invalid="ignore"):
                mono = block.mean(axis=1)
            self._check_finite(mono)
            if block.shape[1] > 1:
                power += np.vdot(block, block) / block.shape[1], np.vdot(mono, mono)
            yield mono
        if power[1] < CANCELLED * power[0]:
            raise AudioError(self.path, "has channels that cancel out, as one is inverted: keep one of them")
        if self.file.repeatable and MP3_DELAY < last - first < UNKNOWN:
            raise AudioError(self.path, f"is cut short: it holds {first:,} of {last:,} samples")

    def _scan(self, trim: float | None) -> None:
        """Find the loudest sample, and where the sound begins and ends."""
        energies, peak, rest = [], 0.0, np.empty(0, np.float32)
        for block in self._mono(0, self.frames):
            peak = max(peak, float(np.abs(block).max()))
            rest = np.concatenate([rest, block])
            parts = rest[: len(rest) // HOP * HOP].reshape(-1, HOP)
            energies.append(np.square(parts, dtype=np.float64).sum(1))
            rest = rest[parts.size :]
        if peak > MAX_PEAK:
            raise AudioError(self.path, f"has samples up to {peak:,.4g}, where full scale is 1: divide them")
        self.peak = max(1.0, peak) if self.file.subtype in ("FLOAT", "DOUBLE") else 1.0
        if trim is not None and peak > 0:
            # Frames around every HOP-th sample; beyond the ends there is silence.
            parts = np.concatenate([*energies, [np.square(rest, dtype=np.float64).sum()]])
            power = np.convolve(parts, np.ones(FRAME // HOP))[FRAME // HOP // 2 - 1 :][: len(parts)] / FRAME
            decibels = 10 * np.log10(np.maximum(power, 1e-10) / max(power.max(), 1e-10))
            loud = np.flatnonzero(decibels > -trim)
            self.first, self.last = int(loud[0]) * HOP, min(self.frames, int(loud[-1] + 1) * HOP)

    def _levelled(self, block: np.ndarray) -> np.ndarray:
        self._check_finite(block)
        return np.clip(block / self.peak, -1, 1)

    def _check_finite(self, x: np.ndarray) -> None:
        if not np.isfinite(x).all():
            raise AudioError(self.path, "has samples that are NaN, infinite or too large")


@contextmanager
def opened(path: Path | str, sample_rate: int, trim: float | None = None) -> Iterator[Sound]:
    """Open an audio file.

    Raises:
        AudioError: The file holds no usable audio, now or while it is read.
        OSError: The file cannot be read, or is too long for memory.
    """
    # libsndfile would not say why it cannot be read. A pipe can be read only once.
    if stat.S_ISREG(Path(path).stat().st_mode):
        with open(path, "rb") as content:
            if not content.read(1):
                raise AudioError(path, "cannot be decoded (it is empty)")
    try:
        with File(path) as file:
            yield Sound(path, file, sample_rate, trim)
    except AudioError:
        raise
    except soundfile.LibsndfileError as error:
        raise AudioError(path, f"cannot be decoded ({error.error_string})") from error
    except MemoryError as error:
        raise OSError(errno.ENOMEM, "too long for memory", str(path)) from error
    except (RuntimeError, TypeError, ValueError, struct.error) as error:
        raise AudioError(path, f"cannot be decoded ({' '.join(str(error).split())})") from error


def _check_head(path: Path | str, file: File, sample_rate: int) -> None:
    if file.frames == 0:
        raise AudioError(path, "has no samples")
    if problem := fault(path, file):
        raise AudioError(path, problem)
    if not 1 / MAX_RATIO <= file.samplerate / sample_rate <= MAX_RATIO:
        problem = f"says that its rate is {file.samplerate} Hz, which cannot be changed to {sample_rate} Hz"
        raise AudioError(path, problem)


def resampled_length(frames: int, rate: float, sample_rate: float) -> int:
    """Return how many samples a number of samples becomes at another rate."""
    return ceil(frames * (sample_rate / rate))  # as librosa counts


def to_int16(clip: np.ndarray) -> np.ndarray:
    """Return a decoded clip as the cache keeps it; divided by 32768 it is what a network is given.

    >>> to_int16(np.array([-1, 0.5, 1]))
    array([-32768,  16384,  32767], dtype=int16)
    """
    return np.minimum(np.rint(clip * 32768), 32767).astype(np.int16)
