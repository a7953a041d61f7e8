"""Blocks of several layers, plain or on a group, depending on the kit."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenets._ops.export import exporting
from wavenets.levels import Levels
from wavenets.models.kit import Features, Layers


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
        self.relu = layers.per_level(nn.ReLU())

    def forward(self, input: Features) -> Features:
        return self.relu(join(torch.add, self.branch(input), self.shortcut(input)))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters, with a batch norm after the sum."""

    def __init__(self, layers: Layers, in_channels: int, out_channels: int, scale_extent: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            layers.block(in_channels, out_channels, 3, scale_extent=scale_extent),
            layers.conv(out_channels, out_channels, 3),
            layers.norm(out_channels),
        )
        self.shortcut = layers.per_level(WidenChannels(out_channels))
        self.output = nn.Sequential(layers.norm(out_channels), layers.per_level(nn.ReLU()))

    def forward(self, input: Features) -> Features:
        return self.output(join(torch.add, self.branch(input), self.shortcut(input)))


class WidenChannels(nn.Module):
    """A shortcut without parameters, which pads (B, C, L) with channels of zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, (0, 0, 0, self.channels - input.shape[1]))


class AdaptiveAvgPool1d(nn.AdaptiveAvgPool1d):
    """Adaptive average pooling, also in exports for all lengths: torch's exports to ONNX for one length only."""

    def forward(self, input: Tensor) -> Tensor:
        if not exporting():
            return super().forward(input)
        length, pieces = input.shape[2], int(self.output_size)  # type: ignore[arg-type]
        edge = torch.arange(pieces + 1, device=input.device) * length
        first, end = edge[:-1] // pieces, -(-edge[1:] // pieces)
        position = torch.arange(length, device=input.device)[:, None]
        inside = (position >= first) & (position < end)  # (length, output_size)
        return input @ (inside / (end - first)).to(input.dtype)


def join(f: Callable[[Tensor, Tensor], Tensor], main: Features, shortcut: Features) -> Features:
    """Apply a function to two features level by level, without the coarsest levels if ``main`` has consumed them."""
    if isinstance(main, Tensor):
        return f(main, shortcut)  # type: ignore[arg-type]
    return Levels(*map(f, main, shortcut[: len(main)]), grid=main.grid)
