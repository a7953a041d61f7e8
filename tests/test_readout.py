"""Where features leave the group: what is reduced, what is left out in training, what is invariant."""

import pytest
import torch
from torch import Tensor, nn

from tests.networks import network, noise
from wavenets import Grid
from wavenets.nn import GatedReadout, OrientationPool, Readout


def constant_levels(count: int, batch: int, channels: int = 1) -> list[Tensor]:
    """Level i is 2^i everywhere: a sum tells which levels are in it."""
    return [torch.full((batch, channels, 4), 2.0**i) for i in range(count)]


@pytest.mark.parametrize("mode", ["finest", "max", "mean", "logsumexp"])
def test_positions_are_pooled_by_mean_or_maximum(mode: str) -> None:
    levels = [noise(2, 3, 11, 7), noise(2, 3, 6, 4)]
    expected = [level.flatten(2).max(2).values for level in levels]
    torch.testing.assert_close(Readout(mode, positions="max")(levels), Readout(mode)(expected))


def test_logits_without_positions_are_reduced_as_they_are() -> None:
    logits = [noise(4, 10) for _ in range(3)]
    torch.testing.assert_close(Readout("mean")(logits), torch.stack(logits).mean(0))


@pytest.mark.parametrize("rotations", [1, 4])
def test_scale_dropout_leaves_out_scales_but_never_all(rotations: int) -> None:
    grid = None if rotations == 1 else Grid(2, rotations=rotations)
    readout, scales, batch = Readout("mean", dropout=0.9, grid=grid).train(), 3, 4000
    one_hot = [torch.eye(scales * rotations)[i].expand(batch, -1)[..., None] for i in range(scales * rotations)]
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
        Readout(mode)([level for i, level in enumerate(levels) if chosen >> i & 1])[0].item() for chosen in range(1, 8)
    }
    seen = {round(value, 4) for value in Readout(mode, dropout=0.5).train()(levels).flatten().tolist()}
    assert seen == {round(value, 4) for value in possible}


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
    levels = [noise(3, 6, n, dtype=torch.float64) for n in (20, 10, 5)]
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


@pytest.mark.parametrize("rotations", [2, 4, 8])
@pytest.mark.parametrize("mode", ["finest", "max"])
def test_maximum_over_turns_is_invariant_to_the_last_bit(mode: str, rotations: int) -> None:
    grid = Grid(2, base="3/2", rotations=rotations)
    net = nn.Sequential(network(grid, num_scales=5), Readout(mode, grid=grid)).eval()
    x = noise(2, 2, 61, 44)
    with torch.no_grad():
        for turns in range(4 // grid.turns, 4, 4 // grid.turns):
            assert torch.equal(net(grid.act(x, turns=turns)), net(x))


@pytest.mark.parametrize("rotations", [2, 4, 8, 12])
@pytest.mark.parametrize("mode", ["max", "mean"])
@pytest.mark.parametrize("size", [(61, 44), (48, 48)])
def test_pooled_over_turns_maps_turn_with_the_image(size: tuple[int, int], mode: str, rotations: int) -> None:
    grid = Grid(2, base="3/2", rotations=rotations)
    net = nn.Sequential(network(grid, num_scales=5), OrientationPool(mode, grid)).eval()
    x = noise(1, 2, *size)
    with torch.no_grad():
        upright = net(x)
        for turns in range(4 // grid.turns, 4, 4 // grid.turns):
            for level, expected in zip(net(grid.act(x, turns=turns)), upright, strict=True):
                assert torch.equal(torch.rot90(level, -turns, (2, 3)), expected)


def test_rotation_pool_reduces_the_features_turned_upright() -> None:
    grid = Grid(2, rotations=4)
    features = [noise(2, 3, *size) for size in ((7, 5), (5, 7), (7, 5), (5, 7))]
    upright = torch.stack([torch.rot90(feature, -r, (2, 3)) for r, feature in enumerate(features)])
    assert torch.equal(OrientationPool("max", grid)(features)[0], upright.amax(0))
    torch.testing.assert_close(OrientationPool("mean", grid)(features)[0], upright.mean(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Readout("sum"), "mode must be one of finest, max, mean, logsumexp, got 'sum'"),
        (lambda: Readout("max", positions="sum"), "positions must be mean or max, got 'sum'"),
        (lambda: GatedReadout(2, 2, positions="sum"), "positions must be mean or max, got 'sum'"),
        (lambda: Readout("max", dropout=1.0), "dropout must be from 0 to below 1, got 1.0"),
        (lambda: Readout("finest", dropout=0.1), "none can be left out, got dropout=0.1"),
        (lambda: OrientationPool("sum", Grid(2, rotations=4)), "mode must be max or mean, got 'sum'"),
        (
            lambda: OrientationPool("max", Grid(2, rotations=4))([noise(1, 2, 5, 5)] * 6),
            "4 levels for each scale, one a turn, got 6",
        ),
        (lambda: Readout("max")(noise(2, 3, 5)), "expected a sequence of levels, got one tensor"),
        (lambda: GatedReadout(3, 2)([]), "at least one level, got none"),
    ],
)
def test_arguments_and_inputs_that_do_not_fit(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
