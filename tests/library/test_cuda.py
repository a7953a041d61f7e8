"""On a GPU: what a CPU calculates, equivariant to the last bit there too, trained, compiled and tiled."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.library.networks import actions, features, network, noise
from wavenets import Grid, Levels, equivariant, tiles
from wavenets.models import CNN, MNet, Network, OneDCNN, ResNet, SampleCNN, ScalogramNet, UNet
from wavenets.nn import Canonicalize, CanonicalizeThickness, GroupConv2d, LiftingConv1d
from wavenets.testing import assert_equivariant, assert_map_equivariant, equivariance_error

if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)

GRIDS = [
    (Grid(1), (997,)),
    (Grid(1, "5/4"), (997,)),
    (Grid(2, math.sqrt(2)), (61, 47)),
    (Grid(2, "3/2", rotations=4, mirrored=True), (61, 47)),
    (Grid(2, rotations=8), (96, 81)),
]
NETWORKS: dict[str, tuple[Callable[[], Network], tuple[int, ...]]] = {
    "M11": (lambda: MNet(11), (1, 9001)),
    "W-M5": (lambda: MNet(5, base=2), (1, 9001)),
    "shared M5": (lambda: MNet(5, base="3/2", form="shared", num_scales=3, readout="gated"), (1, 9001)),
    "W-1DCNN": (lambda: OneDCNN(base=2, out_scales=3), (1, 80_001)),
    "SampleCNN": (lambda: SampleCNN(), (1, 59_049)),
    "ScalogramNet": (lambda: ScalogramNet(), (1, 16_001)),
    "CNN": (lambda: CNN(in_channels=3, base=2**0.5), (3, 61, 47)),
    "ResNet on D4": (lambda: ResNet(7, width=8, rotations=4, mirrored=True, head_channels=16), (3, 61, 47)),
    "U-Net on scales": (lambda: UNet(2, width=4, base=2**0.5, num_scales=3, readout="gated"), (3, 61, 47)),
    "U-Net on C4": (lambda: UNet(2, width=3, rotations=4), (3, 61, 47)),
}


def gradients(module: nn.Module, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The outputs, and the gradients of the weights and of the input, all in the memory of the CPU."""
    x = x.clone().requires_grad_()
    outputs = module(x)
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(sum(output.square().sum() for output in outputs), [*wanted, x])
    return [output.detach().cpu() for output in outputs], [gradient.cpu() for gradient in found]


def assert_as_on_a_cpu(module: nn.Module, x: Tensor) -> None:
    on_gpu = gradients(copy.deepcopy(module).cuda(), x.cuda())
    for actual, expected in zip(map(list, on_gpu), gradients(module, x), strict=True):
        for one, other in zip(actual, expected, strict=True):
            assert (one - other).norm() <= 1e-9 * other.norm()


@pytest.mark.parametrize("grid, size", GRIDS, ids=str)
def test_layers_calculate_what_they_do_on_a_cpu(grid: Grid, size: tuple[int, ...]) -> None:
    net = network(grid, num_scales=5).double()
    assert_as_on_a_cpu(net, noise(2, 2, *size, dtype=torch.float64))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_calculate_what_they_do_on_a_cpu(name: str) -> None:
    make, size = NETWORKS[name]
    assert_as_on_a_cpu(make().double().eval(), noise(2, *size, dtype=torch.float64))


def test_the_max_pooled_lifting_calculates_what_it_does_on_a_cpu() -> None:
    assert_as_on_a_cpu(LiftingConv1d(1, 6, 9, 4, max_pool=4).double(), noise(2, 1, 997, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grid, size", GRIDS[:4], ids=str)
def test_layers_are_exact(grid: Grid, size: tuple[int, ...], dtype: torch.dtype) -> None:
    net = network(grid, num_scales=5).to("cuda", dtype)
    x = noise(2, 2, *size, dtype=dtype).cuda()
    for steps, turns, mirror in actions(grid, steps=1):
        assert set(equivariance_error(net, x, grid, steps, turns, mirror)) == {0.0}, (steps, turns, mirror)


@pytest.mark.parametrize("net, size", [(MNet(5, out_scales=3, base=2), (1, 40_009)), (CNN(base=2**0.5), (1, 131, 98))])
def test_networks_are_exact(net: Network, size: tuple[int, ...]) -> None:
    net.cuda()
    assert_equivariant(nn.Sequential(net.encoder, net.head), noise(1, *size).cuda(), net.grid)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maps_are_exact(dtype: torch.dtype) -> None:
    net, x = UNet(2, width=3, rotations=4, mirrored=True).to("cuda", dtype), noise(2, 3, 37, 52, dtype=dtype).cuda()
    for _, turns, mirror in actions(net.grid):
        assert_map_equivariant(net, x, net.grid, turns=turns, mirror=mirror)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_train_under_autocast(name: str, dtype: torch.dtype) -> None:
    make, size = NETWORKS[name]
    net, x = make().cuda(), noise(4, *size).cuda()
    expected = net.eval()(x)
    with torch.autocast("cuda", dtype=dtype):
        actual = net(x)
        loss = net.train()(x).float().square().mean()
    loss.backward()
    assert (actual.float() - expected).norm() < 0.1 * expected.norm()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("name", ["shared M5", "ScalogramNet", "U-Net on scales", "U-Net on C4"])
def test_training_is_repeatable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernels that torch calls deterministic; it refuses those of which it knows that they are not."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which torch asks for, and Lightning sets
    make, size = NETWORKS[name]
    net, x = make().cuda().eval(), noise(2, *size).cuda()
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (gradients(copy.deepcopy(net), x)[1] for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("name", ["shared M5", "U-Net on scales", "U-Net on C4"])
def test_networks_compile(name: str) -> None:
    make, size = NETWORKS[name]
    net, x = make().double().cuda().eval(), noise(2, *size, dtype=torch.float64).cuda()
    compiled = torch.compile(copy.deepcopy(net), fullgraph=True)
    assert (compiled(x) - net(x)).norm() <= 1e-9 * net(x).norm()


def test_layers_are_made_on_a_gpu() -> None:
    grid = Grid(2, rotations=4)
    conv = GroupConv2d(3, 4, 3, grid=grid, device="cuda")
    levels = features(grid, 3, 1, 9, 7)
    on_gpu = conv(Levels(*(level.cuda() for level in levels), grid=grid))
    assert all(level.device.type == "cuda" for level in on_gpu)
    for actual, expected in zip(on_gpu, conv.cpu()(levels), strict=True):
        torch.testing.assert_close(actual.cpu(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", ["mean", "confident"])
def test_a_network_on_views_calculates_what_it_does_on_a_cpu(mode: str) -> None:
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1)).double()
    grid = Grid(2, 2**0.5, rotations=4)
    assert_as_on_a_cpu(equivariant(net, grid, 3, mode=mode), noise(2, 1, 37, 52, dtype=torch.float64))


def test_a_canonical_view_is_the_one_on_a_cpu() -> None:
    net = nn.Conv2d(1, 2, 3, padding=1).double()
    score = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    x = noise(5, 1, 37, 52, dtype=torch.float64)
    by_score = Canonicalize(net, score, Grid(2, 2**0.5, rotations=4), 3)
    for chosen in by_score, CanonicalizeThickness(net, 1.3, Grid(2, 2**0.5), 3):
        expected = chosen.cpu()(x)
        assert (chosen.cuda()(x.cuda()).cpu() - expected).norm() <= 1e-9 * expected.norm()


def test_tiles_are_exact() -> None:
    net = UNet(2, width=3, depth=2, rotations=4).cuda().eval()
    image = noise(3, 301, 277).cuda()
    whole = net(image[None])[0]
    assert torch.equal(tiles.predict(net, image, tile=128, batch_size=3).cpu(), whole.cpu())
