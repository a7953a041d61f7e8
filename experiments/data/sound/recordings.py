"""Recordings of any length, as windows that a network takes, made while they are decoded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf, log10
from pathlib import Path

import numpy as np

from experiments.data.sound.decode import Sound, fit, opened, to_int16

SOUNDS = {
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".w64", ".wav"),
}
ROUNDING = 0.01  # a recording that is longer than a clip by less than this share of it is one clip


@dataclass(frozen=True)
class Window:
    """A window of a recording.

    Attributes:
        start: First sample, counted from the start of the file.
        end: The sample behind the last; a recording that is shorter than a window ends earlier than the window.
        clip: float32 waveform (1, num_samples) within [-1, 1], zero-padded around a recording that is shorter.
    """

    start: int
    end: int
    clip: np.ndarray

    @property
    def level(self) -> float:
        """The loudest sample, in decibels relative to full scale; minus infinity of digital silence."""
        peak = float(np.abs(self.clip).max())
        return 20 * log10(peak) if peak else -inf


def is_sound(file: Path) -> bool:
    """Return whether a file is a sound, by the end of its name."""
    return file.suffix.lower() in SOUNDS


def read_windows(
    file: Path | str, sample_rate: int, num_samples: int, hop: int | None = None, trim: float | None = None
) -> Iterator[Window]:
    """Decode a recording block by block and yield its windows, of which the last ends where the recording ends.

    Memory does not grow with the recording. A recording that is no longer than a window is centred in silence.

    Args:
        file: Audio file.
        sample_rate: Rate of the network's inputs, in Hz.
        num_samples: Length of the network's inputs, in samples.
        hop: Distance of the windows, in samples. ``None``: ``num_samples``, so that they follow each other.
        trim: Silence that is cut off at both ends, see `decode`.

    Raises:
        AudioError: The file is not usable audio.
        OSError: The file cannot be read.
    """
    with opened(file, sample_rate, trim) as sound:
        for start, samples in cut((to_int16(block) for block in sound.blocks()), num_samples, hop or num_samples):
            clip = fit(samples, num_samples)[None].astype(np.float32) / 32768
            begin = sound.begin + start
            yield Window(begin, begin + min(len(samples), num_samples), clip)


def cut(blocks: Iterable[np.ndarray], size: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield where the windows of a signal start, and their samples: `clips.windows` of a signal of unknown length.

    A signal that is longer than a window by less than `ROUNDING` of it is one window, of all its samples.

    Example:
        >>> [(start, x.tolist()) for start, x in cut([np.arange(3), np.arange(3, 8)], size=3, hop=2)]
        [(0, [0, 1, 2]), (2, [2, 3, 4]), (4, [4, 5, 6]), (5, [5, 6, 7])]
    """
    kept, first, following = np.empty(0, np.int16), 0, 0  # samples from `first` on; where the next window starts
    for block in blocks:
        kept = np.concatenate([kept, block])
        end = first + len(kept)
        if end < (1 + ROUNDING) * size:
            continue
        while following + size <= end:
            yield following, kept[following - first :][:size]
            following += hop
        first, dropped = min(following, end - size), first
        kept = kept[first - dropped :]
    end = first + len(kept)
    if end < (1 + ROUNDING) * size:
        yield 0, kept
    elif following - hop + size < end:
        yield end - size, kept[-size:]


def envelope(sound: Sound, length: int, points: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the outline of a sound for a picture: times in seconds, least and greatest samples of its parts.

    Args:
        sound: The sound.
        length: Its number of samples.
        points: Number of parts, at least, if it has so many samples.
    """
    size, rest, parts = max(1, length // points), np.empty(0, np.float32), []
    for block in sound.blocks():
        rest = np.concatenate([rest, block])
        rows = rest[: len(rest) // size * size].reshape(-1, size)
        parts.append(np.stack([rows.min(1), rows.max(1)]))
        rest = rest[rows.size :]
    low, high = np.concatenate(parts, 1)
    return (sound.begin + size * np.arange(len(low))) / sound.sample_rate, low, high
