"""Compiled, exported and traced: one graph for all sizes and batches, and the same numbers."""

import math
import shutil

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim

from tests.networks import LAYERS, noise
from wavenets import Grid
from wavenets.models import CNN, MNet
from wavenets.nn import BatchNorm, GroupConv1d, LiftingConv1d, OrientationPool, PerLevel

SIZES = {1: [(333,), (300,), (512,), (767,)], 2: [(61, 47), (64, 64), (50, 97), (98, 48)]}
GRIDS = [Grid(1), Grid(1, "5/4"), Grid(2), Grid(2, "3/2"), Grid(2, math.sqrt(2))]


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()  # what other tests have shown it is forgotten, and with it that sizes change


def network(grid: Grid) -> nn.Sequential:
    lifting_conv, group_conv, max_pool, _ = LAYERS[grid.ndim]
    lift = lifting_conv(2, 3, 5, 2, grid=grid, max_pool=3 if grid.ndim == 1 else 1)
    layers = lift, max_pool(2), BatchNorm(3), PerLevel(nn.ReLU()), group_conv(3, 2, 3, 2, stride=2, grid=grid)
    return nn.Sequential(*layers, *([OrientationPool("max", grid)] if grid.rotations > 1 else [])).eval()


def assert_close(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for level, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(level, other, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_compiles_once_for_all_sizes(grid: Grid) -> None:
    net, backend = network(grid)[:2], CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, fullgraph=True, backend=backend)
    for size in SIZES[grid.ndim]:
        x = noise(2, 2, *size)
        assert_close(compiled(x), net(x))
    assert backend.frame_count == 2  # the first is for the first size, the second for all others


@pytest.mark.parametrize("grid", [*GRIDS, Grid(2, rotations=8)], ids=str)
def test_exports_once_for_all_batches_and_sizes(grid: Grid) -> None:
    net, sizes = network(grid), SIZES[grid.ndim]
    dims = {0: Dim("batch", max=64), 2: Dim("first", min=47, max=9999), 3: Dim("second", min=47, max=9999)}
    dynamic = {dim: dims[dim] for dim in range(grid.ndim + 2) if dim != 1}
    exported = torch.export.export(net, (noise(2, 2, *sizes[0]),), dynamic_shapes=(dynamic,)).module()
    for batch, size in zip((2, 1, 5, 3), sizes, strict=True):
        x = noise(batch, 2, *size)
        assert_close(exported(x), net(x))


@pytest.mark.parametrize("grid", [Grid(2, rotations=4), Grid(1, decimated=False), Grid(2, decimated=False)], ids=str)
def test_compiles_with_gradients(grid: Grid) -> None:
    net = network(grid).train() if grid.decimated else network(grid)[:1]
    x, gradients = noise(2, 2, *SIZES[grid.ndim][0]), []
    for forward in net, torch.compile(net, fullgraph=True, backend="aot_eager"):
        net.zero_grad()
        sum(level.square().sum() for level in forward(x)).backward()
        gradients.append([parameter.grad.clone() for parameter in net.parameters()])
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "grid", [Grid(1), Grid(1, "5/4"), Grid(2), Grid(2, math.sqrt(2)), Grid(2, rotations=4)], ids=str
)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_jit_traces(grid: Grid) -> None:
    net, x = network(grid), noise(2, 2, *SIZES[grid.ndim][0])
    traced = torch.jit.trace(net, x)
    assert_close(traced(-x), net(-x))


@pytest.mark.parametrize(
    "net, sizes",
    [
        (MNet(5, scale_extent=1, num_scales=4, base=2), [(16_001,), (22_050,)]),
        (CNN(out_scales=1, base=2**0.5), [(28, 28), (33, 40)]),
    ],
    ids=["MNet", "CNN"],
)
def test_whole_networks(net: nn.Module, sizes: list[tuple[int, ...]]) -> None:
    net.eval()
    dims = {0: Dim("batch", max=64), 2: Dim("first", min=28, max=99999), 3: Dim("second", min=28, max=9999)}
    if len(sizes[0]) == 1:
        dims = {0: dims[0], 2: Dim("length", min=16_000, max=99999)}
    exported = torch.export.export(net, (noise(2, 1, *sizes[0]),), dynamic_shapes=(dims,)).module()
    for size in sizes:
        x = noise(3, 1, *size)
        torch.testing.assert_close(exported(x), net(x), rtol=0, atol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_compiles_to_machine_code() -> None:
    net = nn.Sequential(LiftingConv1d(1, 3, 5, 3), BatchNorm(3), GroupConv1d(3, 2, 3, scale_extent=2)).eval()
    x = noise(2, 1, 101)
    assert_close(torch.compile(net, fullgraph=True)(x), net(x))
