"""U-Nets in 1D and 2D: from a signal to a map of its size, on any encoder that declares its stages."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.levels import Levels
from wavenets.models.blocks import join
from wavenets.models.kit import Features, Layers, kit
from wavenets.models.network import Encoder, Network
from wavenets.models.options import Defaults, Options
from wavenets.nn import Views
from wavenets.resample import stretch
from wavenets.sizes import downscaled_size

GROUP = "grid", "base", "rotations", "mirrored", "form", "num_scales", "out_scales", "scale_extent"


class UNet(Network):
    """A U-Net (Ronneberger et al., arXiv 1505.04597): an encoder, and a decoder that joins its stages from the last on.

    It takes inputs of any size, and returns maps of the same size. On a group every level is decoded in its own frame
    and brought upright at the end, so that the map is turned and mirrored as the image is, to the last bit. For scales
    the levels before the readout are exact. By default all scales share their weights.

    Widths of equal parameters are 34 for the plain net, 17 over four rotations, and 12 with reflections as well.

    Args:
        num_classes: Channels of the map; 1 is one logit, of a mask.
        in_channels: Channels of the signal. Those of an encoder of this package are used instead.
        width: Channels at full resolution; they double with each halving.
        depth: Number of resolutions.
        ndim: 1 (waveforms) or 2 (images).
        encoder: Encoder for the decoder, in place of an encoder of ``depth`` resolutions: a network of this
            package, on its own group; a network of timm (``features_only=True``), or an encoder of
            segmentation_models_pytorch, which with a group is put on all views.
        head_channels: Channels of a last layer of kernel size 1 before the classifier; None leaves it out.
        **options: See ``wavenets.models.Options``. There is one scale unless a number of them is given. In the
            published form the first convolution of each resolution but the first spans two scales.

    Shape:
        (B, in_channels, L) -> (B, num_classes, L), or (B, in_channels, H, W) -> (B, num_classes, H, W).

    Raises:
        ValueError: If an argument is out of range, or the encoder does not declare its stages; in ``forward`` if the
            input has other channels or, with several scales, is too small.

    Example:
        >>> UNet(2, rotations=4, mirrored=True, width=6)(torch.randn(1, 3, 37, 53)).shape
        torch.Size([1, 2, 37, 53])
        >>> from wavenets.models import ResNet
        >>> UNet(5, encoder=ResNet(width=8))(torch.randn(1, 3, 37, 53)).shape
        torch.Size([1, 5, 37, 53])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        width: int = 16,
        depth: int = 4,
        ndim: int = 2,
        *,
        encoder: nn.Module | None = None,
        head_channels: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        if isinstance(encoder, Network):
            encoder = encoder.encoder
        if isinstance(encoder, Encoder):
            ndim, in_channels = encoder.ndim, encoder.in_channels
            options = _on_the_group_of(encoder, options)
        spanning = depth - 1 if encoder is None else 0
        layers = kit(ndim, Defaults(1, (2,) * spanning, form="shared", shared_scales=1), options)
        if encoder is None:
            encoder = _encoder(layers, in_channels, width, depth)
        elif not isinstance(encoder, Encoder) or encoder.grid != layers.grid:
            encoder = EncoderOnViews(layers, in_channels, encoder)
        decoder = Decoder(layers, encoder.channels, encoder.strides, width)
        last, channels = layers.last(decoder.channels, head_channels)
        classifier, readout = layers.finish_map(channels, num_classes)
        super().__init__(encoder, nn.Sequential(last, classifier), readout, decoder)


class Decoder(nn.Module):
    """From the features of all stages to features at the size of the signal.

    Each step doubles the size, joins the stage of that stride if there is one, and convolves twice. Upscaling is by
    exactly 2 and then cropped, so that a part of a signal is decoded as the whole signal is. At stride s it
    has at most ``width`` · s channels, as in segmentation_models_pytorch with a width of 16.

    Args:
        layers: The kit that its parts are made with.
        channels: Channels of the stages.
        strides: Their strides, powers of two.
        width: Channels at full resolution.

    Attributes:
        channels: Channels of the result.
    """

    def __init__(self, layers: Layers, channels: Sequence[int], strides: Sequence[int], width: int) -> None:
        super().__init__()
        if any(stride & (stride - 1) for stride in strides):
            raise ValueError(f"a decoder needs stages whose strides are powers of two, got {list(strides)}")
        self.grid, self.strides, self.channels = layers.grid, list(strides), channels[-1]
        self.steps = nn.ModuleList()
        joined = dict(zip(strides[:-1], channels[:-1], strict=True))
        for stride in self._finer():
            before, self.channels = self.channels, min(self.channels, width * stride)
            first = layers.block(before + joined.get(stride, 0), self.channels, 3)
            self.steps.append(nn.Sequential(first, layers.block(self.channels, self.channels, 3)))

    def forward(self, stages: Sequence[Any], size: Sequence[int]) -> Features:
        """Decode the features of all stages of a signal of this size."""
        features, at = stages[-1], dict(zip(self.strides[:-1], stages[:-1], strict=True))
        sizes = [size] if self.grid is None else view_sizes(self.grid, size, len(features))
        for stride, step in zip(self._finer(), self.steps, strict=True):
            shortcut = at.get(stride)
            if shortcut is None:
                features = _doubled(features, [[-(-n // stride) for n in size] for size in sizes])
            else:
                features = _doubled(features, [level.shape[2:] for level in _as_list(shortcut)])
                features = join(_concatenated, features, shortcut)
            features = step(features)
        return features

    def _finer(self) -> list[int]:
        """Return the strides of the steps."""
        return [2**i for i in reversed(range(self.strides[-1].bit_length() - 1))]


class EncoderOnViews(nn.Module):
    """An encoder without a group, which is applied to every view of a signal, or without views to the signal.

    Args:
        layers: The kit of the decoder, which has the group.
        in_channels: Channels of the signal.
        encoder: A plain encoder of this package; a network of timm, which has ``feature_info``; or an encoder of
            segmentation_models_pytorch, which has ``out_channels`` and returns its input first.

    Raises:
        ValueError: If the encoder does not declare its stages.
    """

    def __init__(self, layers: Layers, in_channels: int, encoder: nn.Module) -> None:
        super().__init__()
        self.grid, self.ndim, self.in_channels, self.encoder = layers.grid, layers.ndim, in_channels, encoder
        self.channels, self.strides = declared(encoder)
        self.views = None if layers.grid is None else Views(layers.num_scales, layers.grid)

    def stages(self, x: Tensor) -> list[Any]:
        """Return the features at the end of each stage, finest first."""
        run = self.encoder.stages if isinstance(self.encoder, Encoder) else self.encoder
        if self.views is None:
            return list(run(x))
        views = self.views(x)
        return [Levels(*stage, grid=views.grid) for stage in zip(*map(run, views), strict=True)]


def declared(encoder: Any) -> tuple[list[int], list[int]]:
    """Return the channels and strides of the stages that an encoder declares.

    Raises:
        ValueError: If it declares no stages.
    """
    if isinstance(encoder, Encoder):
        return encoder.channels, encoder.strides
    if hasattr(encoder, "feature_info"):  # timm
        return list(encoder.feature_info.channels()), list(encoder.feature_info.reduction())
    if isinstance(getattr(encoder, "out_channels", None), Sequence):  # segmentation_models_pytorch: each stage halves
        return list(encoder.out_channels), [2**i for i in range(len(encoder.out_channels))]
    raise ValueError(
        f"{type(encoder).__name__} does not declare its stages: use a network of wavenets.models, one of timm with "
        "features_only=True, or an encoder of segmentation_models_pytorch"
    )


def view_sizes(grid: Grid, size: Sequence[int], count: int) -> list[Sequence[int]]:
    """Return the sizes of the first views of a signal, finest first, orientations innermost.

    Example:
        >>> view_sizes(Grid(2, rotations=2), (33, 40), 4)
        [(33, 40), (33, 40), (17, 20), (17, 20)]
    """
    sizes: list[Sequence[int]] = []
    while len(sizes) < count:
        sizes += [grid.size_of(orientation, size) for orientation in range(grid.orientations)]
        size = [downscaled_size(n, grid.ratio, grid.ndim) for n in size]
    return sizes


def _encoder(layers: Layers, in_channels: int, width: int, depth: int) -> Encoder:
    """Return an encoder of two convolutions at each resolution. Poolings round up, so that no input is too small."""
    stem = layers.stem(layers.lift(in_channels, width, 3), width)
    body = [nn.Sequential(layers.block(width, width, 3))]
    channels = [width * 2**i for i in range(depth)]
    for (before, after), extent in zip(itertools.pairwise(channels), layers.extents, strict=True):
        blocks = layers.block(before, after, 3, scale_extent=extent), layers.block(after, after, 3)
        body.append(nn.Sequential(layers.max_pool(2, ceil_mode=True), *blocks))
    return Encoder(layers, in_channels, stem, body, channels, [2**i for i in range(depth)])


def _on_the_group_of(encoder: Encoder, options: Any) -> Any:
    """Return the options of a decoder on an encoder of this package: the group is the encoder's."""
    if encoder.grid is None:
        return options
    if clash := sorted(key for key in GROUP if options.get(key) is not None):
        raise ValueError(f"the group is that of the encoder, {encoder.grid}: leave out {', '.join(clash)}")
    return {**options, "grid": encoder.grid, "num_scales": 1}


def _as_list(features: Features) -> Sequence[Tensor]:
    return [features] if isinstance(features, Tensor) else features


def _doubled(features: Features, sizes: Sequence[Sequence[int]]) -> Features:
    """Upscale every level by exactly 2, and crop it to its size."""
    levels = [stretch(y, size, Fraction(2)) for y, size in zip(_as_list(features), sizes, strict=False)]
    return levels[0] if isinstance(features, Tensor) else Levels(*levels, grid=features.grid)


def _concatenated(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b], 1)
