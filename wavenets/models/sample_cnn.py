"""The 3^9 SampleCNN of Lee et al. (arXiv 1703.01789) and its wavelet form of Romero et al. (arXiv 2006.05259)."""

from torch import nn

from wavenets.grid import ScaleGrid
from wavenets.models.layers import Layers, Network, num_scales, plain_layers, wavelet_layers
from wavenets.nn import LiftingConv1d
from wavenets.nn.levels import Readout

WIDTH, WAVELET_WIDTH = 128, 90
MULTIPLES = (1, 1, 2, 2, 2, 2, 2, 2, 4, 4)  # of the width, convolution by convolution, after the first
SPANNING = (0, 3, 6, 9)  # those of them that span three scales


class SampleCNN(Network):
    """The plain 3^9 SampleCNN of Lee et al. 2017 (arXiv 1703.01789), made for 59,049 samples.

    Args:
        num_classes: Number of logits (the tags of MagnaTagATune by default).

    Shape:
        (B, 1, T) -> (B, num_classes), T at least ``min_size``.

    Raises:
        ValueError: In ``forward``, if the input is too short or not (B, 1, T).

    Example:
        >>> SampleCNN().min_size
        59047
    """

    def __init__(self, num_classes: int = 50) -> None:
        layers = plain_layers()
        stem = layers.block(1, WIDTH, 3, stride=3, bias=True)
        body = _body(layers, WIDTH, bias=True, ceil_mode=False)
        super().__init__(stem, body, _classifier(layers, WIDTH, num_classes), layers.readout)


class WaveletSampleCNN(Network):
    """The wavelet 3^9 SampleCNN of Romero et al. 2020 (arXiv 2006.05259).

    Args:
        num_classes: Number of logits (the tags of MagnaTagATune by default).
        out_scales: Scales left at the readout; each one above 1 lifts one scale more.
        readout: "finest", "max", "mean" or "logsumexp" over these scales.
        grid: The scales; None is the dyadic grid.

    Shape:
        (B, 1, T) -> (B, num_classes), T at least ``min_size``; ``features`` gives the list of levels.

    Raises:
        ValueError: If there is no such readout; in ``forward`` if the input is too short or not (B, 1, T).

    Example:
        >>> WaveletSampleCNN().eval()(torch.randn(2, 1, 59049)).shape
        torch.Size([2, 50])
    """

    def __init__(
        self,
        num_classes: int = 50,
        out_scales: int = 1,
        readout: Readout = "max",
        grid: ScaleGrid | None = None,
    ) -> None:
        grid = grid or ScaleGrid(1)
        layers, width = wavelet_layers(grid, readout), WAVELET_WIDTH
        stem = nn.Sequential(
            LiftingConv1d(1, width, 3, num_scales(out_scales), stride=3, bias=False, grid=grid),
            layers.norm(width),
            layers.per_scale(nn.ReLU()),
        )
        # Rounding up keeps a sample on the coarse levels, which have come to their end before the last convolution.
        body = _body(layers, width, bias=False, ceil_mode=True)
        super().__init__(stem, body, _classifier(layers, width, num_classes), layers.readout)


def _body(layers: Layers, width: int, bias: bool, ceil_mode: bool) -> nn.Sequential:
    body, in_channels = nn.Sequential(), width
    for i, multiple in enumerate(MULTIPLES):
        channels, extent = width * multiple, 3 if i in SPANNING else 1
        body.append(layers.block(in_channels, channels, 3, scale_extent=extent, bias=bias))
        if i < len(MULTIPLES) - 1:
            body.append(layers.pool(3, ceil_mode=ceil_mode))
        in_channels = channels
    return body


def _classifier(layers: Layers, width: int, num_classes: int) -> nn.Sequential:
    dropout = layers.per_scale(nn.Dropout(0.5))
    return nn.Sequential(dropout, layers.conv(width * MULTIPLES[-1], num_classes, 1, bias=True))
