"""Clips at another playback speed, by a resampler that has nothing to do with the networks."""

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from experiments.data.sound.decode import change_rate, resampled_length


def play(clip: Tensor, factor: float) -> Tensor:
    """Play a clip faster or slower, as a turntable does: at double speed it is half as long.

    Args:
        clip: Waveform (C, T).
        factor: Playback speed; 2 is twice as fast and an octave higher.

    Returns:
        Waveform (C, ⌈T / factor⌉).

    >>> play(torch.ones(2, 8), 2).shape
    torch.Size([2, 4])
    """
    return torch.from_numpy(np.stack([change_rate(channel, factor, 1) for channel in clip.numpy()]))


def resample(x: Tensor, length: int) -> Tensor:
    """Resample a sound (C, T) to another length, band-limited, in one step for any ratio.

    It is the sum of the cosines of its discrete cosine transform, sampled elsewhere: those above half of the new rate
    are left out. The cosines mirror the sound at its ends, so that there is no jump there, which would ring in a
    Fourier transform.

    Example:
        >>> resample(torch.ones(1, 6), 4)
        tensor([[1., 1., 1., 1.]])
    """
    old = x.shape[-1]
    spectrum = scipy.fft.dct(x.numpy(), norm="ortho")[..., :length]
    padded = np.pad(spectrum, [(0, 0)] * (x.ndim - 1) + [(0, length - spectrum.shape[-1])])
    return torch.from_numpy(scipy.fft.idct(padded, norm="ortho") * np.float32((length / old) ** 0.5))


def stretch(target: Tensor, factor: float) -> Tensor:
    """Return a map of class numbers (T,) at another playback speed, by nearest neighbours.

    Example:
        >>> stretch(torch.tensor([1, 1, 2, 2, 3, 3]), 2)
        tensor([1, 2, 3])
    """
    length = resampled_length(len(target), factor, 1)  # that of the sound
    index = ((torch.arange(length) + 0.5) * (len(target) / length)).long()
    return target[index]
