"""The benchmarks run, and count what torch counts. No time is asserted here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import initialize_config_dir
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import CASES
from benchmarks.forward import MODES, make
from benchmarks.limits import layers_of, multiply_adds
from benchmarks.predictions import prediction, timed
from experiments.answers import CONF
from experiments.report.grid import Arm, Study
from tests.library.networks import noise
from wavenets import Grid
from wavenets.models import MNet, ResNet
from wavenets.nn import GroupConv1d, GroupConv2d, LiftingConv1d, LiftingConv2d

VARIANTS = [(dim, case, variant) for dim, cases in CASES.items() for case in cases for variant in cases[case].variants]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dim, case, variant", VARIANTS)
def test_every_variant_runs(dim: int, case: str, variant: str, mode: str) -> None:
    make(dim, case, variant, mode, batch=1, size={1: 11_025, 2: 64}[dim], device="cpu", dtype="float32")()


def counted(module: nn.Module, input: object) -> int:
    """Multiply-adds of the convolutions by torch's own count."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(input)
    return sum(counter.get_flop_counts()["Global"].values()) // 2


@pytest.mark.parametrize("network, x", [(MNet(11), noise(2, 1, 8000)), (ResNet(), noise(2, 3, 64, 96))])
def test_multiply_adds_of_plain_networks(network: nn.Module, x: torch.Tensor) -> None:
    totals: list[int] = []
    for _, layer in layers_of(network):
        layer.register_forward_hook(lambda layer, i, o: totals.append(multiply_adds(layer, i[0], o)))
    assert counted(network, x) == sum(totals)


@pytest.mark.parametrize("stride, scale_extent", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("conv, size", [(GroupConv1d, (128,)), (GroupConv2d, (64, 32))])
def test_multiply_adds_of_group_convolutions(
    conv: type[GroupConv1d] | type[GroupConv2d], size: tuple[int, ...], stride: int, scale_extent: int
) -> None:
    layer = conv(6, 8, 3, scale_extent, stride)
    levels = Grid(len(size)).views(noise(2, 6, *size), 4)
    assert multiply_adds(layer, levels, layer(levels)) == counted(layer, levels)


def test_multiply_adds_of_liftings() -> None:
    lift = LiftingConv2d(3, 8, 7, 3, stride=2, grid=Grid(2, "3/2"))
    x = noise(2, 3, 64, 48)
    assert multiply_adds(lift, x, lift(x)) == counted(lift, x)
    pooled = LiftingConv1d(1, 8, 79, 3, max_pool=4)
    assert multiply_adds(pooled, noise(2, 1, 4096), pooled(noise(2, 1, 4096))) == 2 * 8 * 79 * (4096 + 2048 + 1024)


def test_a_study_is_timed_on_its_first_test_example(tmp_path: Path) -> None:
    common = [f"data.root={tmp_path}", "data.clips_per_fold=10", "data.duration=0.5", "model=mnet"]
    overrides = {
        "plain": [],
        "views": ["views.num_scales=2"],
        "ours": ["model.base=2", "model.form=shared", "model.num_scales=2"],
    }
    arms = {name: Arm([*common, *more], chosen={"model.depth": 3}) for name, more in overrides.items()}
    study = Study("a", "A", "", "accuracy", "playback speed", 1, None, 0, arms, [])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        sources: dict[str, Any] = {}
        networks, inputs = zip(*(prediction(arm, sources) for arm in arms.values()), strict=True)
        after = timed(study, 1)
    (source,) = sources.values()  # opened once
    assert all(torch.equal(x[0], source.split("test")[0][0]) for x in inputs)
    assert [type(network).__name__ for network in networks] == ["MNet", "Sequential", "MNet"]
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert sizes[0] == sizes[1] == sum(p.numel() for p in MNet(3, num_classes=10).parameters())  # as was chosen
    assert not any(network.training for network in networks)
    assert all((arm.prediction or 0) > 0 for arm in after.arms.values())
    assert {name: replace(arm, prediction=None) for name, arm in after.arms.items()} == arms
