"""A network on the envelopes of wavelets: a learned scalogram, and group convolutions over it."""

import math
from typing import Unpack

import torch
from torch import Tensor, nn

from wavenets.models.kit import kit
from wavenets.models.network import Encoder, Network
from wavenets.models.options import Defaults, Options

DEFAULTS = Defaults(3, (3, 2, 2), readout="mean")
STAGES = ((1, 1), (2, 4), (3, 2))  # multiple of the width, pooling before it
PLAIN_SPAN = 7.0  # octaves, those of the default group
HIGHEST = 0.42  # frequency in cycles per sample, below Nyquist's 0.5, where the wavelets of the finest scale begin
FLOOR = 0.03  # added to an envelope before its logarithm is taken: 30 dB below the signal, whose root mean square is 1


class ScalogramNet(Network):
    """A network on the logarithm of the envelopes of learned wavelets; with a group equivariant to rescaling.

    The wavelets are initialised as pairs of Gabor wavelets in quadrature. Their frequencies cover one step of the grid,
    which repeats them at all scales. The modulus of a pair, averaged over some samples, is the scalogram, as in
    J. Andén & S. Mallat (Deep scattering spectrum, IEEE Transactions on Signal Processing 62, 2014). Three convolutions
    on the group follow its logarithm. Every step is the same at every scale, including the logarithm. So the levels are
    exactly equivariant, from the normalised signal on. Without a group wavelets of all frequencies act on the signal.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the signal.
        normalize: If True, each signal is divided by its root mean square first.
        width: Channels of the first convolution after the scalogram.
        filters: Pairs of wavelets at each scale.
        kernel_size: Length of the wavelets in samples, odd.
        pool: Samples of each level that are averaged to one of its envelope.
        span: Octaves that the wavelets of a scale cover at initialisation; None is one step of the grid, and without a
            group 7 octaves, which need more filters.
        channel_dropout: Probability with which features after the convolutions are dropped, channel by channel.
        head_channels: Channels of a last layer of kernel size 1 before the classifier; None leaves it out.
        **options: See ``wavenets.models.Options``. By default there are 7 scales, of which the convolutions
            consume four, and the mean over the others is read out. ``dropout`` makes each scale learn to tell
            classes apart, so that those that are left do so when a signal is played so slowly that the finest are
            silent.

    Shape:
        (B, in_channels, L) -> (B, num_classes), L at least ``min_size``. On a group ``features`` returns ``Levels``.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input is too short or has other channels.

    Example:
        >>> net = ScalogramNet(base=2)
        >>> [tuple(level.shape) for level in net.features(torch.randn(2, 1, 8000))]
        [(2, 288, 31), (2, 288, 15), (2, 288, 7)]
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        *,
        normalize: bool = True,
        width: int = 96,
        filters: int = 12,
        kernel_size: int = 65,
        pool: int = 32,
        span: float | None = None,
        channel_dropout: float = 0.3,
        head_channels: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd to keep the wavelets' centre, got {kernel_size}")
        if options.get("spline_spacing") is not None:
            raise ValueError("ScalogramNet starts from Gabor wavelets of one number for each tap: no spline_spacing")
        layers = kit(1, DEFAULTS, options)
        lift = layers.lift(in_channels, 2 * filters, kernel_size)
        if span is None:
            span = PLAIN_SPAN if layers.grid is None else math.log2(layers.grid.base)
        with torch.no_grad():
            lift.weight.copy_(gabor(filters, kernel_size, span)[:, None])
        envelope = nn.Sequential(Modulus(), nn.AvgPool1d(pool, ceil_mode=True), Logarithm())
        stem = nn.Sequential(lift, layers.per_level(envelope), layers.norm(filters))
        body, channels, stride, declared = [], filters, pool, []
        for (multiple, window), extent in zip(STAGES, layers.extents, strict=True):
            stage = nn.Sequential(layers.max_pool(window)) if window > 1 else nn.Sequential()
            body.append(stage.append(layers.block(channels, width * multiple, 3, scale_extent=extent)))
            channels, stride = width * multiple, stride * window
            declared.append((channels, stride))
        body[-1].append(layers.per_level(nn.Dropout1d(channel_dropout)))
        encoder = Encoder(layers, in_channels, stem, body, *zip(*declared, strict=True))
        last, channels = layers.last(channels, head_channels)
        classifier = layers.per_level(nn.Conv1d(channels, num_classes, 1))
        classifier, readout = layers.finish(classifier, channels, num_classes)
        super().__init__(encoder, nn.Sequential(last, classifier), readout, normalize=normalize)


class Modulus(nn.Module):
    """The moduli of (B, 2 · C, L), whose halves are the real and the imaginary parts, (B, C, L)."""

    def forward(self, input: Tensor) -> Tensor:
        precise = input.float() if input.dtype == torch.float16 else input  # where 1e-12 is 0
        real, imaginary = precise.chunk(2, 1)
        return (real.square() + imaginary.square() + 1e-12).sqrt().to(input.dtype)  # with a gradient at 0


class Logarithm(nn.Module):
    """The logarithm of envelopes, which turns ratios of loudness into differences, above a floor."""

    def forward(self, input: Tensor) -> Tensor:
        return (input + FLOOR).log()


def gabor(filters: int, kernel_size: int, octaves: float) -> Tensor:
    """Return pairs of Gabor wavelets, each pair of norm 1: cosines, then sines, under a Gaussian as long as the kernel.

    Args:
        filters: Number of frequencies, spread geometrically.
        kernel_size: Length in samples.
        octaves: Octaves that the frequencies cover, from the highest downwards.

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
