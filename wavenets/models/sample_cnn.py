"""The 3^9 SampleCNN of Lee et al. (arXiv 1703.01789) and its wavelet form of Romero et al. (arXiv 2006.05259)."""

from typing import Unpack

from torch import nn

from wavenets.models.layers import Layers, Options, Published, plain_layers, wavelet_layers
from wavenets.models.network import Network

WIDTH, WAVELET_WIDTH = 128, 90
MULTIPLES = (1, 1, 2, 2, 2, 2, 2, 2, 4, 4)  # of the width, convolution by convolution, after the first
SPANNING = (0, 3, 6, 9)  # those of them that span neighbouring scales
PUBLISHED = Published(1, (3, 3, 3, 3))


class SampleCNN(Network):
    """The plain 3^9 SampleCNN of Lee et al. 2017 (arXiv 1703.01789), made for 59,049 samples.

    Args:
        num_classes: Number of logits (the tags of MagnaTagATune by default).
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``.

    Raises:
        ValueError: In ``forward``, if the input is too short or has other channels.

    Example:
        >>> SampleCNN().min_size
        59047
    """

    def __init__(self, num_classes: int = 50, in_channels: int = 1, normalize: bool = False) -> None:
        layers = plain_layers(1, PUBLISHED)
        super().__init__(*_parts(layers, num_classes, in_channels, ceil_mode=False), in_channels, 1, normalize)


class WaveletSampleCNN(Network):
    """The wavelet 3^9 SampleCNN of Romero et al. 2020 (arXiv 2006.05259).

    Args:
        num_classes: Number of logits (the tags of MagnaTagATune by default).
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        **options: See ``wavenets.models.Options``. ``scale_extent`` is that of the first, fourth, seventh and last of
            the ten convolutions after the lifting.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``; ``features`` gives ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> WaveletSampleCNN().eval()(torch.randn(2, 1, 59049)).shape
        torch.Size([2, 50])
    """

    def __init__(
        self, num_classes: int = 50, in_channels: int = 1, normalize: bool = False, **options: Unpack[Options]
    ) -> None:
        layers = wavelet_layers(1, PUBLISHED, **options)
        # Rounding up keeps a sample on the coarse levels, which have come to their end before the last convolution.
        super().__init__(*_parts(layers, num_classes, in_channels, ceil_mode=True), in_channels, 1, normalize)


def _parts(
    layers: Layers, num_classes: int, in_channels: int, ceil_mode: bool
) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    width = WIDTH if layers.shared else WAVELET_WIDTH
    bias = layers.shared  # the published wavelet form has none
    stem = layers.stem(layers.lift(in_channels, width, 3, stride=3, bias=bias), width)
    extents = dict(zip(SPANNING, layers.extents, strict=True))
    body, channels = nn.Sequential(), width
    for i, multiple in enumerate(MULTIPLES):
        before, channels = channels, width * multiple
        body.append(layers.block(before, channels, 3, scale_extent=extents.get(i, 1), bias=bias))
        if i < len(MULTIPLES) - 1:
            body.append(layers.pool(3, ceil_mode=ceil_mode))
    classifier, readout = layers.finish(layers.conv(channels, num_classes, 1, bias=True), channels, num_classes)
    return stem, body, nn.Sequential(layers.per_scale(nn.Dropout(0.5)), classifier), readout
