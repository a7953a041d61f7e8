"""The networks for images: their sizes, the levels that a backbone gives, exactness, errors."""

import math
from collections.abc import Callable

import pytest
from torch import nn

from tests.library.networks import noise, parameters
from wavenets import Grid
from wavenets.models import CNN, Options, ResNet
from wavenets.nn import GroupConv2d
from wavenets.testing import assert_equivariant


def test_twins_are_of_one_size() -> None:
    plain, wavelet = parameters(CNN()), parameters(CNN(base=2**0.5))
    assert max(plain, wavelet) <= 500_000 and abs(plain - wavelet) < 0.05 * plain
    assert parameters(ResNet()) == 11_689_512  # as torchvision counts ResNet-18


@pytest.mark.parametrize("base", [2, math.sqrt(2), "3/2"])
@pytest.mark.parametrize(
    "make",
    [
        lambda base: CNN(3, 2, base=base, num_scales=6),
        lambda base: ResNet(3, 2, base=base, num_scales=6),
    ],
)
def test_whole_networks_are_exact(make: object, base: float | str) -> None:
    net = make(base)
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm1d)):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
    levels = nn.Sequential(net.encoder, net.head)
    size = (307, 290) if base == 2 else (131, 98)
    assert_equivariant(levels, noise(1, 2, *size), Grid(2, base), steps=2)


def test_kernels_of_splines_are_larger_of_as_many_numbers() -> None:
    turns: Options = {"form": "shared", "rotations": 8, "num_scales": 1, "width": 4}
    sampled = CNN(**turns, base=2**0.5)
    splines = CNN(**turns, kernel_size=5, spline_spacing=1.5, base=2**0.5)
    convs = [module for module in splines.modules() if isinstance(module, GroupConv2d)]
    assert [conv.kernel_size for conv in convs] == 2 * [(5, 5)]
    assert parameters(splines) == parameters(sampled) - 4 * (7 * 7 - 5 * 5)  # the lifting has 5 × 5 for 7 × 7 taps
    net = nn.Sequential(splines.encoder, splines.head)
    assert_equivariant(net, noise(1, 1, 33, 40), convs[0].grid, steps=0, turns=1)


@pytest.mark.parametrize("net", [CNN(4, 3), CNN(4, 3, base=2**0.5), ResNet(4, 3), ResNet(4, 3, base=2)])
def test_takes_any_size_from_the_least_on(net: nn.Module) -> None:
    net.eval()
    least = net.min_size
    for height, width in ((least, least), (least, 2 * least + 1), (61, 47)):
        assert net(noise(2, 3, height, width)).shape == (2, 4)
    if least > 1:
        name = type(net).__name__
        with pytest.raises(ValueError, match=f"{name} needs at least {least} pixels a side, got {least - 1} × 99"):
            net(noise(1, 3, least - 1, 99))
    with pytest.raises(ValueError, match=r"shape \(B, 3, H, W\), got \(1, 1, 64, 64\)"):
        net(noise(1, 1, 64, 64))


@pytest.mark.parametrize("make", [lambda: CNN(num_scales=2, base=2**0.5), lambda: ResNet(num_scales=3, base=2)])
def test_too_few_scales_are_refused_at_once(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"num_scales must be at least \d, as \d are consumed, got \d"):
        make()


def test_a_backbone_gives_a_pyramid() -> None:
    for num_scales in (4, 6):
        levels = ResNet(num_scales=num_scales, base=2).eval().features(noise(1, 3, 256, 320))
        sizes = [(8, 10), (4, 5), (2, 3)][: num_scales - 3]
        assert [tuple(level.shape) for level in levels] == [(1, 512, *size) for size in sizes]


def test_every_parameter_learns() -> None:
    for net in CNN(), CNN(base=2**0.5), ResNet(in_channels=1, num_scales=4, base=2):
        net(noise(4, 1, 96, 96)).square().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in net.parameters())
