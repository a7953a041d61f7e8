"""Kits of layers that nets are built with: plain ones, and ones on a group, so that one definition serves both."""

from typing import Any

from torch import Tensor, nn

from wavenets._ops.conv_pool import MaxPoolTensor1d, MaxPoolTensor2d
from wavenets.grid import Grid
from wavenets.kernels import BSpline
from wavenets.levels import Levels, check_ndim
from wavenets.models.options import Choice, Defaults, Options, choose
from wavenets.nn import (
    BatchNorm,
    GatedMapReadout,
    GatedReadout,
    GroupConv1d,
    GroupConv2d,
    LiftingConv1d,
    LiftingConv2d,
    MapReadout,
    MaxPool1d,
    MaxPool2d,
    PerLevel,
    Readout,
    Views,
)
from wavenets.nn._kernel import positive

Features = Tensor | Levels


def kit(ndim: int, defaults: Defaults, options: Options) -> "Layers":
    """Return the layers of a net: plain ones, or on a group if the options name one."""
    check_ndim(ndim)
    choice = choose(ndim, defaults, options)
    return Layers(ndim, len(defaults.extents)) if choice is None else GroupLayers(ndim, choice)


class Layers:
    """Plain layers, on a tensor (B, C, L) or (B, C, H, W).

    Attributes:
        grid: The group; None for plain layers.
        num_scales: Number of scales that a signal is lifted to.
        shared: Whether the net has the plain one's width and stride.
        extents: Scale extents of the spanning convolutions.
        classifier_extent: Scale extent of the classifier.
    """

    grid: Grid | None = None
    num_scales = 1
    shared = True
    classifier_extent = 1

    def __init__(self, ndim: int, spanning: int) -> None:
        self.ndim = ndim
        self.extents = (1,) * spanning

    def lift(self, i: int, o: int, kernel_size: int, stride: int = 1, max_pool: int = 1, bias: bool = False) -> Any:
        """Return the first convolution, from the signal to features."""
        return plain_conv(self.ndim, i, o, kernel_size, stride, bias)

    def conv(self, i: int, o: int, kernel_size: int, scale_extent: int = 1, stride: int = 1, bias: bool = False) -> Any:
        """Return a convolution from features to features."""
        return plain_conv(self.ndim, i, o, kernel_size, stride, bias)

    def norm(self, channels: int) -> nn.Module:
        """Return a batch normalisation."""
        return (nn.BatchNorm1d, nn.BatchNorm2d)[self.ndim - 1](channels)

    def max_pool(self, *arguments: Any, **options: Any) -> nn.Module:
        """Return a max-pooling, with the arguments of torch's."""
        return (MaxPoolTensor1d, MaxPoolTensor2d)[self.ndim - 1](*arguments, **options)

    def per_level(self, module: nn.Module) -> nn.Module:
        """Return one module that is applied to each level."""
        return module

    def finish(self, classifier: nn.Module, channels: int, num_classes: int) -> tuple[nn.Module, nn.Module]:
        """Return the classifier of features with this number of channels, and the readout of one vector after it."""
        return classifier, Average()

    def finish_map(self, channels: int, num_classes: int) -> tuple[nn.Module, nn.Module]:
        """Return a classifier at every position, and the readout of one map after it."""
        return self._pixelwise(channels, num_classes), nn.Identity()

    def stem(self, lift: nn.Module, channels: int, *pool: nn.Module) -> nn.Sequential:
        """Return lifting, batch norm, ReLU, and a pooling if there is one."""
        return nn.Sequential(lift, self.norm(channels), self.per_level(nn.ReLU()), *pool)

    def block(self, i: int, o: int, kernel_size: int, **options: Any) -> nn.Sequential:
        """Return convolution, batch norm and ReLU."""
        return nn.Sequential(self.conv(i, o, kernel_size, **options), self.norm(o), self.per_level(nn.ReLU()))

    def last(self, channels: int, head_channels: int | None) -> tuple[nn.Sequential, int]:
        """Return a last block of kernel size 1 if its channels are given, and the number of channels after it."""
        if head_channels is None:
            return nn.Sequential(), channels
        return self.block(channels, head_channels, 1), head_channels

    def _pixelwise(self, channels: int, num_classes: int) -> nn.Module:
        return self.per_level(plain_conv(self.ndim, channels, num_classes, 1, 1, bias=True))


class GroupLayers(Layers):
    """Layers on a group, on levels (B, C, L_i) or (B, C, H_i, W_i)."""

    grid: Grid

    def __init__(self, ndim: int, choice: Choice) -> None:
        self.ndim, self.choice, self.grid = ndim, choice, choice.grid
        self.num_scales, self.shared = choice.num_scales, choice.shared
        self.extents, self.classifier_extent = choice.extents, choice.classifier_extent
        spacing = choice.spline_spacing
        self.kernel = None if spacing is None else BSpline(2, spacing)

    def lift(self, i: int, o: int, kernel_size: int, stride: int = 1, max_pool: int = 1, bias: bool = False) -> Any:
        if kernel_size % 2 == 0:  # only in the shared form, which keeps the plain net's kernels as they are
            self._check_even(kernel_size)
            conv = PerLevel(plain_conv(self.ndim, i, o, kernel_size, stride, bias))
            return nn.Sequential(Views(self.num_scales, self.grid), conv)
        options: dict[str, Any] = {"stride": stride, "max_pool": max_pool, "bias": bias}
        lifting = (LiftingConv1d, LiftingConv2d)[self.ndim - 1]
        return lifting(i, o, kernel_size, self.num_scales, grid=self.grid, kernel=self.kernel, **options)

    def conv(self, i: int, o: int, kernel_size: int, scale_extent: int = 1, stride: int = 1, bias: bool = False) -> Any:
        if kernel_size % 2 == 0 and self.shared and scale_extent == 1:
            self._check_even(kernel_size)
            return PerLevel(plain_conv(self.ndim, i, o, kernel_size, stride, bias))
        size = kernel_size - 1 + kernel_size % 2  # where a published kernel is even, the odd one below
        conv = (GroupConv1d, GroupConv2d)[self.ndim - 1]
        return conv(i, o, size, scale_extent, stride=stride, bias=bias, grid=self.grid, kernel=self.kernel)

    def _check_even(self, kernel_size: int) -> None:
        if self.kernel is not None:
            raise ValueError(f"form='shared' keeps kernels of {kernel_size} taps, and spline_spacing needs odd kernels")

    def norm(self, channels: int) -> nn.Module:
        return BatchNorm(channels)

    def max_pool(self, *arguments: Any, **options: Any) -> nn.Module:
        return (MaxPool1d, MaxPool2d)[self.ndim - 1](*arguments, **options)

    def per_level(self, module: nn.Module) -> nn.Module:
        return PerLevel(module)

    def finish(self, classifier: nn.Module, channels: int, num_classes: int) -> tuple[nn.Module, nn.Module]:
        mode, positions, dropout = self.choice.readout, self.choice.positions or "mean", self.choice.dropout
        if mode == "gated":
            return nn.Identity(), GatedReadout(channels, num_classes, positions, dropout)
        return classifier, Readout(mode, positions, dropout)

    def finish_map(self, channels: int, num_classes: int) -> tuple[nn.Module, nn.Module]:
        if self.choice.positions is not None:
            raise ValueError(f"a map keeps all positions, got positions={self.choice.positions!r}")
        if self.choice.readout == "gated":
            return nn.Identity(), GatedMapReadout(channels, num_classes, self.choice.dropout)
        return self._pixelwise(channels, num_classes), MapReadout(self.choice.readout, self.choice.dropout)


class Average(nn.Module):
    """The average of (B, C, …) over its positions, (B, C). A tensor (B, C) is returned as it is."""

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(2).mean(2) if input.ndim > 2 else input


def plain_conv(ndim: int, i: int, o: int, kernel_size: int, stride: int, bias: bool) -> nn.Module:
    """Return a convolution of torch, whose padding keeps ceil(L / stride) samples if the kernel is odd."""
    i, o = positive("in_channels", i), positive("out_channels", o)
    return (nn.Conv1d, nn.Conv2d)[ndim - 1](i, o, kernel_size, stride, padding=(kernel_size - 1) // 2, bias=bias)
