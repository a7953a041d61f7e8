"""Readouts as one map against slow versions, on every kind of grid: what is reduced, chosen and left out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.library.networks import features, network, noise
from wavenets import Grid, Levels
from wavenets.nn import GatedMapReadout, MapReadout

D4 = Grid(2, rotations=4, mirrored=True)


@pytest.mark.parametrize("grid", [Grid(1), Grid(1, "3/2"), Grid(2), D4], ids=str)
def test_levels_are_upscaled_and_brought_upright_then_reduced(grid: Grid) -> None:
    levels = features(grid, 3, 3, *[31, 22][: grid.ndim], dtype=torch.float64)
    upright = []
    for i, level in enumerate(levels):
        scale, h = divmod(i, grid.orientations)
        for finer in reversed(range(scale)):
            level = grid.upscale(level, levels[finer * grid.orientations + h].shape[2:])
        level = level.rot90(-(h % grid.rotations), (2, 3)) if h % grid.rotations else level
        upright.append(level.flip(3) if h >= grid.rotations else level)
    stack = torch.stack(upright)
    for mode, expected in (
        ("mean", stack.mean(0)),
        ("max", stack.amax(0)),
        ("logsumexp", stack.logsumexp(0)),
        ("finest", stack[: grid.orientations].amax(0)),
    ):
        torch.testing.assert_close(MapReadout(mode)(levels), expected, rtol=0, atol=1e-12)
    gated = GatedMapReadout(3, 2).double()
    conv = F.conv1d if grid.ndim == 1 else F.conv2d
    logits, scores = (
        torch.stack([conv(y, layer.weight.view(-1, 3, *[1] * grid.ndim), layer.bias) for y in upright])
        for layer in (gated.logits, gated.score)
    )
    torch.testing.assert_close(gated(levels), (scores.softmax(0) * logits).sum(0), rtol=0, atol=1e-12)


def surest(levels: list[Tensor], b: int) -> int:
    """By hand: the mean probability of what is predicted, where that is not background; nothing predicted is 0."""
    scores = []
    for level in levels:
        total, count = 0.0, 0
        for column in level[b].flatten(1).unbind(1):
            one = len(column) == 1
            p = [1 - column.sigmoid().item(), column.sigmoid().item()] if one else column.softmax(0).tolist()
            if p.index(max(p)) != 0:
                total, count = total + max(p), count + 1
        scores.append(total / count if count else 0.0)
    return scores.index(max(scores))


@pytest.mark.parametrize("channels", [1, 4])
def test_the_surest_scale_is_chosen_for_each_example(channels: int) -> None:
    levels = features(Grid(2), channels, 3, 6, 5, batch=12) * 2
    readout = MapReadout("confident")
    chosen = readout.chosen(levels).tolist()
    assert chosen == [surest(levels, b) for b in range(12)] and len(set(chosen)) > 1
    for b, i in enumerate(chosen):
        alone = Levels(*(level[b : b + 1] for level in levels), grid=Grid(2))[i]
        for finer in reversed(range(i)):
            alone = Grid(2).upscale(alone, levels[finer].shape[2:])
        torch.testing.assert_close(readout(levels)[b], alone[0], rtol=0, atol=1e-6)


def test_where_nothing_is_predicted_there_is_no_confidence() -> None:
    readout = MapReadout("confident")
    nothing, little = torch.full((1, 1, 4, 4), -9.0), torch.full((1, 1, 2, 2), 0.1)
    assert readout.chosen(Levels(nothing, little, grid=Grid(2))).item() == 1
    assert readout.chosen(Levels(nothing, little - 5, grid=Grid(2))).item() == 0  # the finest of equally sure ones


def test_maps_of_waveforms() -> None:
    net = nn.Sequential(network(Grid(1), num_scales=4, channels=1, extents=(2, 1)), MapReadout("mean"))
    assert net(noise(2, 1, 333)).shape == (2, 6, 83)
    with pytest.raises(ValueError, match="levels of unknown orientations"):
        MapReadout("mean")([noise(1, 2, 9)])


@pytest.mark.parametrize("readout", [MapReadout("mean", dropout=0.5), GatedMapReadout(1, 1, dropout=0.5)], ids=str)
def test_scale_dropout_leaves_out_scales_of_an_example(readout: nn.Module) -> None:
    if isinstance(readout, GatedMapReadout):
        nn.init.zeros_(readout.score.weight)
        nn.init.ones_(readout.logits.weight)
        nn.init.zeros_(readout.logits.bias)
    levels = Levels(*(torch.full((300, 1, 4, 4), 2.0**i) for i in range(3)), grid=Grid(2))
    maps = readout.train()(levels)
    assert torch.equal(maps, maps[:, :, :1, :1].expand_as(maps))  # at all positions alike
    assert {round(value, 4) for value in maps[:, 0, 0, 0].tolist()} == {1.0, 2.0, 4.0, 1.5, 2.5, 3.0, 2.3333}
    torch.testing.assert_close(readout.eval()(levels), torch.full_like(maps, 7 / 3))


@pytest.mark.parametrize("readout", [MapReadout("mean"), MapReadout("logsumexp"), GatedMapReadout(3, 2)], ids=str)
def test_a_map_of_many_scales_turns_to_the_last_bit(readout: nn.Module) -> None:
    """``torch.sum`` adds up more than four scales in an order that depends on the position."""
    levels = features(D4, 3, 6, 45, 38)
    for turns, mirror in ((1, False), (2, True), (3, True)):
        element = D4.group.find(turns, mirror)
        moved = Levels(*(levels[D4.moved(i, 0, element)] for i in range(len(levels))), grid=D4)
        assert torch.equal(readout(moved), D4.act(readout(levels), 0, turns, mirror))
