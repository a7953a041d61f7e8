"""The M nets of Dai et al. (arXiv 1610.00087) and their wavelet form of Romero et al. (arXiv 2006.05259)."""

from typing import NamedTuple, Unpack

from torch import nn

from wavenets.models.layers import Layers, Options, Published, ResidualBlock, plain_layers, wavelet_layers
from wavenets.models.network import Network


class Depth(NamedTuple):
    """One net of the family; the width doubles from stage to stage."""

    width: int
    wavelet_width: int
    stages: tuple[int, ...]  # convolutions (residual: blocks of two) in each
    residual: bool = False
    classifier_extent: int = 1
    spare: int = 0

    @property
    def published(self) -> Published:
        """The first convolution of each stage spans three scales; of nine in all W-M3 leaves five, the others one."""
        return Published(1, (3,) * len(self.stages), self.classifier_extent, self.spare)


DEPTHS = {
    3: Depth(256, 150, (1,), classifier_extent=3, spare=4),
    5: Depth(128, 74, (1, 1, 1), classifier_extent=3),
    11: Depth(64, 51, (2, 2, 3, 2)),
    18: Depth(64, 57, (4, 4, 4, 4)),
    34: Depth(48, 45, (3, 4, 6, 3), residual=True),
}


class MNet(Network):
    """The plain CNN M3, M5, M11, M18 or M34-res of Dai et al. 2016 (arXiv 1610.00087).

    Args:
        depth: 3, 5, 11, 18 or 34.
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``.

    Raises:
        ValueError: If there is no such depth; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> MNet(11)(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
    """

    def __init__(self, depth: int, num_classes: int = 10, in_channels: int = 1, normalize: bool = False) -> None:
        net = _depth(depth)
        layers = plain_layers(1, net.published)
        super().__init__(*_parts(layers, net, num_classes, in_channels), in_channels, 1, normalize)


class WaveletMNet(Network):
    """The wavelet network W-M3, W-M5, W-M11, W-M18 or W-M34-res of Romero et al. 2020 (arXiv 2006.05259).

    In the published form it lifts to 9 scales, of which every stage consumes two: one is left at the readout. (W-M3
    leaves four more than ``out_scales``.)

    Args:
        depth: 3, 5, 11, 18 or 34.
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        **options: See ``wavenets.models.Options``. ``scale_extent`` is that of each stage's first convolution.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``; ``features`` gives ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> net = WaveletMNet(5, form="shared", out_scales=3, readout="mean")
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 1, 22050))]
        [(2, 512, 86), (2, 512, 43), (2, 512, 21)]
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 1,
        normalize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        net = _depth(depth)
        layers = wavelet_layers(1, net.published, **options)
        super().__init__(*_parts(layers, net, num_classes, in_channels), in_channels, 1, normalize)


def _depth(depth: int) -> Depth:
    if depth not in DEPTHS:
        raise ValueError(f"depth must be one of {', '.join(map(str, DEPTHS))}, got {depth}")
    return DEPTHS[depth]


def _parts(
    layers: Layers, net: Depth, num_classes: int, in_channels: int
) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    """Stem, body (the stages, with a max-pool between two), classifier and readout."""
    if layers.shared:
        width, lift = net.width, layers.lift(in_channels, net.width, 80, stride=4)
    else:  # sampled finely, and pooled where the plain net strides
        width, lift = net.wavelet_width, layers.lift(in_channels, net.wavelet_width, 79, max_pool=4)
    stem = layers.stem(lift, width, layers.pool(4))
    body, channels = nn.Sequential(), width
    for stage, (count, extent) in enumerate(zip(net.stages, layers.extents, strict=True)):
        if stage:
            body.append(layers.pool(4))
        for i in range(count):
            before, channels, spanned = channels, width * 2**stage, 1 if i else extent
            if net.residual:
                body.append(ResidualBlock(layers, before, channels, spanned))
            else:
                body.append(layers.block(before, channels, 3, scale_extent=spanned))
    classifier = layers.conv(channels, num_classes, 1, scale_extent=layers.classifier_extent)
    return stem, body, *layers.finish(classifier, channels, num_classes)
