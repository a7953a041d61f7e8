"""The 3^9 SampleCNN of Lee et al. (arXiv 1703.01789) and its wavelet form of Romero et al. (arXiv 2006.05259)."""

from typing import Unpack

from torch import nn

from wavenets.models.kit import kit
from wavenets.models.network import Encoder, Network
from wavenets.models.options import Defaults, Options

WIDTH, WAVELET_WIDTH = 128, 90
MULTIPLES = (1, 1, 2, 2, 2, 2, 2, 2, 4, 4)  # of the width, convolution by convolution, after the first
SPANNING = (0, 3, 6, 9)  # those of them that span neighbouring scales
DEFAULTS = Defaults(1, (3, 3, 3, 3))


class SampleCNN(Network):
    """The 3^9 SampleCNN of Lee et al. 2017 (arXiv 1703.01789), made for 59,049 samples.

    With a group it is the wavelet network of Romero et al. 2020 (arXiv 2006.05259).

    Args:
        num_classes: Number of logits (the tags of MagnaTagATune by default).
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        head_channels: Channels of a last layer of kernel size 1 before the classifier; None leaves it out.
        **options: See ``wavenets.models.Options``. ``scale_extent`` is that of the first, fourth, seventh and last of
            the ten convolutions after the first.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``. On a group ``features`` returns ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> SampleCNN().min_size
        59047
        >>> SampleCNN(base=2).eval()(torch.randn(2, 1, 59049)).shape
        torch.Size([2, 50])
    """

    def __init__(
        self,
        num_classes: int = 50,
        in_channels: int = 1,
        *,
        normalize: bool = False,
        head_channels: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        layers = kit(1, DEFAULTS, options)
        width = WIDTH if layers.shared else WAVELET_WIDTH
        bias = layers.shared  # the published wavelet form has none
        # Rounding up keeps one sample on the coarse levels, which would be empty before the last convolution.
        ceil_mode = layers.grid is not None
        stem = layers.stem(layers.lift(in_channels, width, 3, stride=3, bias=bias), width)
        extents = dict(zip(SPANNING, layers.extents, strict=True))
        body, channels = [], width
        for i, multiple in enumerate(MULTIPLES):
            before, channels = channels, width * multiple
            stage = nn.Sequential() if i == 0 else nn.Sequential(layers.max_pool(3, ceil_mode=ceil_mode))
            body.append(stage.append(layers.block(before, channels, 3, scale_extent=extents.get(i, 1), bias=bias)))
        declared = [(width * multiple, 3 ** (i + 1)) for i, multiple in enumerate(MULTIPLES)]
        encoder = Encoder(layers, in_channels, stem, body, *zip(*declared, strict=True))
        last, channels = layers.last(channels, head_channels)
        classifier, readout = layers.finish(layers.conv(channels, num_classes, 1, bias=True), channels, num_classes)
        head = nn.Sequential(last, layers.per_level(nn.Dropout(0.5)), classifier)
        super().__init__(encoder, head, readout, normalize=normalize)
