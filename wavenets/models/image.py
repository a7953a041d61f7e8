"""Networks for images, plain and equivariant: a small one, and ResNet-18 (He et al., arXiv 1512.03385)."""

from typing import Any, Unpack

from torch import Tensor, nn

from wavenets.levels import Levels
from wavenets.models.layers import Layers, Options, Published, add, plain_layers, wavelet_layers
from wavenets.models.network import Network

DIGIT_MULTIPLES = (1, 2, 3)  # of the width, convolution by convolution
DIGIT_WIDTH, WAVELET_DIGIT_WIDTH = 56, 40
DIGIT_PUBLISHED = Published(3, (2, 2))

RESNET_STAGES = ((1, 2), (2, 2), (4, 2), (8, 2))  # multiples of the width, blocks
RESNET_WIDTH = 64
RESNET_PUBLISHED = Published(2, (2, 2, 2))


class DigitCNN(Network):
    """A plain CNN of three convolutions for images of digits.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        width: Channels of the first convolution.
        kernel_size: Of the second and third convolution; that of the first is 7.

    Shape:
        (B, in_channels, H, W) -> (B, num_classes), H and W at least ``min_size``.

    Raises:
        ValueError: In ``forward``, if the input is too small or has other channels.

    Example:
        >>> DigitCNN()(torch.randn(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, width: int = DIGIT_WIDTH, kernel_size: int = 3
    ) -> None:
        layers = plain_layers(2, DIGIT_PUBLISHED)
        super().__init__(*_digit_parts(layers, width, kernel_size, num_classes, in_channels), in_channels, ndim=2)


class WaveletDigitCNN(Network):
    """The equivariant twin of ``DigitCNN``, of as many parameters.

    In its published form it lifts to 5 scales, and its second and third convolution span two.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        width: Channels of the first convolution; None is the plain net's parameters.
        kernel_size: Of the second and third convolution; that of the first is 7. For 8 and more orientations kernels
            are best made of splines: ``kernel_size=5, spline_spacing=1.5`` has as many numbers as 3.
        **options: See ``wavenets.models.Options``; the base is √2 by default. With ``rotations=4, num_scales=1`` and
            ``form="shared"`` it is a network on SE(2).

    Shape:
        (B, in_channels, H, W) -> (B, num_classes), H and W at least ``min_size``; ``features`` gives ``Levels``.

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
        width: int | None = None,
        kernel_size: int = 3,
        **options: Unpack[Options],
    ) -> None:
        if options.get("grid") is None and options.get("base") is None:
            options["base"] = 2**0.5
        layers = wavelet_layers(2, DIGIT_PUBLISHED, **options)
        if width is None:
            width = _narrowed(DIGIT_WIDTH if layers.shared else WAVELET_DIGIT_WIDTH, options)
        super().__init__(*_digit_parts(layers, width, kernel_size, num_classes, in_channels), in_channels, ndim=2)


class ResNet(Network):
    """The plain ResNet-18 of He et al. 2015 (arXiv 1512.03385).

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        width: Channels of the first convolution.

    Shape:
        (B, in_channels, H, W) -> (B, num_classes); ``features`` gives (B, 8 · width, H / 32, W / 32).

    Raises:
        ValueError: In ``forward``, if the input has other channels.

    Example:
        >>> ResNet(num_classes=5).features(torch.randn(2, 3, 64, 96)).shape
        torch.Size([2, 512, 2, 3])
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, width: int = RESNET_WIDTH) -> None:
        layers = plain_layers(2, RESNET_PUBLISHED)
        super().__init__(*_resnet_parts(layers, width, num_classes, in_channels), in_channels, ndim=2)


class WaveletResNet(Network):
    """The equivariant twin of ``ResNet``.

    In its published form it lifts to 5 scales, and the first convolution of each stage but the first spans two.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the image.
        width: Channels of the first convolution; None is ResNet-18's 64, with rotations narrower by the square root of
            their number, which keeps the number of parameters.
        **options: See ``wavenets.models.Options``.

    Shape:
        (B, in_channels, H, W) -> (B, num_classes); ``features`` gives ``Levels``, level i of shape
        (B, 8 · width, H_i / 32, W_i / 32), as a detector or a segmenter takes them.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too small or has other channels.

    Example:
        >>> net = WaveletResNet(num_classes=5, num_scales=5)
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 3, 64, 96))]
        [(2, 512, 2, 3), (2, 512, 1, 2)]
    """

    def __init__(
        self, num_classes: int = 1000, in_channels: int = 3, width: int | None = None, **options: Unpack[Options]
    ) -> None:
        layers = wavelet_layers(2, RESNET_PUBLISHED, **options)
        width = _narrowed(RESNET_WIDTH, options) if width is None else width
        super().__init__(*_resnet_parts(layers, width, num_classes, in_channels), in_channels, ndim=2)


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


def _narrowed(width: int, options: Any) -> int:
    """The width that keeps the number of parameters: a kernel over R orientations has R times as many."""
    grid = options.get("grid")
    rotations = grid.rotations if grid else options.get("rotations") or 1
    return round(width / rotations**0.5)


def _digit_parts(
    layers: Layers, width: int, kernel_size: int, num_classes: int, in_channels: int
) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    first, second, third = (width * multiple for multiple in DIGIT_MULTIPLES)
    stem = layers.stem(layers.lift(in_channels, width, 7), width, layers.pool(2))
    body = nn.Sequential(
        layers.block(first, second, kernel_size, scale_extent=layers.extents[0]),
        layers.pool(2),
        layers.block(second, third, kernel_size, scale_extent=layers.extents[1]),
    )
    dense = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(third, 256), nn.ReLU(), nn.Dropout(0.5))
    classifier, readout = layers.finish(layers.per_scale(nn.Linear(256, num_classes)), 256, num_classes)
    return stem, body, nn.Sequential(layers.per_scale(dense), classifier), readout


def _resnet_parts(
    layers: Layers, width: int, num_classes: int, in_channels: int
) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    stem = layers.stem(layers.lift(in_channels, width, 7, stride=2), width, layers.pool(3, 2, 1))
    body, channels = nn.Sequential(), width
    for stage, (multiple, blocks) in enumerate(RESNET_STAGES):
        for i in range(blocks):
            before, channels, first = channels, width * multiple, stage > 0 and i == 0
            extent = layers.extents[stage - 1] if first else 1
            body.append(BasicBlock(layers, before, channels, stride=1 + first, scale_extent=extent))
    classifier = layers.per_scale(nn.Conv2d(channels, num_classes, 1))
    return stem, body, *layers.finish(classifier, channels, num_classes)
