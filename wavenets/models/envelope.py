"""The M nets on envelopes: for sounds whose rhythm is rescaled while what rings in them is not."""

from typing import Unpack

from torch import nn

from wavenets.models.layers import Options, plain_conv
from wavenets.models.mnet import MNet, WaveletMNet
from wavenets.models.network import Network


class EnvelopeMNet(Network):
    """An M net, plain or in a wavelet form, on the envelopes of learned bands.

    A shaft that turns faster has its impacts closer together, but each excites the same resonance. So a plain front end
    finds the bands, rectifies and pools them, as an envelope spectrum does (R. B. Randall & J. Antoni, Rolling element
    bearing diagnostics, Mechanical Systems and Signal Processing 25, 2011), and the group acts on the envelopes alone:
    from there on features are equivariant exactly.

    Args:
        depth: 3, 5, 11, 18 or 34, of the M net.
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        bands: Channels of the front end.
        kernel_size: Of the front end, in samples.
        pool: Samples that are averaged to one of an envelope.
        **options: See ``wavenets.models.Options``; without a ``form`` it is the plain M net.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> EnvelopeMNet(5, num_classes=7, form="shared", num_scales=3)(torch.randn(2, 1, 32768)).shape
        torch.Size([2, 7])
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 1,
        normalize: bool = False,
        bands: int = 16,
        kernel_size: int = 63,
        pool: int = 16,
        **options: Unpack[Options],
    ) -> None:
        plain = "form" not in options
        if plain and options:
            raise ValueError(f"{', '.join(options)}: these are options of a wavelet form, so give a form as well")
        net = MNet(depth, num_classes, bands) if plain else WaveletMNet(depth, num_classes, bands, **options)
        front = nn.Sequential(
            plain_conv(1, in_channels, bands, kernel_size, 1, bias=False),
            nn.BatchNorm1d(bands),
            nn.ReLU(),
            nn.AvgPool1d(pool),
        )
        stem = nn.Sequential(front, net.stem)
        super().__init__(stem, net.body, net.classifier, net.readout, in_channels, 1, normalize)
