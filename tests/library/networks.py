"""Networks and signals that several test files share."""

import itertools
from typing import Any

import torch
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from wavenets import Grid, Levels
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
    norm: Any = net[2].norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return net


def features(
    grid: Grid, channels: int, num_scales: int, *size: int, batch: int = 2, dtype: torch.dtype = torch.float32
) -> Levels:
    """Random features on the group, of the sizes that T makes."""
    views = grid.views(torch.zeros(batch, channels, *size, dtype=dtype), num_scales)
    levels = [torch.randn_like(view) for view in views for _ in range(grid.group.finer)]
    return Levels(*levels, grid=grid)


def pyramid(channels: int, num_scales: int, *size: int, dtype: torch.dtype = torch.float32) -> Levels:
    """Random features on the dyadic grid."""
    return features(Grid(len(size)), channels, num_scales, *size, dtype=dtype)


def photograph(*size: int, skip: int = 1) -> Tensor:
    """Part of a photograph that comes with scikit-learn, (1, 3, *size), of every ``skip``-th pixel."""
    image = torch.from_numpy(load_sample_images().images[0] / 255).float().movedim(-1, 0)[None, :, ::skip, ::skip]
    top, left = (image.shape[2] - size[0]) // 2, (image.shape[3] - size[1]) // 2
    return image[:, :, top : top + size[0], left : left + size[1]].contiguous()


def actions(grid: Grid, steps: int = 0) -> list[tuple[int, int, bool]]:
    """All exact transformations of a grid, as (steps, turns, mirror), but the identity."""
    turns = range(0, 4, 4 // min(grid.rotations, 4))
    every = itertools.product(range(steps + 1), turns, (False, True)[: 1 + grid.mirrored])
    return [action for action in every if any(action)]


def parameters(net: nn.Module) -> int:
    """How many there are."""
    return sum(parameter.numel() for parameter in net.parameters())


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype)


def matrix(turns: int, mirror: bool) -> Tensor:
    """A reflection and then quarter turns, of points (x to the right, y upwards)."""
    turn, flip = torch.tensor([[0, -1], [1, 0]]), torch.tensor([[-1, 0], [0, 1]])
    return torch.linalg.matrix_power(turn.double(), turns).long() @ (flip if mirror else torch.eye(2).long())


def moved(matrix: Tensor, x: Tensor) -> Tensor:
    """Move the pixels of (…, H, W) as a matrix moves points around the centre: (g x)(p) = x(g⁻¹ p)."""
    height, width = x.shape[-2:]
    size = [width, height] if matrix[0, 0] == 0 else [height, width]
    rows, columns = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    points = torch.stack([2 * columns - size[1] + 1, size[0] - 1 - 2 * rows])  # twice x and y
    x_, y_ = torch.einsum("ij,jhw->ihw", matrix.T, points)
    return x[..., (height - 1 - y_) // 2, (x_ + width - 1) // 2]
