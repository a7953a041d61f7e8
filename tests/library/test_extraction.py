"""Features out of networks: levels as one tensor, stages, hooks, and torchinfo's table."""

import math

import pytest
import torch
import torchinfo
from torch import Tensor

from tests.library.networks import noise, parameters
from wavenets import Grid, Levels
from wavenets.functional import to_tensor
from wavenets.models import MNet, ResNet
from wavenets.nn import OrientationPool


def test_a_scalogram_has_a_row_for_each_level() -> None:
    levels = Levels(*(torch.full((2, 3, size), float(i)) for i, size in enumerate((40, 20, 10))), grid=Grid(1))
    scalogram = to_tensor(levels)
    assert scalogram.shape == (2, 3, 3, 40)
    assert all((scalogram[:, :, i] == i).all() for i in range(3))


def test_upscaling_keeps_a_ramp() -> None:
    """Half-pixel centres: sample n of level 1 lies at 2n + 1/2 of level 0."""
    fine, coarse = torch.arange(40.0)[None, None], 2 * torch.arange(20.0)[None, None] + 0.5
    scalogram = to_tensor(Levels(fine, coarse, grid=Grid(1)))
    assert torch.equal(scalogram[0, 0, 1, 1:-1], fine[0, 0, 1:-1])


@pytest.mark.parametrize("rotations", [2, 4, 8])
def test_turned_levels_are_upright(rotations: int) -> None:
    grid = Grid(2, math.sqrt(2), rotations=rotations)
    views = grid.views(noise(1, 2, 20, 31), 3)
    levels = Levels(*(view for view in views for _ in range(rotations // views.grid.rotations)), grid=grid)
    tensor = to_tensor(levels)
    assert tensor.shape == (1, 2, 3 * rotations, 20, 31)
    pooled = OrientationPool("max")(levels)
    for scale in range(3):
        turns = tensor[:, :, scale * rotations : (scale + 1) * rotations]
        assert (turns == turns[:, :, :1]).all()
        assert torch.equal(turns[:, :, 0], grid.upscale(pooled[scale], (20, 31)))


def test_levels_are_needed() -> None:
    with pytest.raises(ValueError, match="expected a sequence of levels, got one tensor"):
        to_tensor(noise(1, 2, 20))


@pytest.mark.parametrize("width", [4, 8])
def test_stages_of_a_resnet(width: int) -> None:
    x = noise(1, 3, 64, 96)
    plain, ours = ResNet(5, width=width).eval(), ResNet(5, width=width, base=2).eval()
    expected = [(width * 2**i, 16 // 2**i, 24 // 2**i) for i in range(4)]
    assert [tuple(stage.shape[1:]) for stage in plain.stages(x)] == expected
    assert [tuple(stage[0].shape[1:]) for stage in ours.stages(x)] == expected
    assert [len(stage) for stage in ours.stages(x)] == [5, 4, 3, 2]
    assert torch.equal(plain.stages(x)[-1], plain.features(x))
    assert all(torch.equal(a, b) for a, b in zip(ours.stages(x)[-1], ours.features(x), strict=True))


def test_stages_of_waveforms_end_before_a_pooling() -> None:
    net = MNet(5).eval()
    x = noise(1, 1, 8000)
    assert [stage.shape[1] for stage in net.stages(x)] == [128, 256, 512]
    assert torch.equal(net.encoder.body[1](net.stages(x)[0]), net.encoder.body[:2](net.encoder.stem(x)))
    with pytest.raises(ValueError, match="MNet needs at least 254 samples, got 100"):
        net.stages(x[..., :100])


def test_hooks_see_levels() -> None:
    """As torchvision's IntermediateLayerGetter and most feature extractors do it."""
    net, seen = ResNet(5, width=4, form="shared", num_scales=2, base=2).eval(), {}
    for name in "encoder.stem", "encoder.body.1", "encoder.body":
        net.get_submodule(name).register_forward_hook(lambda _, x, y, name=name: seen.update({name: y}))
    x = noise(1, 3, 64, 96)
    net(x)
    assert all(isinstance(y, Levels) and all(isinstance(level, Tensor) for level in y) for y in seen.values())
    for name, features in ("encoder.body.1", net.stages(x)[1]), ("encoder.body", net.features(x)):
        assert all(torch.equal(a, b) for a, b in zip(seen[name], features, strict=True))


def test_torchinfo_counts_parameters() -> None:
    net = MNet(3, form="shared", num_scales=2, base=2)
    table = torchinfo.summary(net, (1, 1, 8000), verbose=0)
    assert table.total_params == parameters(net)
    assert "BatchNorm" in str(table)
