"""A network for sounds on a log-mel spectrogram: plain, or on several scales."""

from math import ceil
from typing import Any

import librosa
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenets import Grid, Levels
from wavenets.models.network import check_signal, normalized
from wavenets.models.pretrained import Pretrained
from wavenets.nn import BatchNorm, PerLevel, Readout, Views
from wavenets.resample import precisely

FLOOR = 0.001  # added to the power in a band before its logarithm is taken, of a signal whose root mean square is 1


class LogMel(nn.Module):
    """The logarithm of the power in the bands of a mel spectrogram: (B, C, L) -> (B, C, n_mels, frames).

    Args:
        sample_rate: Sampling rate in Hz.
        n_mels: Number of bands.
        window: Length of a window in samples.
        hop: Samples from one window to the next.
    """

    def __init__(self, sample_rate: int, n_mels: int, window: int, hop: int) -> None:
        super().__init__()
        self.hop = hop
        bands = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=n_mels)
        self.register_buffer("bands", torch.from_numpy(bands))
        self.register_buffer("hann", torch.hann_window(window))
        self.bands: Tensor
        self.hann: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return the spectrogram of (B, C, L), computed at least in float32: powers exceed the range of float16."""
        return log_power(x, self.hann, self.bands, self.hop)


@precisely
def log_power(x: Tensor, hann: Tensor, bands: Tensor, hop: int) -> Tensor:
    """Return the logarithm of the power of (B, C, L) in bands, (B, C, bands, frames); frame i is around i · hop."""
    window = len(hann)
    padded = F.pad(x, (window // 2, window // 2), "reflect")
    power = torch.fft.rfft(padded.unfold(-1, window, hop) * hann.to(x.dtype)).abs().square()
    return (power @ bands.T.to(x.dtype) + FLOOR).log().transpose(-1, -2)


class LogMelCNN(Pretrained):
    """A convolutional network on a log-mel spectrogram: six convolutions of size 3 × 3, in pairs, and pooling.

    On several scales it takes the spectrogram of each view of the signal, with the same bands and the same weights: so
    it is equivariant to rescaling, exactly but for the scales that are finer than the signal.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        sample_rate: Sampling rate in Hz.
        n_mels: Number of bands of the spectrogram.
        window: Length of a window in seconds.
        hop: Seconds from one window to the next.
        width: Channels of the first two convolutions; the others have two and four times as many.
        channel_dropout: Probability with which the averaged features are dropped.
        base: Ratio of neighbouring scales, a ratio of small integers.
        num_scales: Number of scales; 1 is the plain network.
        finer: How many of the scales are finer than the signal, see ``wavenets.Grid.views``.
        readout: How the logits of the scales are fused, see ``wavenets.nn.Readout``.
        dropout: Probability with which a scale is left out in training.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``.

    Raises:
        ValueError: In ``forward`` if the input has other channels, or is too short.

    Example:
        >>> net = LogMelCNN(10, sample_rate=8000)
        >>> net(torch.randn(2, 1, 8000)).shape, sum(weight.numel() for weight in net.parameters())
        (torch.Size([2, 10]), 162564)
        >>> LogMelCNN(10, sample_rate=8000, base="3/2", num_scales=4).features(torch.randn(2, 1, 8000))
        Levels((2, 96, 8, 8), (2, 96, 8, 6), (2, 96, 8, 4), (2, 96, 8, 3), grid=Grid(ndim=1, base=3/2))
    """

    ndim = 1
    normalize = True  # each signal is divided by its root mean square, see ``wavenets.models.Network``

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1,
        *,
        sample_rate: int,
        n_mels: int = 64,
        window: float = 0.064,
        hop: float = 0.016,
        width: int = 24,
        channel_dropout: float = 0.3,
        base: float | str = 2,
        num_scales: int = 1,
        finer: int = 0,
        readout: Any = "mean",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        size, grid = round(window * sample_rate), Grid(1, base)
        self.in_channels, self.min_size = in_channels, ceil(size * grid.ratio ** (num_scales - 1 - finer))
        spectrogram = LogMel(sample_rate, n_mels, size, round(hop * sample_rate))
        layers = [Views(num_scales, grid, finer), PerLevel(spectrogram), BatchNorm(in_channels)]
        channels = in_channels
        for out_channels in (width, 2 * width, 4 * width):
            for _ in range(2):
                conv = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
                layers += [PerLevel(conv), BatchNorm(out_channels), PerLevel(nn.ReLU())]
                channels = out_channels
            layers += [PerLevel(nn.MaxPool2d(2, ceil_mode=True))]
        self.body = nn.Sequential(*layers)
        pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(channel_dropout)
        self.head = PerLevel(nn.Sequential(*pooled, nn.Linear(channels, num_classes)))
        self.readout = Readout(readout, dropout=dropout)

    def features(self, x: Tensor) -> Levels:
        """Return the features before the classifier, of each scale (B, 4 · width, bands, frames).

        Raises:
            ValueError: If x has another shape, or is shorter than ``min_size``.
        """
        check_signal(x, self.in_channels, self.ndim)
        if x.shape[2] < self.min_size:
            raise ValueError(f"LogMelCNN needs at least {self.min_size} samples, got {x.shape[2]}")
        levels: Levels = self.body(normalized(x) if self.normalize else x)
        return levels

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        logits: Tensor = self.readout(self.head(self.features(x)))
        return logits
