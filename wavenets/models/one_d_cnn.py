"""The 1DCNN of Abdoli et al. (arXiv 1904.08990) and its wavelet form of Romero et al. (arXiv 2006.05259)."""

from typing import Unpack

from torch import nn

from wavenets.models.blocks import AdaptiveAvgPool1d
from wavenets.models.kit import kit
from wavenets.models.network import Encoder, Network
from wavenets.models.options import Defaults, Options

# (kernel size, max-pool) of the convolutions, all of stride 2; the width doubles with each. The published wavelet form
# takes the odd kernel below.
CONVOLUTIONS = ((64, 8), (32, 8), (16, 1), (8, 1), (4, 4))
WIDTH, WAVELET_WIDTH = 16, 12
POSITIONS = 6  # length of the time axis before the dense layers, for inputs of any length
DEFAULTS = Defaults(1, (3, 3, 3, 3))


class OneDCNN(Network):
    """The 1DCNN of Abdoli et al. 2019 (arXiv 1904.08990); with a group that of Romero et al. 2020 (arXiv 2006.05259).

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        head_channels: Channels of a last layer of kernel size 1 before the dense layers; None leaves it out.
        **options: See ``wavenets.models.Options``. ``scale_extent`` is that of the four convolutions after the first.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``. On a group ``features`` returns ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> OneDCNN()(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        *,
        normalize: bool = False,
        head_channels: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        layers = kit(1, DEFAULTS, options)
        width = WIDTH if layers.shared else WAVELET_WIDTH
        (kernel_size, window), *others = CONVOLUTIONS
        lift = layers.lift(in_channels, width, kernel_size if layers.shared else kernel_size - 1, stride=2)
        stem = layers.stem(lift, width, layers.max_pool(window))
        body, channels, stride, declared = [], width, 2 * window, []
        for (kernel_size, window), extent in zip(others, layers.extents, strict=True):
            stage = nn.Sequential(layers.block(channels, 2 * channels, kernel_size, scale_extent=extent, stride=2))
            if window > 1:
                stage.append(layers.max_pool(window))
            body.append(stage)
            channels, stride = 2 * channels, stride * 2 * window
            declared.append((channels, stride))
        encoder = Encoder(layers, in_channels, stem, body, *zip(*declared, strict=True))
        last, channels = layers.last(channels, head_channels)
        dense = nn.Sequential(
            AdaptiveAvgPool1d(POSITIONS),
            nn.Flatten(),
            *(nn.Linear(channels * POSITIONS, 8 * width), nn.ReLU(), nn.Dropout(0.25)),
            *(nn.Linear(8 * width, 4 * width), nn.ReLU(), nn.Dropout(0.25)),
        )
        classifier = layers.per_level(nn.Linear(4 * width, num_classes))
        classifier, readout = layers.finish(classifier, 4 * width, num_classes)
        head = nn.Sequential(last, layers.per_level(dense), classifier)
        super().__init__(encoder, head, readout, normalize=normalize)
