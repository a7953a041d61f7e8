"""A set that renders itself: ten families of sound, each clip at another scale."""

import os
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from experiments.data.sets.urbansound8k import UrbanSound8K
from experiments.data.sound.cache import lock, progress

FOLDS = range(1, 5)
RATES = 8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000  # Hz
SUBTYPES = "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"
MAX_SCALE = 2.0  # the slowest clip may be stretched by this, the fastest squeezed by it
NOISE = 0.1, 1.0  # root mean square of the background noise below 4 kHz, beside a sound of 1

Family = Callable[[np.random.Generator, np.ndarray], np.ndarray]


class Synthetic(UrbanSound8K):
    """Ten families of sound, rendered once in UrbanSound8K's layout and then read like it.

    A family is the shape of a sound. Pitch, speed, length, loudness, background noise and the file's rate, depth and
    channels are drawn at random and say nothing of it.

    Args:
        root: Folder of the rendered sets.
        clips_per_fold: Number of clips in each of the four folds.
        seed: Seed; the same seed renders the same set.
        max_scale: Scales are log-uniform from 1/max_scale to max_scale. 1 is one scale for all clips, 2 is two octaves.
        **options: See `AudioFolds`.
    """

    def __init__(
        self,
        root: Path | str = "data/synthetic",
        clips_per_fold: int = 200,
        seed: int = 0,
        max_scale: float = 2**0.5,
        **options: Any,
    ) -> None:
        if not 1 <= max_scale <= MAX_SCALE:
            raise ValueError(f"data.max_scale={max_scale:g} is out of range; choose one from 1 to {MAX_SCALE:g}")
        if clips_per_fold < len(FAMILIES):
            raise ValueError(f"data.clips_per_fold={clips_per_fold} is less than one clip of each of the ten families")
        folder = Path(root).expanduser() / f"seed{seed}_{clips_per_fold}x{len(FOLDS)}_scale{max_scale:.3g}"
        render(folder, clips_per_fold, seed, max_scale)
        super().__init__(folder, **options)


def render(folder: Path, clips_per_fold: int, seed: int, max_scale: float) -> None:
    """Write the set to `folder`, unless it is there. The folder appears when all of it is written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock(folder.with_suffix(".lock")):
        if folder.exists():
            return
        unfinished = folder.with_suffix(".partial")
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / "metadata").mkdir(parents=True)
        for fold in FOLDS:
            (unfinished / "audio" / f"fold{fold}").mkdir(parents=True)
        rows = []
        with progress("Rendering", clips_per_fold * len(FOLDS)) as count:
            for clip, (fold, number) in enumerate(product(FOLDS, range(clips_per_fold))):
                target = number % len(FAMILIES)
                name = f"{clip}-{target}-0-0.wav"
                rng = np.random.default_rng([seed, clip])
                seconds = render_clip(unfinished / "audio" / f"fold{fold}" / name, FAMILIES[target], rng, max_scale)
                rows.append((name, clip, 0.0, seconds, 1, fold, target, FAMILIES[target].__name__))
                count()
        columns = ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
        pd.DataFrame(rows, columns=columns).to_csv(unfinished / "metadata" / "UrbanSound8K.csv", index=False)
        os.replace(unfinished, folder)


def render_clip(path: Path, family: Family, rng: np.random.Generator, max_scale: float = MAX_SCALE) -> float:
    """Write one clip of a family as a file of random rate, depth and channels, and return its length in seconds."""
    rate, subtype, channels = int(rng.choice(RATES)), str(rng.choice(SUBTYPES)), int(rng.integers(1, 3))
    scale = max_scale ** rng.uniform(-1, 1)
    time = np.arange(int(rng.uniform(0.7, 1.3) * rate)) / rate
    # The scale is nothing but a stretch of the time axis, so no family can tell a slow sound from a low one.
    sound = family(rng, time / scale)
    sound /= np.sqrt(np.mean(sound**2))
    # White noise spreads over the file's whole band; its share below 4 kHz should not depend on the rate.
    noise = rng.uniform(*NOISE) * np.sqrt(rate / min(RATES)) * rng.standard_normal((len(time), channels))
    clip = sound[:, None] * rng.uniform(0.5, 1.0, channels) + noise
    clip *= rng.uniform(0.1, 0.95) / np.abs(clip).max()
    soundfile.write(path, clip, rate, subtype=subtype)
    return len(time) / rate


# The families: functions of the time in seconds, at scale 1. Their frequencies end near 1.7 kHz, below half of the
# lowest rate at any scale.


def rising_chirps(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return repeated glides up two octaves."""
    return _glides(rng, t, octaves=2)


def falling_chirps(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return repeated glides down two octaves."""
    return _glides(rng, t, octaves=-2)


def harmonic_stack(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return a steady tone with overtones."""
    pitch = rng.uniform(150, 250)
    return sum((_tone(rng, pitch * k * t) / k for k in range(1, 7)), np.zeros_like(t))


def click_train(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return short clicks at even distances."""
    since = _cycle(rng, t, rng.uniform(8, 14)) - 0.01
    return (1 - (since * 4000) ** 2) * np.exp(-((since * 4000) ** 2) / 2)


def struck_resonance(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return a decaying tone that is struck at even distances."""
    since = _cycle(rng, t, rng.uniform(4, 6))
    return np.exp(-since * rng.uniform(15, 25)) * np.sin(2 * np.pi * rng.uniform(500, 1000) * since)


def am_tone(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return a tone that swells and fades."""
    return (1 + _tone(rng, rng.uniform(8, 14) * t)) * _tone(rng, rng.uniform(500, 1000) * t)


def fm_tone(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return a tone whose pitch swings up and down."""
    pitch, speed = rng.uniform(500, 1000), rng.uniform(8, 14)
    return np.sin(2 * np.pi * pitch * t + 0.4 * pitch / speed * _tone(rng, speed * t))


def two_tones(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return a tone that jumps between two pitches."""
    pitch, high = rng.uniform(500, 750), _cycle(rng, t, speed := rng.uniform(4, 6)) * speed < 0.5
    return np.where(high, _tone(rng, 1.5 * pitch * t), _tone(rng, pitch * t))


def noise_band(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return a steady rustle."""
    return _noise(rng, t)


def noise_bursts(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return a rustle that is switched on and off."""
    speed = rng.uniform(5, 8)
    return _noise(rng, t) * (_cycle(rng, t, speed) * speed < 0.4)


FAMILIES = (
    rising_chirps,
    falling_chirps,
    harmonic_stack,
    click_train,
    struck_resonance,
    am_tone,
    fm_tone,
    two_tones,
    noise_band,
    noise_bursts,
)


def _tone(rng: np.random.Generator, cycles: np.ndarray) -> np.ndarray:
    """Return a sine of random phase."""
    return np.sin(2 * np.pi * (cycles + rng.uniform()))


def _cycle(rng: np.random.Generator, t: np.ndarray, speed: float) -> np.ndarray:
    """Return the seconds since the last of the events that come `speed` times a second."""
    return (t + rng.uniform() / speed) % (1 / speed)


def _glides(rng: np.random.Generator, t: np.ndarray, octaves: float) -> np.ndarray:
    speed = rng.uniform(3, 5)
    start = rng.uniform(350, 425) * 2.0 ** (1 - octaves / 2)
    rise = octaves * speed * np.log(2)
    return np.sin(2 * np.pi * start * np.exp(rise * _cycle(rng, t, speed)) / rise)


def _noise(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Return noise of the band 200 to 1600 Hz, a sum of tones, so that it stretches with the time axis as sounds do."""
    return sum((_tone(rng, f * t) for f in rng.uniform(200, 1600, 60)), np.zeros_like(t))
