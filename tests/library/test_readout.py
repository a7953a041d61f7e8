"""Where features leave the group: what is reduced, what is left out in training, what is invariant."""

import pytest
import torch
from torch import Tensor, inf, nan, nn

from tests.library.networks import actions, network, noise
from wavenets import Grid, Levels
from wavenets.nn import (
    GatedMapReadout,
    GatedReadout,
    LiftingConv2d,
    MapReadout,
    OrientationPool,
    PerLevel,
    Readout,
)
from wavenets.testing import assert_map_equivariant, equivariance_error, map_error


def constant_levels(count: int, batch: int, channels: int = 1) -> Levels:
    """Level i is 2^i everywhere: a sum tells which levels are in it."""
    return of_scales(*(torch.full((batch, channels, 4), 2.0**i) for i in range(count)))


def of_scales(*levels: Tensor) -> Levels:
    return Levels(*levels, grid=Grid(max(levels[0].ndim - 2, 1)))


D4 = Grid(2, base="3/2", rotations=4, mirrored=True)
MODES = ["finest", "mean", "max", "logsumexp", "confident"]


@pytest.mark.parametrize("mode", ["finest", "max", "mean", "logsumexp"])
def test_positions_are_pooled_by_mean_or_maximum(mode: str) -> None:
    levels = of_scales(noise(2, 3, 11, 7), noise(2, 3, 6, 4))
    expected = levels.map(lambda level: level.flatten(2).max(2).values)
    torch.testing.assert_close(Readout(mode, positions="max")(levels), Readout(mode)(expected))


def test_logits_without_positions_are_reduced_as_they_are() -> None:
    logits = of_scales(*(noise(4, 10) for _ in range(3)))
    torch.testing.assert_close(Readout("mean")(logits), torch.stack(logits).mean(0))


@pytest.mark.parametrize("rotations", [1, 4])
def test_scale_dropout_leaves_out_scales_but_never_all(rotations: int) -> None:
    grid = Grid(2, rotations=rotations)
    readout, scales, batch = Readout("mean", dropout=0.9).train(), 3, 4000
    levels = scales * rotations
    one_hot = Levels(*(torch.eye(levels)[i].expand(batch, -1)[..., None, None] for i in range(levels)), grid=grid)
    weights = readout(one_hot).unflatten(1, (scales, rotations))  # (B, S, R): of each level in the mean
    assert torch.equal(weights, weights[..., :1].expand_as(weights))  # the turns of a scale stay together
    kept = weights[..., 0] > 0
    assert kept.any(1).all()
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(batch))
    # A scale stays by its own draw, or as the largest of three that would all have gone.
    assert kept.float().mean().item() == pytest.approx(0.1 + 0.9**3 / 3, abs=0.02)


@pytest.mark.parametrize("mode", ["mean", "max", "logsumexp"])
def test_scale_dropout_reduces_what_is_left(mode: str) -> None:
    levels = constant_levels(3, batch=500)
    possible = {
        Readout(mode)(of_scales(*(level for i, level in enumerate(levels) if chosen >> i & 1)))[0].item()
        for chosen in range(1, 8)
    }
    seen = {round(value, 4) for value in Readout(mode, dropout=0.5).train()(levels).flatten().tolist()}
    assert seen == {round(value, 4) for value in possible}


@pytest.mark.parametrize("readout", [Readout("logsumexp", dropout=0.5), GatedReadout(1, 1, dropout=0.5)])
def test_what_is_left_counts_however_large_what_is_left_out_was(readout: nn.Module) -> None:
    if isinstance(readout, GatedReadout):
        nn.init.ones_(readout.score.weight)
    torch.manual_seed(0)
    values = of_scales(torch.full((256, 1), 200.0), torch.zeros(256, 1)).map(lambda y: y.requires_grad_())
    answers = readout(values)
    assert answers.isfinite().all() and len(answers.unique()) > 1  # some without the first scale, some with it
    answers.sum().backward()
    assert all(y.grad is not None and y.grad.isfinite().all() for y in values)


def test_no_scale_is_left_out_in_eval_mode() -> None:
    levels = constant_levels(3, batch=50)
    for make in (
        lambda dropout: Readout("mean", dropout=dropout),
        lambda dropout: GatedReadout(1, 2, dropout=dropout),
    ):
        with_dropout, without = make(0.9).eval(), make(0.0).eval()
        with_dropout.load_state_dict(without.state_dict())
        assert torch.equal(with_dropout(levels), without(levels))


@pytest.mark.parametrize("positions", ["mean", "max"])
def test_gated_readout_is_a_softmax_over_levels_times_their_logits(positions: str) -> None:
    readout = GatedReadout(6, num_classes=4, positions=positions).double()
    levels = of_scales(*(noise(3, 6, n, dtype=torch.float64) for n in (20, 10, 5)))
    pooled = [level.mean(2) if positions == "mean" else level.amax(2) for level in levels]
    scores = torch.stack([readout.score(x)[:, 0] for x in pooled]).exp()
    expected = sum(score[:, None] * readout.logits(x) for score, x in zip(scores / scores.sum(0), pooled, strict=True))
    torch.testing.assert_close(readout(levels), expected, rtol=0, atol=1e-12)


def test_gated_readout_in_training_weights_what_is_left() -> None:
    readout = GatedReadout(1, num_classes=1, dropout=0.5).train()
    nn.init.zeros_(readout.score.weight)
    nn.init.ones_(readout.logits.weight)
    nn.init.zeros_(readout.logits.bias)
    levels = constant_levels(3, batch=500)
    seen = {round(value, 4) for value in readout(levels).flatten().tolist()}
    assert seen == {1.0, 2.0, 4.0, 1.5, 2.5, 3.0, round(7 / 3, 4)}


class BesideEachOther(nn.Module):
    """What all readouts make of the same features."""

    def __init__(self, grid: Grid, readouts: list[nn.Module]) -> None:
        super().__init__()
        self.features, self.readouts = network(grid, num_scales=3, extents=(2, 1)), nn.ModuleList(readouts)

    def forward(self, x: Tensor) -> Tensor:
        levels = self.features(x)
        return torch.cat([readout(levels) for readout in self.readouts], 1)


@pytest.mark.parametrize("grid", [D4, Grid(2, rotations=8, mirrored=True)], ids=str)
def test_vectors_are_invariant_to_all_of_d4_to_the_last_bit(grid: Grid) -> None:
    net, x = BesideEachOther(grid, [*map(Readout, MODES), GatedReadout(6, 4)]).eval(), noise(2, 2, 33, 40)
    with torch.no_grad():
        expected = net(x)
        for action in actions(grid):
            assert torch.equal(net(grid.act(x, *action)), expected)


@pytest.mark.parametrize("size", [(33, 40), (64, 75), (27, 27)], ids=str)
@pytest.mark.parametrize("grid", [D4, Grid(2, rotations=4, mirrored=True), Grid(2, rotations=8)], ids=str)
def test_maps_are_turned_and_mirrored_as_the_image_is(grid: Grid, size: tuple[int, int]) -> None:
    net = BesideEachOther(grid, [*map(MapReadout, MODES), GatedMapReadout(6, 4)])
    for action in actions(grid):
        assert_map_equivariant(net, noise(2, 2, *size), grid, *action)


def test_maps_of_large_images_are_exact_where_upscaling_does_not_commute() -> None:
    net = nn.Sequential(LiftingConv2d(2, 2, 3, 3, grid=D4), MapReadout("mean")).double()
    x = noise(1, 2, 256, 300, dtype=torch.float64)
    assert [map_error(net, x, D4, *action) for action in actions(D4)] == [0.0] * 7
    coarse, size = D4.views(x, 2)[8], (511, 601)
    turned = D4.upscale(coarse.rot90(1, (2, 3)), size[::-1]).rot90(-1, (2, 3))
    assert not torch.equal(D4.upscale(coarse, size), turned)


def test_a_map_over_scales_is_exact_up_to_its_readout() -> None:
    """A smooth image: the levels move exactly, the fused map by what interpolation and the outer scales make."""
    axis = torch.linspace(-3, 3, 96, dtype=torch.float64)
    bump = torch.exp(-(axis[:, None] ** 2 + axis**2))
    image = (torch.sin(4 * axis[:, None]) * torch.cos(3 * axis) * bump)[None, None]
    grid = Grid(2)
    levels = nn.Sequential(LiftingConv2d(1, 4, 5, 4, grid=grid), PerLevel(nn.Tanh())).double()
    assert equivariance_error(levels, image, grid) == [0.0] * 3
    error = map_error(nn.Sequential(levels, MapReadout("mean")), image, grid, steps=1)
    assert 0 < error < 0.5  # 0.34: one of four scales enters and one leaves


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_map_of_one_orientation_is_the_reduction_of_upscaled_levels(mode: str) -> None:
    grid, levels = Grid(1), Levels(*(noise(2, 3, n, dtype=torch.float64) for n in (17, 9, 5)), grid=Grid(1))
    full = [levels[0], grid.upscale(levels[1], 17), grid.upscale(grid.upscale(levels[2], 9), 17)]
    stack = torch.stack(full)
    if mode == "confident":
        chosen = MapReadout(mode).chosen(levels)
        expected = torch.stack([stack[scale, i] for i, scale in enumerate(chosen)])
    else:
        expected = {"mean": stack.mean(0), "max": stack.amax(0), "logsumexp": stack.logsumexp(0)}[mode]
    torch.testing.assert_close(MapReadout(mode)(levels), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("values", [(inf, 0.0), (-inf, -inf), (inf, -inf), (nan, inf)])
def test_logsumexp_of_infinities(values: tuple[float, float]) -> None:
    levels = Levels(*(torch.full((1, 1, 1), value) for value in values), grid=Grid(1))
    expected = torch.tensor(values).logsumexp(0)
    torch.testing.assert_close(Readout("logsumexp")(levels), expected.view(1, 1), rtol=0, atol=0, equal_nan=True)


def test_the_surest_scale_of_vectors_is_that_of_the_largest_probability() -> None:
    levels = of_scales(*(3 * noise(50, 4) for _ in range(3)))
    probability = torch.stack([level.softmax(1).amax(1) for level in levels])
    assert torch.equal(Readout("confident").chosen(levels), probability.argmax(0))
    one = of_scales(*(3 * noise(50, 1) for _ in range(3)))
    assert torch.equal(Readout("confident").chosen(one), torch.stack([level[:, 0].abs() for level in one]).argmax(0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_of_answers_that_are_almost_sure_the_surest_is_chosen_in_half_precision(dtype: torch.dtype) -> None:
    vectors = of_scales(*(torch.tensor([[margin, 0.0]], dtype=dtype) for margin in (6.5, 6.75, 7.0)))
    assert Readout("confident").chosen(vectors) == 2
    sizes = {300: 6.5, 150: 7.0}  # 90,000 positions are more than float16 counts
    maps = of_scales(*(torch.full((1, 1, size, size), margin, dtype=dtype) for size, margin in sizes.items()))
    assert MapReadout("confident").chosen(maps) == 1


def test_the_surest_map_is_that_of_the_largest_mean_probability_of_what_it_shows() -> None:
    levels = of_scales(3 * noise(40, 3, 9, 8), 3 * noise(40, 3, 5, 4))
    masks = of_scales(3 * noise(40, 1, 9, 8), 3 * noise(40, 1, 5, 4))
    masks[1][0] = masks[0][1] = -1.0  # nothing is shown there, which is never sure
    for some, chosen in (
        (levels, MapReadout("confident").chosen(levels)),
        (masks, MapReadout("confident").chosen(masks)),
    ):
        for i in range(40):
            sure = []
            for level in some:
                p = level[i].softmax(0) if some is levels else torch.cat([1 - level[i].sigmoid(), level[i].sigmoid()])
                shown = p.argmax(0) > 0
                sure.append(p.amax(0)[shown].mean() if shown.any() else torch.zeros(()))
            assert chosen[i] == torch.stack(sure).argmax()
    assert MapReadout("confident").chosen(masks)[:2].tolist() == [0, 1]


@pytest.mark.parametrize("rotations", [2, 4, 8])
@pytest.mark.parametrize("mode", ["finest", "max"])
def test_maximum_over_turns_is_invariant_to_the_last_bit(mode: str, rotations: int) -> None:
    grid = Grid(2, base="3/2", rotations=rotations)
    net = nn.Sequential(network(grid, num_scales=5), Readout(mode)).eval()
    x = noise(2, 2, 61, 44)
    with torch.no_grad():
        for _, turns, _ in actions(grid):
            assert torch.equal(net(grid.act(x, turns=turns)), net(x))


@pytest.mark.parametrize("rotations", [2, 4, 8, 12])
@pytest.mark.parametrize("mode", ["max", "mean"])
@pytest.mark.parametrize("size", [(61, 44), (48, 48)])
def test_pooled_over_turns_maps_turn_with_the_image(size: tuple[int, int], mode: str, rotations: int) -> None:
    grid = Grid(2, base="3/2", rotations=rotations)
    net = nn.Sequential(network(grid, num_scales=5), OrientationPool(mode)).eval()
    x = noise(1, 2, *size)
    with torch.no_grad():
        upright = net(x)
        for _, turns, _ in actions(grid):
            for level, expected in zip(net(grid.act(x, turns=turns)), upright, strict=True):
                assert torch.equal(torch.rot90(level, -turns, (2, 3)), expected)


def test_rotation_pool_reduces_the_features_turned_upright() -> None:
    grid = Grid(2, rotations=4)
    features = Levels(*(noise(2, 3, *size) for size in ((7, 5), (5, 7), (7, 5), (5, 7))), grid=grid)
    upright = torch.stack([torch.rot90(feature, -r, (2, 3)) for r, feature in enumerate(features)])
    assert torch.equal(OrientationPool("max")(features)[0], upright.amax(0))
    torch.testing.assert_close(OrientationPool("mean")(features)[0], upright.mean(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Readout("sum"), "mode must be one of finest, mean, max, logsumexp, confident, got 'sum'"),
        (lambda: Readout("max", positions="sum"), "positions must be mean or max, got 'sum'"),
        (lambda: GatedReadout(2, 2, positions="sum"), "positions must be mean or max, got 'sum'"),
        (lambda: Readout("max", dropout=1.0), "dropout must be from 0 to below 1, got 1.0"),
        (lambda: Readout("finest", dropout=0.1), "none can be left out, got dropout=0.1"),
        (lambda: OrientationPool("sum"), "mode must be max or mean, got 'sum'"),
        (
            lambda: OrientationPool("max")(Levels([noise(1, 2, 5, 5)] * 6, grid=Grid(2, rotations=4))),
            "4 levels for each scale, one for each orientation, got 6",
        ),
        (lambda: Readout("max")(noise(2, 3, 5)), "expected a sequence of levels, got one tensor"),
        (lambda: GatedReadout(3, 2)([]), "at least one level, got none"),
    ],
)
def test_arguments_and_inputs_that_do_not_fit(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
