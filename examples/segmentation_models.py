"""A U-Net of segmentation_models_pytorch, made exact under turns and reflections.

The network itself does not change: it sees the image in all eight poses, and the mean
of its maps, each turned back, is turned and mirrored as the image is, to the last bit.
Sizes are those of the network: multiples of 4, or of 32 with the package.

    python examples/segmentation_models.py
"""

import itertools

import torch
from torch import Tensor, nn

from wavenets import Grid
from wavenets.nn import MapReadout, PerLevel, Views
from wavenets.testing import map_error


def block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two convolutions, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for i in range(2):
        before = in_channels if i == 0 else out_channels
        conv = nn.Conv2d(before, out_channels, 3, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """An encoder: features at strides 1, 2 and 4, with the input first."""

    out_channels = 3, 8, 16, 32

    def __init__(self) -> None:
        super().__init__()
        pairs = itertools.pairwise(self.out_channels)
        self.blocks = nn.ModuleList(block(*pair) for pair in pairs)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x]
        for i, layers in enumerate(self.blocks):
            x = layers(nn.functional.max_pool2d(x, 2) if i else x)
            features.append(x)
        return features


class Decoder(nn.Module):
    """A decoder from the last features to the first, which joins each of them."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        pairs = itertools.pairwise(channels)
        self.blocks = nn.ModuleList(block(a + b, b) for a, b in pairs)

    def forward(self, features: list[Tensor]) -> Tensor:
        *shortcuts, x = features[1:]
        for layers in self.blocks:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = layers(torch.cat([x, shortcuts.pop()], 1))
        return x


class Unet(nn.Module):
    """Encoder, decoder and head, as segmentation_models_pytorch has them."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder(self.encoder.out_channels[:0:-1])
        self.segmentation_head = nn.Conv2d(8, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.segmentation_head(self.decoder(self.encoder(x)))
        return y


def network(classes: int = 2) -> nn.Module:
    """Return the network of the package if it is installed, else the small one."""
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        return Unet(classes)
    unet: nn.Module = smp.Unet("resnet18", encoder_weights=None, classes=classes)
    return unet


def equivariant_unet(unet: nn.Module, grid: Grid) -> nn.Sequential:
    """Return the same network, applied to every pose."""
    return nn.Sequential(Views(1, grid), PerLevel(unet), MapReadout("mean"))


if __name__ == "__main__":
    grid, image = Grid(2, rotations=4, mirrored=True), torch.randn(1, 3, 64, 96)
    unet = network()
    for name, net in (("plain", unet), ("in all poses", equivariant_unet(unet, grid))):
        errors = [
            map_error(net, image, grid, turns=turns, mirror=mirror)
            for mirror in (False, True)
            for turns in range(4)
            if turns or mirror
        ]
        print(f"{name}: relative error of the map at most {max(errors):.3g}")
