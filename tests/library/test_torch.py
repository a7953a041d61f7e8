"""The layers as citizens of torch: memory formats, autocast, states, pickles, devices, transforms, in-place modules."""

import copy
import math
import pickle
import re

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, hessian, jacfwd, jvp, stack_module_state

from tests.library.networks import LAYERS, network, noise
from wavenets import Grid, Levels
from wavenets.kernels import BSpline, Kernel, ZeroMean
from wavenets.models import CNN, MNet, OneDCNN, ResNet, SampleCNN
from wavenets.nn import BatchNorm, GroupConv1d, GroupConv2d, LiftingConv1d, LiftingConv2d, PerLevel


@pytest.mark.parametrize(
    "grid, size",
    [(Grid(1), (997,)), (Grid(1, "5/4"), (997,)), (Grid(2, math.sqrt(2)), (61, 47)), (Grid(2, rotations=8), (96, 81))],
    ids=str,
)
class TestAsACitizenOfTorch:
    @pytest.fixture
    def net(self, grid: Grid) -> nn.Sequential:
        return network(grid, num_scales=4 if grid.base == 2 else 5).eval()

    @pytest.fixture
    def x(self, size: tuple[int, ...]) -> Tensor:
        return noise(2, 2, *size)

    def test_keeps_its_channels_last_in_memory(self, net: nn.Sequential, x: Tensor) -> None:
        """Several times faster than channels first, in pooling above all."""
        for module in net.train():
            x = module(x)
            assert all(level.movedim(1, -1).stride()[-1] == 1 for level in x), module

    def test_takes_a_memory_format(self, net: nn.Sequential, x: Tensor) -> None:
        expected = net(x)
        (expected[0].sum() + net.to(memory_format=torch.channels_last)(x)[0].sum()).backward()
        for actual, level in zip(net.to(memory_format=torch.channels_last)(x), expected, strict=True):
            torch.testing.assert_close(actual, level, rtol=0, atol=1e-5)

    def test_copies_are_the_same(self, net: nn.Sequential, grid: Grid, x: Tensor) -> None:
        other = network(grid, num_scales=net[0].num_scales).eval()
        other.load_state_dict(net.state_dict())
        for again in other, pickle.loads(pickle.dumps(net)), copy.deepcopy(net):
            assert all(torch.equal(a, b) for a, b in zip(again(x), net(x), strict=True))

    def test_runs_under_autocast(self, net: nn.Sequential, x: Tensor) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = net.train()(x)
        sum(level.float().square().mean() for level in half).backward()
        assert all(level.dtype == torch.bfloat16 and level.isfinite().all() for level in half)
        assert all(parameter.grad.isfinite().all() for parameter in net.parameters())

    def test_shapes_are_told_without_data(self, net: nn.Sequential, x: Tensor) -> None:
        shapes = [level.shape for level in net(x)]
        assert [level.shape for level in copy.deepcopy(net).to("meta")(x.to("meta"))] == shapes

    @pytest.mark.parametrize("activation, rtol", [(nn.ReLU, 0), (nn.SiLU, 1e-10)])  # torch's SiLU differs by itself
    def test_in_place_modules_train_alike(
        self, net: nn.Sequential, activation: type[nn.ReLU] | type[nn.SiLU], rtol: float, x: Tensor
    ) -> None:
        """Nothing that a convolution, a batch norm or a pooling returns is needed again, or views something."""
        gradients = []
        for inplace in (True, False):
            twin = copy.deepcopy(net).double().train()
            layers = (layer for layer in twin if not isinstance(layer, PerLevel))
            layers = (each for layer in layers for each in (layer, PerLevel(activation(inplace=inplace))))
            sum(level.square().sum() for level in nn.Sequential(*layers)(x.double())).backward()
            gradients.append([parameter.grad for parameter in twin.parameters()])
        for actual, expected in zip(*gradients, strict=True):
            torch.testing.assert_close(actual, expected, rtol=rtol, atol=rtol)
            assert actual.any()


def test_synchronised_batch_norm_finds_the_shared_one() -> None:
    net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(BatchNorm(3)))
    assert isinstance(net[0].norm, nn.SyncBatchNorm)


@pytest.mark.parametrize("ndim", [1, 2])
def test_weights_of_torch_load(ndim: int) -> None:
    plain_conv, plain_norm = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d))[ndim - 1]
    plain = nn.Sequential(plain_conv(2, 4, 5, padding=2), plain_norm(4), plain_conv(4, 6, 3, 2, padding=1, groups=2))
    nn.init.normal_(plain[1].weight)
    nn.init.uniform_(plain[1].running_var)
    lifting_conv, group_conv, *_ = LAYERS[ndim]
    net = nn.Sequential(lifting_conv(2, 4, 5, 3), BatchNorm(4), group_conv(4, 6, 3, stride=2, groups=2))
    state = plain.state_dict()
    before = set(state)
    assert str(net.load_state_dict(state)) == "<All keys matched successfully>" and set(state) == before
    x = noise(2, 2, *[50] * ndim)
    for level, view in zip(net.eval()(x), Grid(ndim).views(x, 3), strict=True):
        torch.testing.assert_close(level, plain.eval()(view), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kernel", [ZeroMean(), BSpline(2, 1.0)], ids=str)
def test_weights_of_torch_are_refused_where_the_numbers_are_no_samples(kernel: Kernel) -> None:
    for layer, plain in (
        (LiftingConv1d(1, 2, 3, 2, kernel=kernel), nn.Conv1d(1, 2, 3)),
        (
            GroupConv2d(1, 2, 3, kernel=kernel),
            nn.Conv2d(1, 2, 3),
        ),
    ):
        with pytest.raises(ValueError, match=r"samples, which (ZeroMean|BSpline)\(.*\) does not learn"):
            layer.load_state_dict(plain.state_dict())
        layer.load_state_dict(layer.state_dict())
    net = CNN(form="shared", num_scales=1, spline_spacing=1.0, base=2**0.5)
    with pytest.raises(ValueError, match="does not learn"):
        net.load_plain(CNN().state_dict())


def test_a_state_of_another_grid_is_refused() -> None:
    for make, other in (
        (lambda grid: LiftingConv1d(1, 2, 3, 2, grid=grid), Grid(1, "3/2")),
        (lambda grid: GroupConv2d(1, 2, 3, grid=grid), Grid(2, math.sqrt(2))),
        (lambda grid: LiftingConv2d(1, 2, 3, 2, grid=grid), Grid(2, rotations=2)),
        (lambda grid: LiftingConv2d(1, 2, 3, 2, grid=grid), Grid(2, rotations=4)),
    ):
        message = re.escape(f"the weights were learned on base 2, rotations 1, not on {other}")
        with pytest.raises(ValueError, match=message):
            make(other).load_state_dict(make(Grid(other.ndim)).state_dict())
        make(other).load_state_dict(make(other).state_dict())


@pytest.mark.parametrize("grid", [Grid(2), Grid(2, "3/2"), Grid(2, math.sqrt(2), 4, mirrored=True)], ids=str)
def test_averages_of_states_are_of_the_same_grid(grid: Grid) -> None:
    """Shares that add up to 1 only nearly, as in federated learning, and moving averages in single precision."""
    layer = GroupConv2d(1, 2, 3, grid=grid)
    state = {name: value.float() for name, value in layer.state_dict().items()}
    for sizes in ([7, 11, 13, 3, 19], [101, 57, 3, 988, 41], [1] * 49):
        shares = torch.tensor(sizes) / sum(sizes)
        layer.load_state_dict({name: sum(share * value for share in shares) for name, value in state.items()})
    for decay in (0.9, 0.999, 0.9999):
        average = {name: value.clone() for name, value in state.items()}
        for _ in range(100):
            average = {name: decay * value + (1 - decay) * state[name] for name, value in average.items()}
        layer.load_state_dict(average)
    with pytest.raises(ValueError, match="the weights were learned on base"):
        GroupConv2d(1, 2, 3, grid=Grid(2, "5/4", grid.rotations, grid.mirrored)).load_state_dict(average)


@pytest.mark.parametrize("kernel", [None, ZeroMean(), BSpline(2, 1.5)], ids=str)
@pytest.mark.parametrize("layer", [LiftingConv1d, LiftingConv2d, GroupConv1d, GroupConv2d])
class TestDevicesAndDtypes:
    def test_are_torchs_arguments(self, layer: type[nn.Module], kernel: object) -> None:
        made = layer(2, 4, 5, 2, kernel=kernel, device="meta", dtype=torch.float64)
        assert {(parameter.device.type, parameter.dtype) for parameter in made.parameters()} == {
            ("meta", torch.float64)
        }
        assert kernel is None or (made.matrices.device.type == "meta" and made.matrices.dtype == torch.float64)

    def test_of_an_assigned_state(self, layer: type[nn.Module], kernel: object) -> None:
        with torch.device("meta"):
            made, never_run = (layer(2, 4, 5, 2, kernel=kernel) for _ in range(2))
            state = never_run.state_dict()
        for dtype in torch.float32, torch.float64:
            other = layer(2, 4, 5, 2, kernel=kernel, dtype=dtype)
            assert torch.equal(state["_extra_state"], other.state_dict()["_extra_state"])
            made.load_state_dict(other.state_dict(), assign=True)
            x = noise(1, 2, *[40] * other.grid.ndim, dtype=dtype)
            input = x if hasattr(other, "wavelets") else other.grid.views(x, 3)
            assert all(torch.equal(a, b) for a, b in zip(made(input), other(input), strict=True))

    def test_skip_init(self, layer: type[nn.Module], kernel: object) -> None:
        made, other = nn.utils.skip_init(layer, 2, 4, 5, 2, kernel=kernel), layer(2, 4, 5, 2, kernel=kernel)
        made.load_state_dict(other.state_dict())
        x = noise(1, 2, *[40] * other.grid.ndim)
        input = x if hasattr(other, "wavelets") else other.grid.views(x, 3)
        assert all(torch.equal(a, b) for a, b in zip(made(input), other(input), strict=True))


@pytest.mark.parametrize(
    "net",
    [
        MNet(5, base=2),
        MNet(5, form="shared", num_scales=2, base=2),
        OneDCNN(form="shared", num_scales=2, readout="gated", base=2),
        SampleCNN(form="shared", num_scales=2, base=2),
        CNN(in_channels=1, base=2**0.5),
        ResNet(10, in_channels=1, form="shared", num_scales=2, width=8, rotations=4),
    ],
    ids=lambda net: type(net).__name__,
)
class TestWholeNetworks:
    def test_a_batch_of_nothing(self, net: nn.Module) -> None:
        classes = net.eval()(noise(1, 1, *[net.min_size] * net.ndim)).shape[1]
        empty = noise(0, 1, *[net.min_size] * net.ndim)
        assert net(empty).shape == (0, classes)

    def test_half_precision(self, net: nn.Module) -> None:
        x = noise(1, 1, *[net.min_size + 9] * net.ndim)
        expected = net.eval()(x)
        for dtype in torch.bfloat16, torch.float16:
            actual = copy.deepcopy(net).to(dtype)(x.to(dtype))
            assert actual.dtype == dtype
            assert (actual.float() - expected).norm() < 0.1 * expected.norm()


class TestTransformsOfTheMaxPooledLifting:
    """Its fast product has a backward, a forward derivative and a batching rule of its own."""

    @pytest.fixture
    def lift(self) -> LiftingConv1d:
        return LiftingConv1d(1, 3, 5, 2, max_pool=4).double()

    @pytest.fixture
    def x(self) -> Tensor:
        return noise(2, 1, 41, dtype=torch.float64)

    def test_vmap_over_weights(self, x: Tensor) -> None:
        ensemble = [LiftingConv1d(1, 3, 5, 2, max_pool=4).double() for _ in range(3)]
        parameters, buffers = stack_module_state(ensemble)
        mapped = torch.vmap(lambda *state: functional_call(ensemble[0], state, x))(parameters, buffers)
        assert isinstance(mapped, Levels)
        for i, net in enumerate(ensemble):
            for actual, expected in zip(mapped, net(x), strict=True):
                torch.testing.assert_close(actual[i], expected, rtol=0, atol=1e-13)

    def test_forward_derivatives(self, lift: LiftingConv1d, x: Tensor) -> None:
        weight, direction = lift.weight.detach(), torch.randn_like(lift.weight)

        def forward(weight: Tensor, x: Tensor) -> tuple[Tensor, ...]:
            return tuple(functional_call(lift, {"weight": weight}, x))

        along = torch.randn_like(x)
        _, tangents = jvp(forward, (weight, x), (direction, along))
        step = 1e-7  # the net is linear, but for the maxima
        for tangent, after, before in zip(
            tangents,
            forward(weight + step * direction, x + step * along),
            forward(weight - step * direction, x - step * along),
            strict=True,
        ):
            torch.testing.assert_close(tangent, (after - before) / (2 * step), rtol=0, atol=1e-6)

    def test_jacobians_forward_are_those_backward(self, lift: LiftingConv1d, x: Tensor) -> None:
        weight = lift.weight.detach()

        def finest(weight: Tensor) -> Tensor:
            return functional_call(lift, {"weight": weight}, x)[0]

        expected = torch.autograd.functional.jacobian(finest, weight)
        torch.testing.assert_close(jacfwd(finest)(weight), expected, rtol=0, atol=1e-13)

    def test_hessian(self, lift: LiftingConv1d, x: Tensor) -> None:
        weight = lift.weight.detach()

        def loss(weight: Tensor) -> Tensor:
            return sum(level.pow(3).sum() for level in functional_call(lift, {"weight": weight}, x))

        expected = torch.autograd.functional.hessian(loss, weight)
        torch.testing.assert_close(hessian(loss)(weight), expected, rtol=0, atol=1e-10)


def test_the_hessian_of_a_convolution_on_turns() -> None:
    """What a frame sees is selected by a function with derivatives of its own, where a gradient is wanted."""
    grid = Grid(2, rotations=4)
    net = nn.Sequential(LiftingConv2d(1, 2, 3, 1, grid=grid), GroupConv2d(2, 2, 3, grid=grid)).double()

    def loss(x: Tensor) -> Tensor:
        return sum(level.pow(3).sum() for level in net(x))

    x = noise(2, 1, 5, 4, dtype=torch.float64)
    expected = torch.autograd.functional.hessian(loss, x)
    torch.testing.assert_close(hessian(loss)(x), expected, rtol=0, atol=1e-10)
