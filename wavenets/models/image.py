"""Networks for images, plain and scale-equivariant: a small one, and ResNet-18 (He et al., arXiv 1512.03385)."""

from fractions import Fraction

from torch import Tensor, nn

from wavenets.grid import ScaleGrid
from wavenets.models.layers import Layers, Network, add, plain_layers, wavelet_layers
from wavenets.nn import LiftingConv2d
from wavenets.nn.levels import Levels, Readout

Base = float | str | Fraction

DIGIT_MULTIPLES = (1, 2, 3)  # of the width, convolution by convolution
DIGIT_WIDTH, WAVELET_DIGIT_WIDTH = 56, 40
RESNET_STAGES = ((64, 2), (128, 2), (256, 2), (512, 2))  # channels, blocks


class DigitCNN(Network):
    """A plain CNN of three convolutions for images of digits.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.

    Shape:
        (B, in_channels, H, W) -> (B, num_classes), H and W at least ``min_size``.

    Raises:
        ValueError: In ``forward``, if the input is too small or has other channels.

    Example:
        >>> DigitCNN()(torch.randn(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        layers, width = plain_layers(ndim=2), DIGIT_WIDTH
        stem = nn.Sequential(layers.block(in_channels, width, 7), layers.pool(2))
        body = _digit_body(layers, width, scale_extent=1)
        super().__init__(stem, body, _digit_classifier(layers, width, num_classes), nn.Identity(), in_channels, ndim=2)


class WaveletDigitCNN(Network):
    """The scale-equivariant twin of ``DigitCNN``, of as many parameters.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        base: Ratio of neighbouring scales, any real number above 1.
        num_scales: Number of scales to lift to; two convolutions consume one each.
        readout: "finest", "max", "mean" or "logsumexp" over the scales that are left.

    Shape:
        (B, in_channels, H, W) -> (B, num_classes); ``features`` gives the list of num_scales - 2 levels.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too small or has other channels.

    Example:
        >>> net = WaveletDigitCNN(num_scales=5)
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 1, 28, 28))]
        [(2, 120, 7, 7), (2, 120, 5, 5), (2, 120, 3, 3)]
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        base: Base = 2**0.5,
        num_scales: int = 5,
        readout: Readout = "max",
    ) -> None:
        grid, width = ScaleGrid(2, base), WAVELET_DIGIT_WIDTH
        layers = wavelet_layers(grid, readout)
        stem = nn.Sequential(
            LiftingConv2d(in_channels, width, 7, num_scales, bias=False, grid=grid),
            layers.norm(width),
            layers.per_scale(nn.ReLU()),
            layers.pool(2),
        )
        body = _digit_body(layers, width, scale_extent=2)
        super().__init__(stem, body, _digit_classifier(layers, width, num_classes), layers.readout, in_channels, ndim=2)


class ResNet(Network):
    """The plain ResNet-18 of He et al. 2015 (arXiv 1512.03385).

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.

    Shape:
        (B, in_channels, H, W) -> (B, num_classes); ``features`` gives (B, 512, H / 32, W / 32).

    Raises:
        ValueError: In ``forward``, if the input has other channels.

    Example:
        >>> ResNet(num_classes=5).features(torch.randn(2, 3, 64, 96)).shape
        torch.Size([2, 512, 2, 3])
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        layers, width = plain_layers(ndim=2), RESNET_STAGES[0][0]
        stem = nn.Sequential(layers.block(in_channels, width, 7, stride=2), layers.pool(3, 2, 1))
        body, channels = _resnet_body(layers, width)
        super().__init__(stem, body, layers.conv(channels, num_classes, 1, bias=True), layers.readout, in_channels, 2)


class WaveletResNet(Network):
    """The scale-equivariant twin of ``ResNet``, with ResNet-18's widths.

    The first convolution of the second, third and fourth stage spans two neighbouring scales, so three are consumed.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        base: Ratio of neighbouring scales, any real number above 1.
        num_scales: Number of scales to lift to, at least 4.
        readout: "finest", "max", "mean" or "logsumexp" over the scales that are left.

    Shape:
        (B, in_channels, H, W) -> (B, num_classes); ``features`` gives the list of num_scales - 3 levels, level i of
        shape (B, 512, H_i / 32, W_i / 32), as a detector or a segmenter takes them.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too small or has other channels.

    Example:
        >>> net = WaveletResNet(num_classes=5, num_scales=5)
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 3, 64, 96))]
        [(2, 512, 2, 3), (2, 512, 1, 2)]
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        base: Base = 2,
        num_scales: int = 5,
        readout: Readout = "max",
    ) -> None:
        grid, width = ScaleGrid(2, base), RESNET_STAGES[0][0]
        layers = wavelet_layers(grid, readout)
        stem = nn.Sequential(
            LiftingConv2d(in_channels, width, 7, num_scales, stride=2, bias=False, grid=grid),
            layers.norm(width),
            layers.per_scale(nn.ReLU()),
            layers.pool(3, 2, 1),
        )
        body, channels = _resnet_body(layers, width)
        super().__init__(stem, body, layers.conv(channels, num_classes, 1, bias=True), layers.readout, in_channels, 2)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution of kernel size 1 where the shape changes."""

    def __init__(
        self, layers: Layers, in_channels: int, out_channels: int, stride: int = 1, scale_extent: int = 1
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            layers.block(in_channels, out_channels, 3, scale_extent=scale_extent, stride=stride),
            layers.conv(out_channels, out_channels, 3),
            layers.norm(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            conv = layers.conv(in_channels, out_channels, 1, stride=stride)
            self.shortcut = nn.Sequential(conv, layers.norm(out_channels))
        self.relu = layers.per_scale(nn.ReLU())

    def forward(self, input: Tensor | Levels) -> Tensor | Levels:
        return self.relu(add(self.branch(input), self.shortcut(input)))


def _digit_body(layers: Layers, width: int, scale_extent: int) -> nn.Sequential:
    first, second, third = (width * multiple for multiple in DIGIT_MULTIPLES)
    return nn.Sequential(
        layers.block(first, second, 3, scale_extent=scale_extent),
        layers.pool(2),
        layers.block(second, third, 3, scale_extent=scale_extent),
    )


def _digit_classifier(layers: Layers, width: int, num_classes: int) -> nn.Module:
    dense = nn.Sequential(
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        *(nn.Linear(width * DIGIT_MULTIPLES[-1], 256), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(256, num_classes),
    )
    return layers.per_scale(dense)


def _resnet_body(layers: Layers, width: int) -> tuple[nn.Sequential, int]:
    body, in_channels = nn.Sequential(), width
    for stage, (channels, blocks) in enumerate(RESNET_STAGES):
        for i in range(blocks):
            first = stage > 0 and i == 0
            body.append(BasicBlock(layers, in_channels, channels, stride=1 + first, scale_extent=1 + first))
            in_channels = channels
    return body, in_channels
