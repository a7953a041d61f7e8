"""Networks and signals that several test files share."""

import torch
from torch import Tensor, nn

from wavenets import Grid
from wavenets.nn import (
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    GroupConv1d,
    GroupConv2d,
    LiftingConv1d,
    LiftingConv2d,
    MaxPool1d,
    MaxPool2d,
    PerLevel,
)

LAYERS = {
    1: (LiftingConv1d, GroupConv1d, MaxPool1d, AvgPool1d),
    2: (LiftingConv2d, GroupConv2d, MaxPool2d, AvgPool2d),
}


def network(grid: Grid, num_scales: int = 8, channels: int = 2, extents: tuple[int, int] = (3, 2)) -> nn.Sequential:
    """Every kind of layer: lifting, both poolings, striding, batch norm with statistics of its own, ReLU, groups."""
    lifting_conv, group_conv, max_pool, avg_pool = LAYERS[grid.ndim]
    net = nn.Sequential(
        lifting_conv(channels, 8, 7, num_scales, grid=grid),
        max_pool(2),
        BatchNorm(8),
        PerLevel(nn.ReLU()),
        group_conv(8, 12, 3, scale_extent=extents[0], groups=2, grid=grid),
        PerLevel(nn.ReLU()),
        avg_pool(3, stride=1, padding=1),
        group_conv(12, 6, 5, scale_extent=extents[1], stride=2, grid=grid),
    )
    norm = net[2].norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return net


def pyramid(channels: int, num_scales: int, *size: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Random features on the group, of the sizes that T gives."""
    levels = Grid(len(size)).views(torch.zeros(2, channels, *size, dtype=dtype), num_scales)
    return [torch.randn_like(level) for level in levels]


def parameters(net: nn.Module) -> int:
    """How many there are."""
    return sum(parameter.numel() for parameter in net.parameters())


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype)
