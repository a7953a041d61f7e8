"""The test kit sees when a module is not equivariant, and says what it cannot measure."""

import pytest
import torch
from torch import Tensor, nn

from tests.library.networks import LAYERS, network, noise
from wavenets import Grid, Levels
from wavenets.nn import GroupConv1d, LiftingConv1d, LiftingConv2d, Readout
from wavenets.testing import assert_equivariant, equivariance_error


class ZeroPaddedScales(nn.Module):
    """What others do at the coarse end: a level outside counts as zero."""

    def __init__(self, ndim: int) -> None:
        super().__init__()
        self.conv = LAYERS[ndim][1](4, 4, 3, scale_extent=2)

    def forward(self, input: Levels) -> Levels:
        return self.conv(Levels(*input, torch.zeros_like(input[-1]), grid=input.grid))


class BiasPerLevel(nn.Module):
    def forward(self, input: list[Tensor]) -> list[Tensor]:
        return [level + 1e-3 * i for i, level in enumerate(input)]


class WindowPerLevel(nn.Module):
    """A pooling that looks equally far into the signal on every level: shapes agree, values do not."""

    def __init__(self, ndim: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(LAYERS[ndim][2](size, stride=1, padding=size // 2) for size in (7, 5, 3, 1))

    def forward(self, input: list[Tensor]) -> list[Tensor]:
        return [pool([level])[0] for pool, level in zip(self.pools, input, strict=True)]


class StridePerLevel(nn.Module):
    def forward(self, input: list[Tensor]) -> list[Tensor]:
        return [level[:, :, :: len(input) - i] for i, level in enumerate(input)]


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize(
    "broken", [ZeroPaddedScales, lambda _: BiasPerLevel(), WindowPerLevel, lambda _: StridePerLevel()]
)
def test_the_kit_rejects_modules_that_are_not_equivariant(broken: type[nn.Module], ndim: int) -> None:
    lift = LAYERS[ndim][0](1, 4, 5, num_scales=4)
    x = noise(1, 1, *[99] * ndim)
    assert_equivariant(lift, x)
    errors = equivariance_error(nn.Sequential(lift, broken(ndim)), x)
    assert max(errors) > 1e-4
    with pytest.raises(AssertionError, match=r"not equivariant .* level 0: .* level 2: "):
        assert_equivariant(nn.Sequential(lift, broken(ndim)), x)


def test_the_error_is_the_relative_distance() -> None:
    lift = LiftingConv1d(1, 4, 5, num_scales=3).double()
    x = noise(1, 1, 200, dtype=torch.float64)

    def off_by_a_thousandth(x: Tensor) -> list[Tensor]:
        return [level * 1.001**i for i, level in enumerate(lift(x))]

    assert equivariance_error(off_by_a_thousandth, x) == pytest.approx([1 / 1.001 * 0.001] * 2)
    assert_equivariant(off_by_a_thousandth, x, tolerance=1e-3)
    with pytest.raises(AssertionError):
        assert_equivariant(off_by_a_thousandth, x, tolerance=0.9e-3)


def test_nan_is_no_equivariance() -> None:
    with pytest.raises(AssertionError, match="nan"):
        assert_equivariant(lambda x: [level * float("nan") for level in Grid(1).views(x, 3)], noise(1, 1, 99))


def test_the_kit_leaves_the_module_as_it_was() -> None:
    net = network(Grid(1)).train()
    net[2].norm.eval()  # frozen, as in fine-tuning
    modes = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    equivariance_error(net, noise(1, 2, 2000))
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    "module, options, message",
    [
        (nn.Sequential(LiftingConv1d(1, 2, 3, 3), GroupConv1d(2, 2, 3, 3)), {}, "returns 1 levels: none is left"),
        (nn.Sequential(LiftingConv1d(1, 2, 3, 3), Readout("max")), {}, "returns one tensor: .* or use map_error"),
        (LiftingConv1d(1, 2, 3, 3), {"steps": 4}, "returns 3 levels: none is left to compare after 4 steps"),
        (LiftingConv1d(1, 2, 3, 3), {"turns": 1}, "contains no turn by 1 quarters: pass the grid of the module"),
        (LiftingConv1d(1, 2, 3, 3), {"grid": Grid(2, rotations=4), "turns": 1}, r"shape \(B, C, H, W\)"),
        (LiftingConv1d(1, 2, 3, 3), {"steps": 0}, "steps must be at least 1, got 0"),
        (LiftingConv1d(1, 2, 3, 3), {"mirror": True}, "contains no reflections, got mirror=True: pass the grid of"),
    ],
)
def test_what_the_kit_cannot_measure(module: nn.Module, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        equivariance_error(module, noise(1, 1, 9000), **options)


def test_levels_that_are_missing_are_errors() -> None:
    lift = LiftingConv1d(1, 2, 3, 4)

    def forgetful(x: Tensor) -> list[Tensor]:
        return list(lift(x))[: 4 if x.shape[-1] > 60 else 1]

    assert equivariance_error(forgetful, noise(1, 1, 101)) == [0.0, float("inf"), float("inf")]
    with pytest.raises(AssertionError, match="level 0: 0, level 1: inf, level 2: inf"):
        assert_equivariant(forgetful, noise(1, 1, 101))


def test_incomplete_turns_cannot_be_measured() -> None:
    grid = Grid(2, rotations=4)
    lift = LiftingConv2d(1, 2, 3, 2, grid=grid)
    with pytest.raises(ValueError, match="expected 4 levels for each scale, got 7 levels"):
        equivariance_error(lambda x: lift(x)[1:], noise(1, 1, 30, 30), grid, turns=1)
