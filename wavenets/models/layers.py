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
from wavenets.nn import (
    GroupConv1d,
    GroupConv2d,
    PerScale,
    ScaleBatchNorm,
    ScaleMaxPool1d,
    ScaleMaxPool2d,
    ScaleReadout,
)
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

    def block(self, in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> nn.Sequential:
        """Convolution, batch norm, ReLU."""
        conv = self.conv(in_channels, out_channels, kernel_size, **options)
        return nn.Sequential(conv, self.norm(out_channels), self.per_scale(nn.ReLU()))


def plain_layers(ndim: int = 1) -> Layers:
    """Layers on a tensor (B, C, T) or (B, C, H, W)."""
    module = (nn.Conv1d, nn.Conv2d)[ndim - 1]

    def conv(i: int, o: int, kernel_size: int, scale_extent: int = 1, stride: int = 1, bias: bool = False) -> nn.Module:
        # This padding keeps ceil(T / stride) samples for odd kernels, and the published nets' T / stride for even ones.
        return module(i, o, kernel_size, stride, padding=(kernel_size - 1) // 2, bias=bias)

    norm = (nn.BatchNorm1d, nn.BatchNorm2d)[ndim - 1]
    pool = (nn.MaxPool1d, nn.MaxPool2d)[ndim - 1]
    average = nn.Sequential((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[ndim - 1](1), nn.Flatten())
    return Layers(conv, norm, pool, per_scale=lambda module: module, readout=average)


def wavelet_layers(grid: ScaleGrid, readout: Readout) -> Layers:
    """Layers on a list of levels (B, C, T_i) or (B, C, H_i, W_i)."""
    module = (GroupConv1d, GroupConv2d)[grid.ndim - 1]

    def conv(i: int, o: int, kernel_size: int, scale_extent: int = 1, stride: int = 1, bias: bool = False) -> nn.Module:
        # Where a published kernel is even, the wavelet form has the odd one below.
        return module(i, o, kernel_size - 1 + kernel_size % 2, scale_extent, stride, bias=bias, grid=grid)

    pool = (ScaleMaxPool1d, ScaleMaxPool2d)[grid.ndim - 1]
    return Layers(conv, ScaleBatchNorm, pool, PerScale, ScaleReadout(readout))


def add(branch: Tensor | Levels, shortcut: Tensor | Levels) -> Tensor | Levels:
    """Adds a shortcut to a branch, level by level, without the coarsest levels, which the branch has consumed."""
    if isinstance(branch, Tensor) and isinstance(shortcut, Tensor):
        return branch + shortcut
    return [a + b for a, b in zip(branch, shortcut, strict=False)]


class WidenChannels(nn.Module):
    """Pads (B, C, T) with channels of zeros: a shortcut without parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, (0, 0, 0, self.channels - input.shape[1]))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters, with a batch norm after the sum."""

    def __init__(self, layers: Layers, in_channels: int, out_channels: int, scale_extent: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            layers.block(in_channels, out_channels, 3, scale_extent=scale_extent),
            layers.conv(out_channels, out_channels, 3),
            layers.norm(out_channels),
        )
        self.shortcut = layers.per_scale(WidenChannels(out_channels))
        self.output = nn.Sequential(layers.norm(out_channels), layers.per_scale(nn.ReLU()))

    def forward(self, input: Tensor | Levels) -> Tensor | Levels:
        return self.output(add(self.branch(input), self.shortcut(input)))


class Network(nn.Module):
    """A classifier: stem (the lifting convolution, or a plain one), body, classifier, readout.

    Shape:
        (B, C, T) or (B, C, H, W) -> logits (B, num_classes). ``min_size`` is the least T, H and W.
    """

    def __init__(
        self,
        stem: nn.Module,
        body: nn.Module,
        classifier: nn.Module,
        readout: nn.Module,
        in_channels: int = 1,
        ndim: int = 1,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.body = body
        self.classifier = classifier
        self.readout = readout
        self.in_channels = in_channels
        self.ndim = ndim

    def features(self, x: Tensor) -> Tensor | Levels:
        """The features before the classifier: a tensor, or of a wavelet network a list of levels, finest first."""
        if x.ndim != self.ndim + 2 or x.shape[1] != self.in_channels:
            shape = ("T", "H, W")[self.ndim - 1]
            raise ValueError(f"expected an input of shape (B, {self.in_channels}, {shape}), got {tuple(x.shape)}")
        try:
            return self.body(self.stem(x))
        except (RuntimeError, ValueError) as error:
            if min(x.shape[2:]) >= self.min_size:
                raise
            size = " × ".join(map(str, x.shape[2:]))
            unit = ("samples", "pixels a side")[self.ndim - 1]
            message = f"{type(self).__name__} needs at least {self.min_size} {unit}, got {size}"
            raise ValueError(message) from error

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.classifier(self.features(x)))

    @functools.cached_property
    def min_size(self) -> int:
        """The least size of input that the network takes, found by running its shapes without data."""
        shapes = copy.deepcopy(self).to("meta", torch.float32).eval()

        def fits(size: int) -> bool:
            try:
                shapes.body(shapes.stem(torch.empty(1, self.in_channels, *[size] * self.ndim, device="meta")))
            except (RuntimeError, ValueError):
                return False
            return True

        large = 1
        while not fits(large):
            large *= 2
        return bisect.bisect_left(range(large), True, key=fits)
