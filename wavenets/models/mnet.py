"""The M nets of Dai et al. (arXiv 1610.00087) and their wavelet form of Romero et al. (arXiv 2006.05259)."""

from typing import NamedTuple, Unpack

from torch import nn

from wavenets.models.blocks import ResidualBlock
from wavenets.models.kit import kit
from wavenets.models.network import Encoder, Network
from wavenets.models.options import Defaults, Options


class Depth(NamedTuple):
    """One net of the family; the width doubles from stage to stage."""

    width: int
    wavelet_width: int
    stages: tuple[int, ...]  # convolutions (residual: blocks of two) in each
    residual: bool = False
    classifier_extent: int = 1
    spare: int = 0

    @property
    def defaults(self) -> Defaults:
        """The defaults: the first convolution of a stage spans three scales. Of nine, W-M3 keeps five, others one."""
        return Defaults(1, (3,) * len(self.stages), self.classifier_extent, self.spare)


DEPTHS = {
    3: Depth(256, 150, (1,), classifier_extent=3, spare=4),
    5: Depth(128, 74, (1, 1, 1), classifier_extent=3),
    11: Depth(64, 51, (2, 2, 3, 2)),
    18: Depth(64, 57, (4, 4, 4, 4)),
    34: Depth(48, 45, (3, 4, 6, 3), residual=True),
}


class MNet(Network):
    """The CNN M3, M5, M11, M18 or M34-res of Dai et al. 2016 (arXiv 1610.00087).

    With a group it is the wavelet network W-M3, W-M5, W-M11, W-M18 or W-M34-res of Romero et al. 2020
    (arXiv 2006.05259). In the published form that lifts to 9 scales, of which every stage consumes two: one is left at
    the readout. (W-M3 leaves four more than ``out_scales``.)

    Args:
        depth: 3, 5, 11, 18 or 34.
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        head_channels: Channels of a last layer of kernel size 1 before the classifier; None leaves it out.
        **options: See ``wavenets.models.Options``. ``scale_extent`` is that of the first convolution of each stage.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``. On a group ``features`` returns ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> MNet(11)(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
        >>> net = MNet(5, base=2, form="shared", out_scales=3)
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 1, 22050))]
        [(2, 512, 86), (2, 512, 43), (2, 512, 21)]
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 1,
        *,
        normalize: bool = False,
        head_channels: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {', '.join(map(str, DEPTHS))}, got {depth}")
        net = DEPTHS[depth]
        layers = kit(1, net.defaults, options)
        if layers.shared:
            width, lift = net.width, layers.lift(in_channels, net.width, 80, stride=4)
        else:  # sampled finely, and pooled where the plain net strides
            width, lift = net.wavelet_width, layers.lift(in_channels, net.wavelet_width, 79, max_pool=4)
        stem = layers.stem(lift, width, layers.max_pool(4))
        body, channels = [], width
        for i, (count, extent) in enumerate(zip(net.stages, layers.extents, strict=True)):
            stage = nn.Sequential() if i == 0 else nn.Sequential(layers.max_pool(4))
            for j in range(count):
                before, channels, spanned = channels, width * 2**i, 1 if j else extent
                if net.residual:
                    stage.append(ResidualBlock(layers, before, channels, spanned))
                else:
                    stage.append(layers.block(before, channels, 3, scale_extent=spanned))
            body.append(stage)
        declared = [(width * 2**i, 16 * 4**i) for i in range(len(body))]
        encoder = Encoder(layers, in_channels, stem, body, *zip(*declared, strict=True))
        last, channels = layers.last(channels, head_channels)
        classifier = layers.conv(channels, num_classes, 1, scale_extent=layers.classifier_extent)
        classifier, readout = layers.finish(classifier, channels, num_classes)
        super().__init__(encoder, nn.Sequential(last, classifier), readout, normalize=normalize)
