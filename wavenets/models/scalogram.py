"""A network on the envelopes of wavelets: a learned scalogram, and group convolutions over it."""

import math

import torch
from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.models.layers import Published, wavelet_layers
from wavenets.models.network import Network
from wavenets.nn import LiftingConv1d

PUBLISHED = Published(3, (3, 2, 2))
STAGES = ((1, 4), (2, 2), (3, 1))  # multiple of the width, pooling behind it
SCALES = 7
HIGHEST = 0.42  # frequency in cycles per sample, below Nyquist's 0.5, where the wavelets of the finest scale begin
FLOOR = 0.03  # added to an envelope before its logarithm is taken: 30 dB below the signal, whose root mean square is 1


class ScalogramNet(Network):
    """A network on the logarithm of the envelopes of learned wavelets, equivariant to rescaling.

    Pairs of wavelets begin as Gabor's, in quadrature, spread over one step of the grid, which has them at all scales.
    The modulus of a pair, averaged over some samples, is the scalogram, as J. Andén & S. Mallat (Deep scattering
    spectrum, IEEE Transactions on Signal Processing 62, 2014) have it. Its logarithm goes through three convolutions on
    the group. All of it, the logarithm too, does the same at every scale, so levels are equivariant exactly, from the
    normalised signal on.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        width: Channels of the first convolution behind the scalogram.
        filters: Pairs of wavelets at each scale.
        kernel_size: Of the wavelets, in samples, odd.
        pool: Samples of each level that are averaged to one of its envelope.
        base: Ratio of neighbouring scales; 2 by default.
        grid: The group, in place of ``base``.
        num_scales: Number of scales, 7 by default. With 1 it is a plain network; give it a ``span``, and more filters
            to cover that.
        out_scales: Number of scales that are left at the readout, in place of ``num_scales``.
        span: Octaves that the wavelets of a scale cover to begin with; None is one step of the grid.
        readout: "finest", "mean", "max", "logsumexp" (``Readout``) or "gated" (``GatedReadout``).
        dropout: Scale dropout, see ``Readout``. Each scale learns to tell classes apart, so that those that are
            left do so when a signal is played so slowly that the finest are silent.
        channel_dropout: Probability with which features behind the convolutions are dropped, channel by channel.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``; ``features`` gives ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> net = ScalogramNet(num_scales=7)
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 1, 8000))]
        [(2, 288, 31), (2, 288, 15), (2, 288, 7)]
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        normalize: bool = True,
        width: int = 96,
        filters: int = 12,
        kernel_size: int = 65,
        pool: int = 32,
        base: float | str | None = None,
        grid: Grid | None = None,
        num_scales: int | None = None,
        out_scales: int | None = None,
        span: float | None = None,
        readout: str = "mean",
        dropout: float = 0.0,
        channel_dropout: float = 0.3,
    ) -> None:
        if num_scales is None and out_scales is None:
            num_scales = SCALES
        group = {"base": base, "grid": grid, "num_scales": num_scales, "out_scales": out_scales}
        spanned = 1 if num_scales == 1 else None
        layers = wavelet_layers(1, PUBLISHED, **group, scale_extent=spanned, readout=readout, dropout=dropout)
        lift = layers.lift(in_channels, 2 * filters, kernel_size)
        if not isinstance(lift, LiftingConv1d):  # but of the views, as one of an even size is
            raise ValueError(f"kernel_size must be odd to keep the wavelets' centre, got {kernel_size}")
        octaves = math.log2(lift.grid.base) if span is None else span
        with torch.no_grad():
            lift.weight.copy_(gabor(filters, kernel_size, octaves)[:, None])
        envelope = nn.Sequential(Modulus(), nn.AvgPool1d(pool, ceil_mode=True), Logarithm())
        stem = nn.Sequential(lift, layers.per_scale(envelope), layers.norm(filters))
        body, channels = nn.Sequential(), filters
        for (multiple, pooling), extent in zip(STAGES, layers.extents, strict=True):
            body.append(layers.block(channels, width * multiple, 3, scale_extent=extent))
            channels = width * multiple
            if pooling > 1:
                body.append(layers.pool(pooling))
        body.append(layers.per_scale(nn.Dropout1d(channel_dropout)))
        classifier = layers.per_scale(nn.Conv1d(channels, num_classes, 1))
        super().__init__(stem, body, *layers.finish(classifier, channels, num_classes), in_channels, 1, normalize)


class Modulus(nn.Module):
    """The moduli of (B, 2 · C, L), whose halves are the real and the imaginary parts, (B, C, L)."""

    def forward(self, input: Tensor) -> Tensor:
        precise = input.float() if input.dtype == torch.float16 else input  # where 1e-12 is 0
        real, imaginary = precise.chunk(2, 1)
        return (real.square() + imaginary.square() + 1e-12).sqrt().to(input.dtype)  # with a gradient at 0


class Logarithm(nn.Module):
    """The logarithm of envelopes, which hears ratios of loudness, above a floor."""

    def forward(self, input: Tensor) -> Tensor:
        return (input + FLOOR).log()


def gabor(filters: int, kernel_size: int, octaves: float) -> Tensor:
    """Gabor's wavelets, pairs of norm 1: cosines and then sines under a Gaussian that ends with the kernel.

    Args:
        filters: Number of frequencies, spread geometrically.
        kernel_size: In samples.
        octaves: That the frequencies cover, downwards.

    Returns:
        (2 · filters, kernel_size).

    Example:
        >>> gabor(12, 65, octaves=1.0).norm(dim=1).allclose(torch.tensor(2**-0.5), atol=0.01)
        True
    """
    time = torch.arange(kernel_size) - kernel_size // 2
    frequency = HIGHEST * 2 ** (-octaves * (torch.arange(filters) + 0.5) / filters)
    envelope = torch.exp(-0.5 * (time / (kernel_size / 6.5)) ** 2)
    phase = 2 * math.pi * frequency[:, None] * time
    return torch.cat([phase.cos(), phase.sin()]) * envelope / envelope.norm()
