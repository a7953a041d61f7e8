"""The 1DCNN of Abdoli et al. (arXiv 1904.08990) and its wavelet form of Romero et al. (arXiv 2006.05259)."""

from typing import Unpack

from torch import nn

from wavenets.models.layers import AdaptiveAvgPool1d, Layers, Options, Published, plain_layers, wavelet_layers
from wavenets.models.network import Network

# (kernel size, max-pool or None) of the convolutions, all of stride 2; the width doubles with each. The published
# wavelet form takes the odd kernel below.
CONVOLUTIONS: tuple[tuple[int, int | None], ...] = ((64, 8), (32, 8), (16, None), (8, None), (4, 4))
WIDTH, WAVELET_WIDTH = 16, 12
POSITIONS = 6  # what is left of the time axis before the dense layers, whatever the input's length
PUBLISHED = Published(1, (3, 3, 3, 3))


class OneDCNN(Network):
    """The plain 1DCNN of Abdoli et al. 2019 (arXiv 1904.08990).

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``.

    Raises:
        ValueError: In ``forward``, if the input is too short or has other channels.

    Example:
        >>> OneDCNN()(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, normalize: bool = False) -> None:
        layers = plain_layers(1, PUBLISHED)
        super().__init__(*_parts(layers, num_classes, in_channels), in_channels, 1, normalize)


class WaveletOneDCNN(Network):
    """The wavelet 1DCNN of Romero et al. 2020 (arXiv 2006.05259).

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        **options: See ``wavenets.models.Options``. ``scale_extent`` is that of the four convolutions after the first.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``; ``features`` gives ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> WaveletOneDCNN()(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, normalize: bool = False, **options: Unpack[Options]
    ) -> None:
        layers = wavelet_layers(1, PUBLISHED, **options)
        super().__init__(*_parts(layers, num_classes, in_channels), in_channels, 1, normalize)


def _parts(layers: Layers, num_classes: int, in_channels: int) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    width = WIDTH if layers.shared else WAVELET_WIDTH
    (kernel_size, window), *others = CONVOLUTIONS
    lift = layers.lift(in_channels, width, kernel_size if layers.shared else kernel_size - 1, stride=2)
    stem = layers.stem(lift, width, layers.pool(window))
    body, channels = nn.Sequential(), width
    for (kernel_size, window), extent in zip(others, layers.extents, strict=True):
        body.append(layers.block(channels, 2 * channels, kernel_size, scale_extent=extent, stride=2))
        channels = 2 * channels
        if window:
            body.append(layers.pool(window))
    dense = nn.Sequential(
        AdaptiveAvgPool1d(POSITIONS),
        nn.Flatten(),
        *(nn.Linear(channels * POSITIONS, 8 * width), nn.ReLU(), nn.Dropout(0.25)),
        *(nn.Linear(8 * width, 4 * width), nn.ReLU(), nn.Dropout(0.25)),
    )
    classifier, readout = layers.finish(layers.per_scale(nn.Linear(4 * width, num_classes)), 4 * width, num_classes)
    return stem, body, nn.Sequential(layers.per_scale(dense), classifier), readout
