"""What the nets are built from: a kit of plain layers and a kit of wavelet layers, so that one table serves both."""

import bisect
import copy
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenets.grid import ScaleGrid
from wavenets.nn import GroupConv1d, PerScale, ScaleBatchNorm, ScaleMaxPool1d, ScaleReadout
from wavenets.nn.levels import Levels, Readout

NUM_SCALES = 9  # that the published nets lift to


def num_scales(out_scales: int) -> int:
    """How many scales to lift to so that out_scales are left where the published nets have one."""
    if out_scales < 1:
        raise ValueError(f"out_scales must be at least 1, got {out_scales}")
    return NUM_SCALES - 1 + out_scales


class Layers(NamedTuple):
    """The layers a net is built from, on tensors or on lists of levels."""

    conv: Callable[..., nn.Module]  # (in_channels, out_channels, kernel_size, scale_extent=1, stride=1, bias=False)
    norm: Callable[[int], nn.Module]
    pool: Callable[..., nn.Module]
    per_scale: Callable[[nn.Module], nn.Module]
    readout: nn.Module
    kernel: Callable[[int], int]  # a published kernel size, even at times, as these layers take it

    def block(self, in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> nn.Sequential:
        """Convolution, batch norm, ReLU."""
        conv = self.conv(in_channels, out_channels, kernel_size, **options)
        return nn.Sequential(conv, self.norm(out_channels), self.per_scale(nn.ReLU()))


def plain_layers() -> Layers:
    """Layers on a tensor (B, C, T)."""

    def conv(i: int, o: int, kernel_size: int, scale_extent: int = 1, stride: int = 1, bias: bool = False) -> nn.Module:
        # This padding keeps ceil(T / stride) samples for odd kernels, and the published nets' T / stride for even ones.
        return nn.Conv1d(i, o, kernel_size, stride, padding=(kernel_size - 1) // 2, bias=bias)

    average = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())
    return Layers(conv, nn.BatchNorm1d, nn.MaxPool1d, lambda module: module, average, lambda size: size)


def wavelet_layers(grid: ScaleGrid, readout: Readout) -> Layers:
    """Layers on a list of levels (B, C, T_i)."""

    def conv(i: int, o: int, kernel_size: int, scale_extent: int = 1, stride: int = 1, bias: bool = False) -> nn.Module:
        return GroupConv1d(i, o, kernel_size, scale_extent, stride, bias=bias, grid=grid)

    def odd(kernel_size: int) -> int:
        return kernel_size - 1 + kernel_size % 2

    return Layers(conv, ScaleBatchNorm, ScaleMaxPool1d, PerScale, ScaleReadout(readout), odd)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters, which pads missing channels with zeros."""

    def __init__(self, layers: Layers, in_channels: int, out_channels: int, scale_extent: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            layers.block(in_channels, out_channels, 3, scale_extent=scale_extent),
            layers.conv(out_channels, out_channels, 3),
            layers.norm(out_channels),
        )
        self.output = nn.Sequential(layers.norm(out_channels), layers.per_scale(nn.ReLU()))
        self.new_channels = out_channels - in_channels

    def forward(self, input: Tensor | Levels) -> Tensor | Levels:
        y = self.branch(input)
        if isinstance(input, Tensor):
            return self.output(self._add(y, input))
        # The branch is without the coarsest levels, which its scale extent consumed; zip leaves them out as well.
        return self.output([self._add(a, b) for a, b in zip(y, input, strict=False)])

    def _add(self, y: Tensor, x: Tensor) -> Tensor:
        return y + F.pad(x, (0, 0, 0, self.new_channels))


class WaveformNet(nn.Module):
    """A classifier of waveforms: stem (the lifting convolution, or a plain one), body, classifier, readout.

    Shape:
        (B, 1, T) -> logits (B, num_classes). ``min_length`` is the least T.
    """

    def __init__(self, stem: nn.Module, body: nn.Module, classifier: nn.Module, readout: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.body = body
        self.classifier = classifier
        self.readout = readout

    def features(self, x: Tensor) -> Tensor | Levels:
        """The features before the classifier: a tensor (B, C, T'), or a list of levels of a wavelet net."""
        if x.ndim != 3 or x.shape[1] != 1:
            raise ValueError(f"expected waveforms of shape (B, 1, T), got {tuple(x.shape)}")
        try:
            return self.body(self.stem(x))
        except (RuntimeError, ValueError) as error:
            if x.shape[2] >= self.min_length:
                raise
            message = f"{type(self).__name__} needs at least {self.min_length} samples, got {x.shape[2]}"
            raise ValueError(message) from error

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.classifier(self.features(x)))

    @functools.cached_property
    def min_length(self) -> int:
        """The least number of samples that the net takes, found by running its shapes without data."""
        shapes = copy.deepcopy(self).to("meta").eval()

        def fits(length: int) -> bool:
            try:
                shapes.body(shapes.stem(torch.empty(1, 1, length, device="meta")))
            except (RuntimeError, ValueError):
                return False
            return True

        longest = 1
        while not fits(longest):
            longest *= 2
        return bisect.bisect_left(range(longest), True, key=fits)
