"""Levels add level by level, and torch takes them for a tuple: hooks, checkpoints, compilers, vmap, pickles."""

import copy
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributed.utils import _apply_to_tensors
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint

from tests.library.networks import noise
from tests.library.resnet import resnet18, swap_layers
from wavenets import Grid, Levels
from wavenets.nn import (
    AvgPool1d,
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
    OrientationPool,
    PerLevel,
    Readout,
)
from wavenets.testing import assert_equivariant


def levels(*sizes: int, grid: Grid | None = Grid(1)) -> Levels:  # noqa: B008 (a value)
    return Levels(*(noise(2, 3, n) for n in sizes), grid=grid)


class Shortcut(nn.Module):
    """As every ResNet says it."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = LiftingConv1d(1, 3, 5, num_scales=3)
        self.conv = GroupConv1d(3, 3, 3)

    def forward(self, x: Tensor) -> Levels:
        identity = self.lift(x)
        out = self.conv(identity)
        out += identity
        return out


def test_arithmetic_is_level_by_level() -> None:
    a, b = levels(9, 5), levels(9, 5)
    for actual, expected in (
        (a + b, [a[0] + b[0], a[1] + b[1]]),
        (a + list(b), [a[0] + b[0], a[1] + b[1]]),
        (list(b) and tuple(b) + a, [b[0] + a[0], b[1] + a[1]]),
        (a - b, [a[0] - b[0], a[1] - b[1]]),
        (a * b, [a[0] * b[0], a[1] * b[1]]),
        (a * 3, [a[0] * 3, a[1] * 3]),
        (0.5 * a, [0.5 * a[0], 0.5 * a[1]]),
        (a / 3, [a[0] / 3, a[1] / 3]),
        (a / b, [a[0] / b[0], a[1] / b[1]]),
        (-a, [-a[0], -a[1]]),
        (1 - a, [1 - a[0], 1 - a[1]]),
        (a.map(torch.relu), [a[0].relu(), a[1].relu()]),
        (sum([a, b]), [a[0] + b[0], a[1] + b[1]]),
    ):
        assert isinstance(actual, Levels) and len(actual) == 2 and actual.grid == Grid(1)
        assert all(torch.equal(x, y) for x, y in zip(actual, expected, strict=True))


def test_slices_are_levels_and_add() -> None:
    """A plain tuple would append, and a readout take both."""
    a, b = levels(9, 5, 3), levels(9, 5, 3)
    for some in slice(1), slice(1, None), slice(None, None, 2):
        total = a[some] + b[some]
        assert isinstance(total, Levels) and total.grid == Grid(1)
        assert all(torch.equal(x, y + z) for x, y, z in zip(total, [*a][some], [*b][some], strict=True))
    assert len(2 * a[:1]) == 1
    torch.testing.assert_close(Readout("mean")(a[:1] + b[:1]), (a[0] + b[0]).mean(2))


def test_levels_show_their_shapes_and_grid() -> None:
    assert repr(levels(9, 5)) == "Levels((2, 3, 9), (2, 3, 5), grid=Grid(ndim=1, base=2))"


def test_levels_on_different_grids_do_not_add() -> None:
    with pytest.raises(ValueError, match=r"levels on Grid\(ndim=1, base=2\) and levels on Grid\(ndim=1, base=3/2\)"):
        levels(9, 5) + levels(9, 5, grid=Grid(1, "3/2"))
    assert (levels(9, 5, grid=None) + levels(9, 5)).grid == Grid(1) == (levels(9, 5) - levels(9, 5, grid=None)).grid


def test_all_else_is_a_tuples() -> None:
    a = levels(9, 5, 3)
    fine, *coarse = a
    assert fine is a[0] and len(coarse) == 2 and a[-1] is coarse[1] and a[1:][0] is coarse[0]
    assert isinstance(a, tuple) and len(list(zip(a, a, strict=True))) == 3


def test_a_number_of_numpy_is_a_number() -> None:
    a = levels(5, 5)
    for product in np.float64(2) * a, a * np.float32(2):
        assert isinstance(product, Levels) and all(torch.equal(x, 2 * y) for x, y in zip(product, a, strict=True))


@pytest.mark.parametrize("operator", ["__add__", "__radd__", "__sub__", "__mul__"])
def test_levels_that_do_not_go_together(operator: str) -> None:
    with pytest.raises(ValueError, match="3 levels and 2 cannot be combined"):
        getattr(levels(9, 5, 3), operator)(levels(9, 5))


def test_a_shortcut_adds() -> None:
    net, x = Shortcut(), noise(2, 1, 101)
    identity = net.lift(x)
    assert all(torch.equal(y, a + b) for y, a, b in zip(net(x), net.conv(identity), identity, strict=True))


@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize("rotations", [1, 4])
def test_a_resnet_as_torchvision_writes_it_is_exact(rotations: int, turns: int) -> None:
    grid = Grid(2, rotations=rotations)
    net = resnet18(5, width=8)
    swap_layers(net, grid, num_scales=3)
    assert net(noise(2, 3, 97, 130)).shape == (2, 5)
    body = nn.Sequential(*list(net.children())[:-2])
    turns = min(turns, rotations - 1)
    assert_equivariant(body, noise(1, 3, 97, 130), grid, turns=turns)


def test_swapped_layers_of_one_scale_are_the_plain_net() -> None:
    plain, x = resnet18(5, width=8).double(), noise(2, 3, 97, 130, dtype=torch.float64)
    net = copy.deepcopy(plain)
    swap_layers(net, Grid(2), num_scales=1)
    torch.testing.assert_close(net.double()(x), plain(x), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Full backward hook")  # torch looks for inputs that are tensors themselves
def test_hooks_see_every_level() -> None:
    net, seen = Shortcut(), {}
    net.conv.register_forward_pre_hook(lambda _, inputs: seen.update(pre=inputs[0]))
    net.conv.register_forward_hook(lambda _, inputs, output: seen.update(forward=output))
    net.conv.register_full_backward_hook(lambda _, inputs, outputs: seen.update(inputs=inputs, outputs=outputs))
    output = net(noise(2, 1, 101).requires_grad_())
    grads = [torch.randn_like(level) for level in output]
    torch.autograd.backward(output, grads)
    assert isinstance(seen["pre"], Levels) and isinstance(seen["forward"], Levels)
    assert all(torch.equal(a, b) for a, b in zip(seen["outputs"], grads, strict=True))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_keep_gradients(reentrant: bool) -> None:
    net, x = Shortcut(), noise(2, 1, 101).requires_grad_()

    def checkpointed(x: Tensor) -> Levels:
        lifted = checkpoint(net.lift, x, use_reentrant=reentrant)
        return checkpoint(  # reentrant: tensors only
            lambda *levels: net.conv(Levels(*levels, grid=Grid(1))), *lifted, use_reentrant=reentrant
        )

    gradients = []
    for forward in lambda x: net.conv(net.lift(x)), checkpointed:
        net.zero_grad()
        sum(level.square().sum() for level in forward(x)).backward()
        gradients.append([parameter.grad.clone() for parameter in net.parameters()])
    for actual, expected in zip(*gradients, strict=True):  # summed by threads in an order of their own
        assert expected.any()
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_compilers_follow_a_shortcut() -> None:
    net, x = Shortcut().eval(), noise(2, 1, 101)
    expected = net(x)
    torch._dynamo.reset()
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")(x)
    exported = torch.export.export(net, (x,)).module()(x)
    for output in compiled, exported:
        assert isinstance(output, Levels) and output.grid == Grid(1)
        for actual, level in zip(output, expected, strict=True):
            torch.testing.assert_close(actual, level, rtol=0, atol=1e-6)


def _moved(x: Levels) -> Any:
    lightning = pytest.importorskip("lightning.fabric.utilities.apply_func")  # .ci/lowest has none
    return lightning.move_data_to_device(x, torch.device("cpu"))


@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        lambda x: pickle.loads(pickle.dumps(x)),
        lambda x: pytree.tree_map(torch.clone, x),
        lambda x: pytree.tree_unflatten(*_dumped(*pytree.tree_flatten(x))),
    ],
)
def test_copies_keep_the_grid(again: object) -> None:
    a = levels(9, 5, grid=Grid(1, "3/2"))
    assert again(a).grid == a.grid  # type: ignore[operator]


def _dumped(leaves: list[Tensor], spec: pytree.TreeSpec) -> tuple[list[Tensor], pytree.TreeSpec]:
    """As an archive of torch.export holds it."""
    return leaves, pytree.treespec_loads(pytree.treespec_dumps(spec))


@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        lambda x: pickle.loads(pickle.dumps(x)),
        lambda x: pytree.tree_map(torch.clone, x),
        lambda x: _apply_to_tensors(torch.clone, x),  # how FSDP
        _moved,  # and Lightning rebuild tuples,
        lambda x: type(x)(map(torch.clone, x)),  # and DataParallel
    ],
)
def test_copies_are_levels(again: object) -> None:
    a = levels(9, 5)
    b = again(a)  # type: ignore[operator]
    assert isinstance(b, Levels) and len(b) == len(a) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_vmap_gives_levels() -> None:
    net, x = Shortcut(), noise(4, 1, 101)
    mapped = torch.vmap(lambda sample: net(sample[None]))(x)
    assert isinstance(mapped, Levels)
    for actual, expected in zip(mapped, net(x), strict=True):
        torch.testing.assert_close(actual[:, 0], expected, rtol=0, atol=1e-6)


LAYERS_ON_LEVELS = [
    GroupConv1d(3, 3, 3),
    PerLevel(nn.ReLU()),
    BatchNorm(3),
    MaxPool1d(2),
    AvgPool1d(2),
    Readout("mean"),
    GatedReadout(3, 2),
]


@pytest.mark.parametrize("layer", LAYERS_ON_LEVELS, ids=lambda layer: type(layer).__name__)
class TestEveryLayer:
    def test_takes_any_sequence(self, layer: nn.Module) -> None:
        a = levels(9, 5)
        if not isinstance(layer, PerLevel | BatchNorm | MaxPool1d | AvgPool1d):  # those that must know the grid
            for sequence in (list, tuple, lambda levels: Levels(*levels)):
                with pytest.raises(ValueError, match=r"levels of unknown orientations: pass Levels\(\*levels, grid="):
                    layer(sequence(a))
            return
        kinds = [layer.eval()(sequence(a)) for sequence in (list, tuple, lambda levels: levels)]
        for output in kinds[1:]:
            assert type(output) is type(kinds[0]) and type(output) in (Levels, Tensor)
            assert all(torch.equal(x, y) for x, y in zip(output, kinds[0], strict=True))

    @pytest.mark.parametrize(
        "input, message",
        [
            (noise(2, 3, 9), r"a sequence of levels, got one tensor of shape \(2, 3, 9\): lift it first"),
            ([], "at least one level, got none"),
            (
                [noise(2, 3, 9), noise(1, 3, 5)],
                r"one batch size, .* got \(2, 3\) torch.float32, \(1, 3\) torch.float32",
            ),
            ([noise(2, 3, 9), noise(2, 3, 5).double()], r"got \(2, 3\) torch.float32, \(2, 3\) torch.float64"),
            (["fine", "coarse"], "expected tensors as levels, got str"),
        ],
    )
    def test_refuses_what_is_no_levels(self, layer: nn.Module, input: Sequence[Tensor] | Tensor, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            layer(input)


@pytest.mark.parametrize("layer", [GroupConv1d(3, 3, 3), Readout("mean"), GatedReadout(3, 2)], ids=repr)
def test_layers_that_know_the_grid_want_the_finest_first(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"finest first, got sizes \(5,\), \(9,\)"):
        layer(levels(5, 9))


def test_a_group_convolution_on_another_grid_than_the_lifting_is_refused() -> None:
    x, four = noise(1, 3, 8, 8), Grid(2, rotations=4)
    for lifted, other in ((four, Grid(2)), (Grid(2, rotations=2, mirrored=True), four), (Grid(2), Grid(2, "3/2"))):
        net = nn.Sequential(LiftingConv2d(3, 3, 3, 1, grid=lifted), GroupConv2d(3, 3, 3, grid=other))
        with pytest.raises(ValueError, match=r"expected levels on .*, got levels on .*: use one grid for all layers"):
            net(x)


@pytest.mark.parametrize(
    "layer",
    [
        GroupConv2d(3, 3, 3, grid=Grid(2, rotations=4)),
        OrientationPool("max"),
        Readout("finest"),
        MapReadout("mean"),
        GatedReadout(3, 2),
        GatedMapReadout(3, 2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_of_rotations_refuse_incomplete_turns(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match="expected 4 levels for each scale, one for each orientation, got 6"):
        layer(Levels([noise(1, 3, 8, 8)] * 6, grid=Grid(2, rotations=4)))
    with pytest.raises(ValueError, match="got one tensor"):
        layer(noise(4, 3, 8, 8))


def test_turned_levels_are_in_order() -> None:
    """Oblong views are as large as upright ones."""
    sizes = (9, 4), (4, 9), (9, 4), (4, 9)
    assert len(MaxPool2d(2)([noise(1, 3, *size) for size in sizes])) == 4
