"""Recordings from anywhere, given to a network as its test examples were."""

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.data.clips import windows
from experiments.data.decode import decode_trimmed, fit, to_int16

SOUNDS = {
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".w64", ".wav"),
}
ROUNDING = 0.01  # a recording that is longer than a clip by less than this share of it is one clip


@dataclass(frozen=True)
class Recording:
    """A decoded recording.

    Attributes:
        signal: int16 samples (T,), as a cache keeps them.
        starts: Where its windows begin, in samples.
        num_samples: Length of a window, in samples.
        begin: Place of the signal in the file, in samples: behind the silence that was cut off.
    """

    signal: np.ndarray
    starts: np.ndarray
    num_samples: int
    begin: int = 0

    def clips(self) -> Iterator[np.ndarray]:
        """Gives the windows, each a float32 waveform (1, num_samples) within [-1, 1]."""
        for start in self.starts:
            yield self.signal[None, start : start + self.num_samples].astype(np.float32) / 32768


def read_recording(
    file: Path | str, sample_rate: int, num_samples: int, hop: int | None = None, trim: float | None = None
) -> Recording:
    """Decodes a recording and cuts it into windows; one that is no longer than a window is centred in silence.

    Args:
        file: Audio file.
        sample_rate: Rate of the network's inputs, in Hz.
        num_samples: Length of the network's inputs, in samples.
        hop: Distance of the windows, in samples; None is ``num_samples``: they follow each other.
        trim: Silence that is cut off at both ends, see `decode`.

    Raises:
        AudioError: It is not usable audio.
        OSError: It cannot be read.
    """
    clip, begin = decode_trimmed(file, sample_rate, num_samples, trim, whole=True)
    signal = to_int16(clip)
    if len(signal) < (1 + ROUNDING) * num_samples:
        signal = fit(signal, num_samples)
    return Recording(signal, windows(len(signal), num_samples, hop or num_samples), num_samples, begin)


def find_sounds(names: Iterable[str]) -> list[str]:
    """Gives the files that are meant: files as they are, of folders all sounds in them and below, of globs the matches.

    Args:
        names: Files, folders and globs, where ``**`` stands for any folders. A file's own name may hold ``[``.

    Returns:
        The files, each once. A file that does not exist is among them, for whoever reads it to say so.

    Raises:
        FileNotFoundError: A folder holds no sound, or a glob matches nothing.
    """
    found: list[str] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            files = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in SOUNDS and file.is_file())
            if not files:
                raise FileNotFoundError(f"{name} holds no audio file ({', '.join(sorted(SOUNDS))})")
        elif glob.has_magic(name) and not path.exists():
            files = sorted(file for file in glob.glob(name, recursive=True) if Path(file).is_file())
            if not files:
                raise FileNotFoundError(f"no file matches {name}")
        else:
            files = [name]
        found += files
    return list(dict.fromkeys(found))
