"""U-Nets: any size, exact maps, equal parameters, and encoders of all kinds, which declare their stages."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.library.networks import noise, parameters
from wavenets.models import CNN, MNet, Network, OneDCNN, Options, ResNet, SampleCNN, ScalogramNet, UNet
from wavenets.nn import GatedMapReadout
from wavenets.testing import assert_equivariant, assert_map_equivariant, map_error

D4: Options = {"rotations": 4, "mirrored": True}
ELEMENTS = [(turns, mirror) for mirror in (False, True) for turns in range(4) if turns or mirror]


def with_statistics(net: Network) -> Network:
    """Batch norms as after training."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def test_twins_have_as_many_parameters() -> None:
    plain = parameters(UNet(2, width=34))
    for twin in UNet(2, width=17, rotations=4), UNet(2, width=12, **D4):
        assert parameters(twin) == pytest.approx(plain, rel=0.01)
    for ndim in 1, 2:
        shared = UNet(2, ndim=ndim, base=2, num_scales=3)
        shared.load_plain(UNet(2, ndim=ndim).state_dict())
        assert parameters(shared) == parameters(UNet(2, ndim=ndim))


@pytest.mark.parametrize("options", [{}, {"rotations": 2}, D4, {"rotations": 8}], ids=str)
@pytest.mark.parametrize("depth", [1, 4])
def test_any_image_goes_in_and_its_size_comes_out(options: Options, depth: int) -> None:
    net = UNet(1, 2, width=2, depth=depth, **options).eval()
    assert net.min_size == 1
    for size in (1, 1), (1, 5), (3, 2), (7, 8), (37, 53):
        output = net(noise(2, 2, *size))
        assert output.shape == (2, 1, *size) and output.isfinite().all()


@pytest.mark.parametrize("options", [{}, {"base": 2, "num_scales": 3}, {"base": "3/2", "form": "published"}], ids=str)
def test_any_waveform_from_the_least_on_goes_in(options: Options) -> None:
    net = UNet(3, 1, width=2, ndim=1, **options).eval()
    for length in (net.min_size, net.min_size + 1, 101):
        assert net(noise(1, 1, length)).shape == (1, 3, length)
    if options:
        assert net.min_size == net.grid.least_size(net.encoder.stem[0].num_scales)
        with pytest.raises(ValueError, match=f"UNet needs at least {net.min_size} samples, got {net.min_size - 1}"):
            net(noise(1, 1, net.min_size - 1))


@pytest.mark.parametrize("size", [(33, 40), (27, 27), (37, 52), (64, 64), (5, 3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_map_of_an_image_is_exact_under_all_of_d4(size: tuple[int, int], dtype: torch.dtype) -> None:
    net, x = with_statistics(UNet(2, width=2, depth=3, **D4)).to(dtype), noise(2, 3, *size, dtype=dtype)
    for turns, mirror in ELEMENTS:
        assert map_error(net, x, net.grid, turns=turns, mirror=mirror) == 0
    plain = with_statistics(UNet(2, width=4, depth=3)).to(dtype)
    assert map_error(plain, x, net.grid, turns=1) > 1e-5


@pytest.mark.parametrize(
    "options",
    [
        {"rotations": 2},
        {"mirrored": True},
        {"rotations": 8},
        {**D4, "readout": "max", "head_channels": 5},
        {**D4, "readout": "gated"},
        {**D4, "base": 2, "num_scales": 2},
        {**D4, "base": 2, "num_scales": 2, "readout": "gated"},
        {"rotations": 4, "base": "3/2", "form": "published", "readout": "logsumexp"},
    ],
    ids=str,
)
def test_maps_on_every_group_are_exact(options: Any) -> None:
    net, x = with_statistics(UNet(2, width=3, depth=3, **options)), noise(1, 3, 33, 41)
    for turns, mirror in ELEMENTS:
        if (not mirror or net.grid.mirrored) and turns * net.grid.rotations % 4 == 0:
            assert_map_equivariant(net, x, net.grid, turns=turns, mirror=mirror)
    assert isinstance(net.readout, GatedMapReadout) == (options.get("readout") == "gated")


@pytest.mark.parametrize("ndim, base", [(1, 2), (1, "3/2"), (2, 2), (2, 2**0.5)])
def test_levels_before_the_readout_are_exact_over_scales(ndim: int, base: float | str) -> None:
    net = with_statistics(UNet(2, 1, width=4, depth=3, ndim=ndim, base=base, num_scales=3))
    assert_equivariant(nn.Sequential(_Features(net), net.head), noise(1, 1, *(101, 77)[:ndim]), net.grid)


class _Features(nn.Module):
    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Any:
        return self.net.features(x)


@pytest.mark.parametrize(
    "net, size",
    [
        (MNet(5), 16_384),
        (MNet(34, base=2), 70_000),
        (OneDCNN(), 90_000),
        (SampleCNN(), 59_049),
        (ScalogramNet(base=2, width=4), 16_384),
        (CNN(), 64),
        (CNN(base=2), 96),
        (ResNet(width=8), 128),
        (ResNet(width=8, rotations=4), 128),
        (UNet(2, width=4), 64),
        (UNet(2, width=4, encoder=ResNet(width=8)), 128),
    ],
    ids=lambda value: type(value).__name__,
)
def test_stages_are_those_declared(net: Network, size: int) -> None:
    stages = net.eval().stages(noise(1, net.in_channels, *[size] * net.ndim))
    finest = [stage if isinstance(stage, Tensor) else stage[0] for stage in stages]
    assert [stage.shape[1] for stage in finest] == net.channels and isinstance(net.channels, list)
    assert [round(size / stage.shape[2], 1) for stage in finest] == pytest.approx(net.strides, rel=0.15)
    assert net.strides == sorted(set(net.strides))


@pytest.mark.parametrize("options", [{}, {"rotations": 4}, D4, {"rotations": 4, "base": 2, "num_scales": 5}], ids=str)
def test_a_decoder_on_a_resnet(options: Any) -> None:
    resnet = ResNet(width=4, **options)
    net = with_statistics(UNet(3, width=2, encoder=resnet))
    assert (net.channels, net.strides, net.grid) == ([4, 8, 16, 32], [4, 8, 16, 32], resnet.grid)
    for size in (37, 53), (64, 64):
        x = noise(1, 3, *size)
        assert net(x).shape == (1, 3, *size)
        assert net.encoder is resnet.encoder
        for turns, mirror in ELEMENTS[:5] if resnet.grid else []:
            if not mirror or resnet.grid.mirrored:
                assert_map_equivariant(net, x, resnet.grid, turns=turns, mirror=mirror)
    net.train()(noise(2, 3, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


class FeatureInfo:
    def channels(self) -> list[int]:
        return [4, 6, 8]

    def reduction(self) -> list[int]:
        return [2, 4, 8]


class Features(nn.Module):
    """A network that returns its features as those of timm do with features_only=True."""

    feature_info = FeatureInfo()

    def __init__(self) -> None:
        super().__init__()
        channels = 3, 4, 6, 8
        self.convs = nn.ModuleList(nn.Conv2d(channels[i], channels[i + 1], 3, 2, 1) for i in range(3))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for conv in self.convs:
            x = conv(x).relu()
            features.append(x)
        return features


class InputFirst(nn.Module):
    """An encoder as those of segmentation_models_pytorch: the input comes first."""

    out_channels = 3, 4, 6, 8

    def __init__(self) -> None:
        super().__init__()
        self.features = Features()

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        return [x, *self.features(x)]


@pytest.mark.parametrize("make", [Features, InputFirst, lambda: ResNet(width=4)])
@pytest.mark.parametrize("options", [{}, {"rotations": 4}, D4, {**D4, "base": 2, "num_scales": 2}], ids=str)
def test_an_encoder_that_knows_of_no_group(make: Any, options: Any) -> None:
    net = with_statistics(UNet(2, width=2, encoder=make(), **options))
    for size in (37, 53), (64, 64):
        x = noise(1, 3, *size)
        assert net(x).shape == (1, 2, *size)
        for turns, mirror in ELEMENTS[:5] if net.grid else []:
            if not mirror or net.grid.mirrored:
                assert_map_equivariant(net, x, net.grid, turns=turns, mirror=mirror)
    if options.get("base"):
        assert_equivariant(nn.Sequential(_Features(net), net.head), noise(1, 3, 64, 51), net.grid)


def test_what_encoders_declare() -> None:
    assert UNet(2, encoder=Features()).strides == [2, 4, 8]
    net = UNet(2, encoder=InputFirst(), **D4)
    assert (net.channels, net.strides) == ([3, 4, 6, 8], [1, 2, 4, 8])
    assert [tuple(level.shape) for level in net.stages(noise(1, 3, 20, 30))[1][:2]] == [(1, 4, 10, 15), (1, 4, 15, 10)]


def test_timms_networks_are_encoders() -> None:
    timm = pytest.importorskip("timm")
    for name in "resnet18", "mobilenetv3_small_050":
        encoder = timm.create_model(name, features_only=True, pretrained=False)
        net = UNet(2, encoder=encoder, **D4).eval()
        x = noise(1, 3, 70, 97)
        assert net(x).shape == (1, 2, 70, 97)
        assert_map_equivariant(net, x, net.grid, turns=1, mirror=True)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: UNet(2, encoder=nn.Conv2d(3, 4, 3)), "^Conv2d does not declare its stages: use a network of wave"),
        (lambda: UNet(2, encoder=SampleCNN()), r"whose strides are powers of two, got \[3, 9, 27, "),
        (lambda: UNet(2, encoder=ResNet(rotations=4), base=2), "the group is that of the encoder, .*: leave out base"),
        (lambda: UNet(2, num_scales=3), "^num_scales: give a group as well"),
        (lambda: UNet(2, **D4, positions="max"), "a map keeps all positions, got positions='max'"),
        (lambda: UNet(2, depth=0), "depth must be at least 1, got 0"),
        (lambda: UNet(2)(noise(1, 1, 8, 8)), r"shape \(B, 3, H, W\), got \(1, 1, 8, 8\)"),
    ],
)
def test_mistakes_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_every_parameter_learns() -> None:
    for options in ({}, D4, {**D4, "base": 2, "num_scales": 2, "readout": "gated"}):
        net = UNet(2, width=2, depth=3, **options)
        net(noise(2, 3, 33, 33)).square().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in net.parameters())
