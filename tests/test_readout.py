"""Where features leave the group: readouts against slow versions, scale dropout, pooling over turns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.networks import noise
from wavenets import Grid, Levels
from wavenets.nn import GatedReadout, GroupConv2d, LiftingConv2d, RotationPool, ScaleReadout
from wavenets.rescale import turn

SIZES = {0: (), 1: (11,), 2: (11, 6)}


def levels(num_levels: int, ndim: int = 1) -> list[Tensor]:
    return [noise(2, 3, *(n - i for n in SIZES[ndim]), dtype=torch.float64) for i in range(num_levels)]


def pooled(input: list[Tensor], positions: str) -> Tensor:
    flat = [level.reshape(2, 3, -1) for level in input]
    return torch.stack([x.sum(2) / x.shape[2] if positions == "mean" else x.max(2).values for x in flat])


@settings(deadline=None)  # the first call is slow
@given(
    readout=st.sampled_from(["finest", "max", "mean", "logsumexp"]),
    positions=st.sampled_from(["mean", "max"]),
    num_levels=st.integers(1, 4),
    ndim=st.integers(0, 2),
)
def test_readout_reduces_what_is_pooled_of_the_levels(readout: str, positions: str, num_levels: int, ndim: int) -> None:
    input = levels(num_levels, ndim)
    each = pooled(input, positions)
    expected = {
        "finest": each[0],
        "max": each.max(0).values,
        "mean": each.sum(0) / num_levels,
        "logsumexp": each.exp().sum(0).log(),
    }[readout]
    torch.testing.assert_close(ScaleReadout(readout, positions)(input), expected, rtol=0, atol=1e-12)


@settings(deadline=None)
@given(positions=st.sampled_from(["mean", "max"]), num_levels=st.integers(1, 4), ndim=st.integers(0, 2))
def test_gated_readout_weights_the_logits_of_levels(positions: str, num_levels: int, ndim: int) -> None:
    readout = GatedReadout(3, 5, positions).double()
    input = levels(num_levels, ndim)
    each = pooled(input, positions)
    expected = torch.zeros(2, 5, dtype=torch.float64)
    for b in range(2):
        scores = torch.stack([readout.score.weight[0] @ level + readout.score.bias[0] for level in each[:, b]])
        weights = scores.exp() / scores.exp().sum()
        for weight, level in zip(weights, each[:, b], strict=True):
            expected[b] += weight * (readout.logits.weight @ level + readout.logits.bias)
    torch.testing.assert_close(readout(input), expected, rtol=0, atol=1e-12)


class TestScaleDropout:
    """Levels are told apart by powers of two: the sum of those that are kept says which they are."""

    num_scales, examples = 3, 6000

    def kept(self, dropout: float, rotations: int = 1) -> Tensor:
        """Which levels of which example the maximum and the mean have seen, (examples, levels)."""
        grid = Grid(2, rotations=rotations)
        count = self.num_scales * rotations
        input = [torch.full((self.examples, 1), 2.0**i) for i in range(count)]
        torch.manual_seed(1)
        mean = ScaleReadout("mean", dropout=dropout, grid=grid).train()(input)
        torch.manual_seed(1)
        maximum = ScaleReadout("max", dropout=dropout, grid=grid).train()(input)
        subsets = torch.arange(1, 2**count)
        bits = (subsets[:, None] >> torch.arange(count)) & 1
        means = (bits * 2.0 ** torch.arange(count)).sum(1) / bits.sum(1)
        tops = (bits * 2.0 ** torch.arange(count)).amax(1)
        found = (means == mean) & (tops == maximum)  # (examples, subsets)
        assert found.any(1).all()
        return bits[found.int().argmax(1)].bool()

    def test_leaves_scales_out_but_never_all(self) -> None:
        kept = self.kept(dropout=0.4)
        assert kept.any(1).all()
        share = kept.float().mean(0)  # 0.6, and where all were left out, one in three comes back
        torch.testing.assert_close(share, torch.full((3,), 0.6 + 0.4**3 / 3), rtol=0, atol=0.03)
        assert not torch.equal(kept[0], kept[1:10].all(0)) and len(kept.unique(dim=0)) == 7

    def test_keeps_one_at_the_least(self) -> None:
        kept = self.kept(dropout=0.999)
        assert (kept.sum(1) == 1).float().mean() > 0.99
        torch.testing.assert_close(kept.float().mean(0), torch.full((3,), 1 / 3), rtol=0, atol=0.03)

    def test_the_turns_of_a_scale_stay_together(self) -> None:
        kept = self.kept(dropout=0.4, rotations=2).unflatten(1, (3, 2))
        assert torch.equal(kept[..., 0], kept[..., 1]) and len(kept.unique(dim=0)) == 7

    @pytest.mark.parametrize("mode", ["mean", "max", "logsumexp", "gated"])
    def test_is_the_readout_of_the_scales_that_are_kept(self, mode: str) -> None:
        input = levels(3)
        make = (lambda **o: GatedReadout(3, 5, **o)) if mode == "gated" else (lambda **o: ScaleReadout(mode, **o))
        readout = make(dropout=0.5).double()
        subsets = [[i for i in range(3) if number >> i & 1] for number in range(1, 8)]
        expected = torch.stack([readout.eval()([input[i] for i in subset]) for subset in subsets])
        readout.train()
        for _ in range(20):
            output = readout(input)
            assert all((output[b] - expected[:, b]).abs().amax(1).min() < 1e-12 for b in range(2))
        assert torch.equal(readout.eval()(input), expected[-1])

    def test_gradients_are_finite(self) -> None:
        for readout in (
            ScaleReadout("logsumexp", dropout=0.9),
            ScaleReadout("max", dropout=0.9),
            GatedReadout(3, 2, dropout=0.9),
        ):
            input = [noise(8, 3, 5).requires_grad_() for _ in range(4)]
            readout(input).sum().backward()
            assert all(level.grad.isfinite().all() for level in input)


@pytest.mark.parametrize("size", [(27, 27), (33, 40)], ids=str)
@pytest.mark.parametrize("rotations", [2, 4, 8, 12])
class TestOverTurns:
    @pytest.fixture
    def grid(self, rotations: int) -> Grid:
        return Grid(2, "3/2", rotations=rotations)

    @pytest.fixture
    def net(self, grid: Grid) -> nn.Sequential:
        return nn.Sequential(LiftingConv2d(3, 4, 5, 2, grid=grid), GroupConv2d(4, 3, 3, stride=2, grid=grid))

    @pytest.mark.parametrize("mode", ["max", "mean"])
    def test_rotation_pool_turns_with_the_image(
        self, net: nn.Sequential, grid: Grid, mode: str, size: tuple[int, int]
    ) -> None:
        x, dense = noise(1, 3, *size), nn.Sequential(net, RotationPool(mode, grid))
        maps = dense(x)
        assert isinstance(maps, Levels) and len(maps) == 2
        for quarters in range(0, 4, 4 // grid.turns):
            for moved, level in zip(dense(turn(x, quarters)), maps, strict=True):
                assert torch.equal(turn(moved, -quarters), level)
        assert torch.equal(dense(grid.act(x, steps=1))[0], maps[1])

    @pytest.mark.parametrize("mode", ["max", "mean"])
    def test_rotation_pool_reduces_upright_maps(
        self, net: nn.Sequential, grid: Grid, mode: str, size: tuple[int, int]
    ) -> None:
        features, finer = net(noise(1, 3, *size)), grid.rotations // grid.turns
        maps = RotationPool(mode, grid)(features)
        for i, level in enumerate(maps):
            upright = [
                features[i * grid.rotations + r].rot90(-(r // finer) * (4 // grid.turns), (2, 3))
                for r in range(grid.rotations)
            ]
            stacked = torch.stack(upright)
            expected = stacked.max(0).values if mode == "max" else stacked.mean(0)
            torch.testing.assert_close(level, expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("mode", ["max", "finest"])
    @pytest.mark.parametrize("positions", ["mean", "max"])
    def test_maxima_over_turns_are_invariant(
        self, net: nn.Sequential, grid: Grid, mode: str, positions: str, size: tuple[int, int]
    ) -> None:
        x, classify = noise(1, 3, *size), nn.Sequential(net, ScaleReadout(mode, positions, grid=grid))
        for quarters in range(0, 4, 4 // grid.turns):
            assert torch.equal(classify(turn(x, quarters)), classify(x))
