"""The M nets of Dai et al. (arXiv 1610.00087) and their wavelet form of Romero et al. (arXiv 2006.05259)."""

from typing import NamedTuple

from torch import nn

from wavenets.grid import ScaleGrid
from wavenets.models.layers import Layers, Network, ResidualBlock, num_scales, plain_layers, wavelet_layers
from wavenets.nn import LiftingConv1d
from wavenets.nn.levels import Readout


class Depth(NamedTuple):
    """One net of the family; the width doubles from stage to stage."""

    width: int
    wavelet_width: int
    stages: tuple[int, ...]  # convolutions (residual: blocks of two) in each
    residual: bool = False
    classifier_extent: int = 1


DEPTHS = {
    3: Depth(256, 150, (1,), classifier_extent=3),
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

    Shape:
        (B, 1, T) -> (B, num_classes), T at least ``min_size``.

    Raises:
        ValueError: If there is no such depth; in ``forward`` if the input is too short or not (B, 1, T).

    Example:
        >>> MNet(11)(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
    """

    def __init__(self, depth: int, num_classes: int = 10) -> None:
        net, layers = _depth(depth), plain_layers()
        stem = nn.Sequential(layers.block(1, net.width, 80, stride=4), layers.pool(4))
        body, channels = _stages(layers, net, net.width)
        super().__init__(stem, body, layers.conv(channels, num_classes, 1), layers.readout)


class WaveletMNet(Network):
    """The wavelet network W-M3, W-M5, W-M11, W-M18 or W-M34-res of Romero et al. 2020 (arXiv 2006.05259).

    It lifts to 9 scales, of which every stage consumes two: one is left at the readout (W-M3: five).

    Args:
        depth: 3, 5, 11, 18 or 34.
        num_classes: Number of logits.
        out_scales: Scales left at the readout (W-M3: four more). Each one above 1 lifts one scale more; with readout
            "max" the output is then invariant to rescaling, but for the scales that enter and leave at the two ends.
        readout: "finest", "max", "mean" or "logsumexp" over these scales.
        grid: The scales; None is the dyadic grid.

    Shape:
        (B, 1, T) -> (B, num_classes), T at least ``min_size``; ``features`` gives the list of levels.

    Raises:
        ValueError: If there is no such depth or readout; in ``forward`` if the input is too short or not (B, 1, T).

    Example:
        >>> net = WaveletMNet(5, out_scales=3)
        >>> net(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        out_scales: int = 1,
        readout: Readout = "max",
        grid: ScaleGrid | None = None,
    ) -> None:
        net, grid = _depth(depth), grid or ScaleGrid(1)
        layers, width = wavelet_layers(grid, readout), net.wavelet_width
        stem = nn.Sequential(
            LiftingConv1d(1, width, 79, num_scales(out_scales), bias=False, grid=grid, max_pool=4),
            layers.norm(width),
            layers.per_scale(nn.ReLU()),
            layers.pool(4),
        )
        body, channels = _stages(layers, net, width)
        classifier = layers.conv(channels, num_classes, 1, scale_extent=net.classifier_extent)
        super().__init__(stem, body, classifier, layers.readout)


def _depth(depth: int) -> Depth:
    if depth not in DEPTHS:
        raise ValueError(f"depth must be one of {', '.join(map(str, DEPTHS))}, got {depth}")
    return DEPTHS[depth]


def _stages(layers: Layers, net: Depth, width: int) -> tuple[nn.Sequential, int]:
    """The stages, with a max-pool between two; only the first convolution of each spans neighbouring scales."""
    body, in_channels = nn.Sequential(), width
    for stage, count in enumerate(net.stages):
        if stage:
            body.append(layers.pool(4))
        channels = width * 2**stage
        for i in range(count):
            extent = 1 if i else 3
            if net.residual:
                body.append(ResidualBlock(layers, in_channels, channels, extent))
            else:
                body.append(layers.block(in_channels, channels, 3, scale_extent=extent))
            in_channels = channels
    return body, in_channels
