"""Clips at another playback speed, by a resampler that has nothing to do with the networks."""

from typing import Any

import librosa
import numpy as np
import scipy.fft
import torch
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.decode import fit


def play(clip: Tensor, factor: float) -> Tensor:
    """Plays a clip faster or slower, as a turntable does: at double speed it is half as long.

    Args:
        clip: waveform (1, T).
        factor: playback speed; 2 is twice as fast and an octave higher.

    Returns:
        Waveform (1, ⌈T / factor⌉).

    >>> play(torch.ones(1, 8), 2).shape
    torch.Size([1, 4])
    """
    played = librosa.resample(clip[0].numpy(), orig_sr=factor, target_sr=1, res_type="soxr_hq")
    return torch.from_numpy(played)[None]


def resample(x: Tensor, length: int) -> Tensor:
    """Resamples a sound (C, T) to another length, band-limited, in one step for any ratio.

    It is the sum of the cosines of its discrete cosine transform, sampled elsewhere: those above half of the new rate
    are left out, and as they mirror the sound at its ends, no jump rings there, as it would in a Fourier transform.

    Example:
        >>> resample(torch.ones(1, 6), 4)
        tensor([[1., 1., 1., 1.]])
    """
    old = x.shape[-1]
    spectrum = scipy.fft.dct(x.numpy(), norm="ortho")[..., :length]
    padded = np.pad(spectrum, [(0, 0)] * (x.ndim - 1) + [(0, length - spectrum.shape[-1])])
    return torch.from_numpy(scipy.fft.idct(padded, norm="ortho") * np.float32((length / old) ** 0.5))


class Played(Dataset[tuple[Tensor, int]]):
    """A dataset of waveforms at another playback speed.

    Args:
        clips: dataset with items (waveform (1, T), label).
        factor: playback speed.
        fitted: if True, they are cut or zero-padded around their centre to their old length.
    """

    def __init__(self, clips: Any, factor: float, fitted: bool = False) -> None:
        self.clips, self.factor, self.fitted = clips, factor, fitted

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        clip, label = self.clips[item]
        played = play(clip, self.factor)
        return torch.from_numpy(fit(played[0].numpy(), clip.shape[1]))[None] if self.fitted else played, label
