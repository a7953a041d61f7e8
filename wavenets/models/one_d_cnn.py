"""The 1DCNN of Abdoli et al. (arXiv 1904.08990) and its wavelet form of Romero et al. (arXiv 2006.05259)."""

from torch import nn

from wavenets.grid import ScaleGrid
from wavenets.models.layers import Layers, Network, num_scales, plain_layers, wavelet_layers
from wavenets.nn import LiftingConv1d
from wavenets.nn.levels import Readout

# (kernel size, max-pool or None) of the convolutions, all of stride 2; the width doubles with each. The wavelet form
# takes the odd kernel below.
CONVOLUTIONS = ((64, 8), (32, 8), (16, None), (8, None), (4, 4))
WIDTH, WAVELET_WIDTH = 16, 12
POSITIONS = 6  # what is left of the time axis before the dense layers, whatever the input's length


class OneDCNN(Network):
    """The plain 1DCNN of Abdoli et al. 2019 (arXiv 1904.08990).

    Args:
        num_classes: Number of logits.

    Shape:
        (B, 1, T) -> (B, num_classes), T at least ``min_size``.

    Raises:
        ValueError: In ``forward``, if the input is too short or not (B, 1, T).

    Example:
        >>> OneDCNN()(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10) -> None:
        layers = plain_layers()
        kernel_size, window = CONVOLUTIONS[0]
        stem = nn.Sequential(layers.block(1, WIDTH, kernel_size, stride=2), layers.pool(window))
        super().__init__(stem, _body(layers, WIDTH), _dense(layers, WIDTH, num_classes), nn.Identity())


class WaveletOneDCNN(Network):
    """The wavelet 1DCNN of Romero et al. 2020 (arXiv 2006.05259).

    Args:
        num_classes: Number of logits.
        out_scales: Scales left at the readout; each one above 1 lifts one scale more.
        readout: "finest", "max", "mean" or "logsumexp" over these scales.
        grid: The scales; None is the dyadic grid.

    Shape:
        (B, 1, T) -> (B, num_classes), T at least ``min_size``; ``features`` gives the list of levels.

    Raises:
        ValueError: If there is no such readout; in ``forward`` if the input is too short or not (B, 1, T).

    Example:
        >>> WaveletOneDCNN()(torch.randn(2, 1, 22050)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        num_classes: int = 10,
        out_scales: int = 1,
        readout: Readout = "max",
        grid: ScaleGrid | None = None,
    ) -> None:
        grid = grid or ScaleGrid(1)
        layers, width = wavelet_layers(grid, readout), WAVELET_WIDTH
        kernel_size, window = CONVOLUTIONS[0]
        stem = nn.Sequential(
            LiftingConv1d(1, width, kernel_size - 1, num_scales(out_scales), stride=2, bias=False, grid=grid),
            layers.norm(width),
            layers.per_scale(nn.ReLU()),
            layers.pool(window),
        )
        super().__init__(stem, _body(layers, width), _dense(layers, width, num_classes), layers.readout)


def _body(layers: Layers, width: int) -> nn.Sequential:
    body = nn.Sequential()
    for i, (kernel_size, window) in enumerate(CONVOLUTIONS[1:]):
        channels = width * 2**i
        body.append(layers.block(channels, 2 * channels, kernel_size, scale_extent=3, stride=2))
        if window:
            body.append(layers.pool(window))
    return body


def _dense(layers: Layers, width: int, num_classes: int) -> nn.Module:
    dense = nn.Sequential(
        nn.AdaptiveAvgPool1d(POSITIONS),
        nn.Flatten(),
        *(nn.Linear(16 * width * POSITIONS, 8 * width), nn.ReLU(), nn.Dropout(0.25)),
        *(nn.Linear(8 * width, 4 * width), nn.ReLU(), nn.Dropout(0.25)),
        nn.Linear(4 * width, num_classes),
    )
    return layers.per_scale(dense)
