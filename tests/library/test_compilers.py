"""Compiled, exported and traced: one graph for all sizes and batches, and the same numbers."""

import functools
import io
import math
import shutil

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim

from tests.library.networks import LAYERS, noise
from tests.slow import quickly
from wavenets import Grid, Levels
from wavenets.models import CNN, MNet, UNet
from wavenets.nn import (
    BatchNorm,
    GatedMapReadout,
    GatedReadout,
    GroupConv1d,
    LiftingConv1d,
    MapReadout,
    OrientationPool,
    PerLevel,
    Readout,
    Views,
)

pytestmark = pytest.mark.no_cover  # of pytest-cov: to trace compilers takes half as long again
SIZES = {1: [(333,), (300,), (512,), (767,)], 2: [(61, 47), (64, 64), (50, 97), (98, 48)]}
D2 = Grid(2, math.sqrt(2), rotations=2, mirrored=True)
C4 = Grid(2, rotations=4)
# A graph grows with the number of orientations: the grid with most of them is left to `pytest -m slow`.
D4 = pytest.param(Grid(2, rotations=4, mirrored=True), marks=pytest.mark.slow)
GRIDS = [Grid(1), Grid(1, "5/4"), Grid(2), Grid(2, "3/2"), D2]
READOUTS = [
    Readout("logsumexp", positions="max"),
    Readout("confident"),
    GatedReadout(2, 3),
    MapReadout("mean"),
    MapReadout("confident"),
    GatedMapReadout(2, 3),
    OrientationPool("max"),
]


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()  # what other tests have shown it is forgotten, and with it that sizes change


def network(grid: Grid) -> nn.Sequential:
    lifting_conv, group_conv, max_pool, _ = LAYERS[grid.ndim]
    lift = lifting_conv(2, 3, 5, 2, grid=grid, max_pool=3 if grid.ndim == 1 else 1)
    layers = lift, max_pool(2), BatchNorm(3), PerLevel(nn.ReLU()), group_conv(3, 2, 3, 2, stride=2, grid=grid)
    return nn.Sequential(*layers).eval()


def dynamic(ndim: int) -> tuple[dict[int, Dim]]:
    """Any batch and any size."""
    names = enumerate(("first", "second")[:ndim], 2)
    return ({0: Dim("batch", max=64), **{dim: Dim(name, min=47, max=9999) for dim, name in names}},)


def assert_close(actual: tuple[Tensor, ...] | Tensor, expected: tuple[Tensor, ...] | Tensor) -> None:
    assert type(actual) is type(expected) and getattr(actual, "grid", None) == getattr(expected, "grid", None)
    for level, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(level, other, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("grid", quickly(GRIDS, Grid(1), Grid(2, "3/2")), ids=str)
def test_compiles_once_for_all_sizes(grid: Grid) -> None:
    net, backend = network(grid)[:2], CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, fullgraph=True, backend=backend)
    for size in SIZES[grid.ndim]:
        x = noise(2, 2, *size)
        assert_close(compiled(x), net(x))
    assert backend.frame_count == 2  # the first is for the first size, the second for all others


@functools.cache
def exported(grid: Grid) -> tuple[nn.Module, torch.export.ExportedProgram]:
    """A network and its export, which is made once for all tests."""
    net, x = network(grid), noise(2, 2, *SIZES[grid.ndim][0])
    return net, torch.export.export(net, (x,), dynamic_shapes=dynamic(grid.ndim))


@pytest.mark.parametrize("grid", [*quickly(GRIDS, Grid(1), Grid(2, "3/2")), D4], ids=str)
def test_exports_once_for_all_batches_and_sizes(grid: Grid) -> None:
    net, program = exported(grid)
    module = program.module()
    for batch, size in zip((2, 1, 5, 3), SIZES[grid.ndim], strict=True):
        x = noise(batch, 2, *size)
        assert_close(module(x), net(x))


@pytest.mark.slow
def test_an_exported_network_is_saved_and_loaded() -> None:
    """Its output is ``Levels``, which a file describes by name and grid."""
    (net, program), file = exported(D2), io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded, x = torch.export.load(file).module(), noise(3, 2, 50, 97)
    assert isinstance(loaded(x), Levels) and loaded(x).grid == D2
    assert_close(loaded(x), net(x))


class EveryReadout(nn.Module):
    """All readouts of one signal, so that its views are compiled once for all of them."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.views, self.readouts = Views(2, grid), nn.ModuleList(READOUTS)
        self.eval()

    def forward(self, x: Tensor) -> list[Tensor | Levels]:
        views = self.views(x)
        return [readout(views) for readout in self.readouts]


Outputs = list[tuple[list[Tensor | Levels], list[Tensor | Levels]]]  # for each size: actual, expected


@pytest.fixture(scope="module")
def compiled_outputs() -> Outputs:
    torch._dynamo.reset()
    torch.manual_seed(0)
    net = EveryReadout(Grid(2))
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    signals = [noise(2, 2, *size) for size in SIZES[2][:2]]
    return [(compiled(x), net(x)) for x in signals]


@pytest.fixture(scope="module", params=[Grid(1, "3/2"), D2], ids=str)
def exported_outputs(request: pytest.FixtureRequest) -> Outputs:
    torch._dynamo.reset()
    torch.manual_seed(0)
    net, sizes = EveryReadout(request.param), SIZES[request.param.ndim]
    example, signals = noise(2, 2, *sizes[0]), [noise(3, 2, *size) for size in sizes[1:]]
    exported = torch.export.export(net, (example,), dynamic_shapes=dynamic(request.param.ndim)).module()
    return [(exported(x), net(x)) for x in signals]


@pytest.mark.slow
@pytest.mark.parametrize("readout", range(len(READOUTS)), ids=[repr(readout).split("\n")[0] for readout in READOUTS])
class TestReadouts:
    def test_compile(self, readout: int, compiled_outputs: Outputs) -> None:
        for actual, expected in compiled_outputs:
            assert_close(actual[readout], expected[readout])

    def test_export_for_all_batches_and_sizes(self, readout: int, exported_outputs: Outputs) -> None:
        for actual, expected in exported_outputs:
            assert_close(actual[readout], expected[readout])


@pytest.mark.slow
@pytest.mark.parametrize("grid", [D2, C4], ids=str)
def test_compiles_with_gradients(grid: Grid) -> None:
    net = network(grid).train()
    x, gradients = noise(2, 2, *SIZES[grid.ndim][0]), []
    for forward in net, torch.compile(net, fullgraph=True, backend="aot_eager"):
        net.zero_grad()
        sum(level.square().sum() for level in forward(x)).backward()
        gradients.append([parameter.grad.clone() for parameter in net.parameters()])
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("grid", [Grid(1), Grid(1, "5/4"), Grid(2), D2, C4, D4], ids=str)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_jit_traces(grid: Grid) -> None:
    net, x = network(grid), noise(2, 2, *SIZES[grid.ndim][0])
    traced = torch.jit.trace(net, x)  # returns a plain tuple
    assert_close(Levels(*traced(-x), grid=grid), net(-x))


@pytest.mark.slow
@pytest.mark.parametrize(
    "net, sizes",
    [
        (MNet(5, base=2, scale_extent=1, num_scales=4), [(16_001,), (22_050,)]),
        (CNN(base=2**0.5, out_scales=1), [(28, 28), (33, 40)]),
        (UNet(2, in_channels=1, width=1, depth=2, base=2, num_scales=3), [(28, 28), (33, 40)]),
    ],
    ids=["MNet", "CNN", "UNet"],
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


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_compiles_to_machine_code() -> None:
    net = nn.Sequential(LiftingConv1d(1, 3, 5, 3), BatchNorm(3), GroupConv1d(3, 2, 3, scale_extent=2)).eval()
    x = noise(2, 1, 101)
    assert_close(torch.compile(net, fullgraph=True)(x), net(x))
