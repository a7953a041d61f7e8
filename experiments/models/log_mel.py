"""A plain network for sounds on a log-mel spectrogram, to compare with."""

import librosa
import torch
from torch import Tensor, nn

from wavenets.models.network import normalized

FLOOR = 0.001  # added to the power in a band before its logarithm is taken, of a signal whose root mean square is 1


class LogMelCNN(nn.Module):
    """A convolutional network on a log-mel spectrogram: six convolutions of size 3 × 3, in pairs, and pooling.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        sample_rate: Sampling rate in Hz.
        n_mels: Number of bands of the spectrogram.
        window: Length of a window in seconds.
        hop: Seconds from one window to the next.
        width: Channels of the first two convolutions; the others have two and four times as many.
        dropout: Probability with which the averaged features are dropped.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``.

    Example:
        >>> net = LogMelCNN(10, sample_rate=8000)
        >>> net(torch.randn(2, 1, 8000)).shape, sum(weight.numel() for weight in net.parameters())
        (torch.Size([2, 10]), 162564)
    """

    ndim = 1

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
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.in_channels, self.hop = in_channels, round(hop * sample_rate)
        self.min_size = size = round(window * sample_rate)
        self.register_buffer("bands", torch.from_numpy(librosa.filters.mel(sr=sample_rate, n_fft=size, n_mels=n_mels)))
        self.register_buffer("hann", torch.hann_window(size))
        self.bands: Tensor
        self.hann: Tensor
        layers: list[nn.Module] = [nn.BatchNorm2d(in_channels)]
        channels = in_channels
        for out_channels in (width, 2 * width, 4 * width):
            for _ in range(2):
                layers += nn.Conv2d(channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)
                layers += [nn.ReLU()]
                channels = out_channels
            layers += [nn.MaxPool2d(2, ceil_mode=True)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, num_classes))

    def features(self, x: Tensor) -> Tensor:
        """Return the features before the classifier, (B, 4 · width, bands, frames)."""
        features: Tensor = self.body(self.spectrogram(x))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        logits: Tensor = self.head(self.features(x).mean((2, 3)))
        return logits

    def spectrogram(self, x: Tensor) -> Tensor:
        """Return the logarithm of the power in each band, (B, in_channels, bands, frames), whatever the loudness.

        Args:
            x: Signal of shape (B, in_channels, L).
        """
        short = torch.stft(normalized(x).flatten(0, 1), len(self.hann), self.hop, window=self.hann, return_complex=True)
        power = self.bands @ short.abs().square()
        return (power + FLOOR).log().unflatten(0, x.shape[:2])
