"""ResNet-18 (He et al., arXiv 1512.03385) and its equivariant twins."""

from typing import Unpack

from torch import nn

from wavenets.models.blocks import BasicBlock
from wavenets.models.kit import kit
from wavenets.models.network import Encoder, Network
from wavenets.models.options import Defaults, Options, narrowed

STAGES = ((1, 2), (2, 2), (4, 2), (8, 2))  # multiples of the width, blocks
WIDTH = 64
DEFAULTS = Defaults(2, (2, 2, 2))


class ResNet(Network):
    """The ResNet-18 of He et al. 2015 (arXiv 1512.03385); with a group its equivariant twin.

    In the published form it lifts to 5 scales, and the first convolution of each stage but the first spans two.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        width: Channels of the first convolution. None is 64, divided by the square root of the number of orientations,
            which keeps the number of parameters.
        head_channels: Channels of a last layer of kernel size 1 before the classifier; None leaves it out.
        **options: See ``wavenets.models.Options``.

    Shape:
        (B, in_channels, H, W) -> (B, num_classes). ``features`` returns (B, 8 · width, H / 32, W / 32), or on a group
        ``Levels``, level i of shape (B, 8 · width, H_i / 32, W_i / 32). ``stages`` returns those of strides 4, 8, 16
        and 32, as a detector or a segmenter takes them.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too small or has other channels.

    Example:
        >>> ResNet(num_classes=5).features(torch.randn(2, 3, 64, 96)).shape
        torch.Size([2, 512, 2, 3])
        >>> net = ResNet(num_classes=5, base=2)
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 3, 64, 96))]
        [(2, 512, 2, 3), (2, 512, 1, 2)]
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        width: int | None = None,
        head_channels: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        layers = kit(2, DEFAULTS, options)
        width = narrowed(WIDTH, layers.grid) if width is None else width
        stem = layers.stem(layers.lift(in_channels, width, 7, stride=2), width, layers.max_pool(3, 2, 1))
        body, channels = [], width
        for i, (multiple, blocks) in enumerate(STAGES):
            stage = nn.Sequential()
            for j in range(blocks):
                before, channels, first = channels, width * multiple, i > 0 and j == 0
                extent = layers.extents[i - 1] if first else 1
                stage.append(BasicBlock(layers, before, channels, stride=1 + first, scale_extent=extent))
            body.append(stage)
        declared = [(width * multiple, 4 * 2**i) for i, (multiple, _) in enumerate(STAGES)]
        encoder = Encoder(layers, in_channels, stem, body, *zip(*declared, strict=True))
        last, channels = layers.last(channels, head_channels)
        classifier = layers.per_level(nn.Conv2d(channels, num_classes, 1))
        classifier, readout = layers.finish(classifier, channels, num_classes)
        super().__init__(encoder, nn.Sequential(last, classifier), readout)
