"""A small CNN for images, such as digits."""

from typing import Unpack

from torch import nn

from wavenets.models.kit import kit
from wavenets.models.network import Encoder, Network
from wavenets.models.options import Defaults, Options, narrowed

MULTIPLES = (1, 2, 3)  # of the width, convolution by convolution
WIDTH, WAVELET_WIDTH = 56, 40
DEFAULTS = Defaults(3, (2, 2), base=2**0.5)


class CNN(Network):
    """A CNN of three convolutions for small images; with a group its equivariant twin of equal size.

    In the published form it lifts to 5 scales, √2 apart unless a base is given, and its second and third convolution
    span two.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        width: Channels of the first convolution. None is 56, or 40 in the published form, divided by the square root
            of the number of orientations, which keeps the number of parameters.
        kernel_size: Kernel size of the second and third convolution; the first has 7. For 8 and more rotations kernels
            made of splines are best: with ``spline_spacing=1.5`` size 5 has the number of parameters of size 3.
        head_channels: Channels of a last layer of kernel size 1 before the dense layers; None leaves it out.
        **options: See ``wavenets.models.Options``. ``rotations=4`` makes it a network on SE(2).

    Shape:
        (B, in_channels, H, W) -> (B, num_classes), H and W at least ``min_size``. On a group ``features`` returns
        ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too small or has other channels.

    Example:
        >>> CNN()(torch.randn(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> net = CNN(base=2**0.5)
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 1, 28, 28))]
        [(2, 120, 7, 7), (2, 120, 5, 5), (2, 120, 3, 3)]
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        *,
        width: int | None = None,
        kernel_size: int = 3,
        head_channels: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        layers = kit(2, DEFAULTS, options)
        if width is None:
            width = narrowed(WIDTH if layers.shared else WAVELET_WIDTH, layers.grid)
        first, second, third = (width * multiple for multiple in MULTIPLES)
        stem = layers.stem(layers.lift(in_channels, first, 7), first, layers.max_pool(2))
        blocks = [
            layers.block(i, o, kernel_size, scale_extent=extent)
            for i, o, extent in zip((first, second), (second, third), layers.extents, strict=True)
        ]
        body = nn.Sequential(blocks[0]), nn.Sequential(layers.max_pool(2), blocks[1])
        encoder = Encoder(layers, in_channels, stem, body, [second, third], [2, 4])
        last, channels = layers.last(third, head_channels)
        pooled = nn.AdaptiveMaxPool2d(1), nn.Flatten()
        dense = nn.Sequential(*pooled, nn.Linear(channels, 256), nn.ReLU(), nn.Dropout(0.5))
        classifier, readout = layers.finish(layers.per_level(nn.Linear(256, num_classes)), 256, num_classes)
        super().__init__(encoder, nn.Sequential(last, layers.per_level(dense), classifier), readout)
