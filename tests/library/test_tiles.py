"""Tiled is whole: for networks of many kinds, sizes that are multiples of nothing, and images of any type."""

import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.library.networks import noise
from tests.slow import quickly
from wavenets import Grid, equivariant
from wavenets._tiles import field
from wavenets.models import UNet
from wavenets.nn import Canonicalize, MapReadout, PerLevel, Views
from wavenets.tiles import predict, receptive_field


def block(ndim: int, inside: int, outside: int) -> nn.Sequential:
    conv, norm = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d))[ndim - 1]
    return nn.Sequential(conv(inside, outside, 3, padding=1), norm(outside), nn.ReLU())


def randomize_norms(network: nn.Module) -> None:
    for norm in network.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)


class PlainUNet(nn.Module):
    """A U-Net as many write it: max-pooling, interpolation by 2, cropped to the skip connection."""

    def __init__(self, width: int = 6, depth: int = 3, ndim: int = 2, channels: int = 3, ceil: bool = True) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(depth)]
        self.mode, self.ceil = ("linear", "bilinear")[ndim - 1], ceil
        self.pool = (F.max_pool1d, F.max_pool2d)[ndim - 1]
        self.down = nn.ModuleList(block(ndim, *pair) for pair in zip([channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(block(ndim, a + b, a) for a, b in pairwise(widths))
        self.head = (nn.Conv1d, nn.Conv2d)[ndim - 1](width, 2, 1)
        randomize_norms(self)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for layer in self.down:
            x = layer(self.pool(x, 2, ceil_mode=self.ceil) if skips else x)
            skips.append(x)
        for skip, layer in zip(reversed(skips[:-1]), reversed(self.up), strict=True):
            x = F.interpolate(x, scale_factor=2, mode=self.mode)
            x = F.pad(x, [n for i in (-1, -2)[: x.ndim - 2] for n in (0, skip.shape[i] - x.shape[i])], "replicate")
            x = layer(torch.cat([skip, x], 1))
        return self.head(x)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def conv(inside: int = 3, outside: int = 2, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, padding=options.pop("padding", "same"), **options)


def by_2(**options: Any) -> nn.Module:
    """Down and up again, cropped to the size of the image."""
    down, up = nn.Conv2d(3, 4, 4, stride=2, padding=1), nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1)
    return nn.Sequential(Apply(lambda x: F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))), down, nn.ReLU(), up)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": lambda: nn.Sequential(conv(), nn.GELU(), conv(2)),
    "dilated": lambda: nn.Sequential(conv(dilation=9), nn.ReLU(), conv(2, dilation=4)),
    "reflected": lambda: conv(kernel=7, padding_mode="reflect"),
    "replicated": lambda: conv(kernel=5, padding_mode="replicate"),
    "of two reaches": lambda: nn.Conv2d(3, 2, (3, 9), padding=(1, 4)),
    "even kernel": lambda: nn.Sequential(nn.ZeroPad2d((0, 3, 3, 0)), nn.Conv2d(3, 2, 4)),
    "U-Net": PlainUNet,
    "U-Net, floor": lambda: PlainUNet(ceil=False),
    "pooled by 3": lambda: nn.Sequential(
        nn.MaxPool2d(3, ceil_mode=True), conv(), nn.Upsample(scale_factor=3, mode="bilinear")
    ),
    "transposed": by_2,
    "stride 4, ceil": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.MaxPool2d(2, ceil_mode=True)),
    "stride 4, floor": lambda: nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.AvgPool2d(2), nn.Conv2d(4, 2, 1)),
    "twice the size": lambda: nn.Sequential(conv(3, 8), nn.PixelShuffle(2)),
    "without padding": lambda: nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 2, 3)),
    "chessboard": lambda: nn.Sequential(conv(), Apply(lambda x: x * (torch.arange(x.shape[3], device=x.device) % 2))),
    "where, a leaky ReLU": lambda: nn.Sequential(conv(), Apply(lambda x: torch.where(x > 0, x, x / 9)), conv(2)),
    "no parameters": lambda: nn.AvgPool2d(3, 1, 1),
    "of nothing": lambda: Apply(torch.zeros_like),
    "turned": lambda: nn.Sequential(Views(1, Grid(2, rotations=4)), PerLevel(PlainUNet(3)), MapReadout("mean")),
    "mirrored": lambda: nn.Sequential(
        Views(1, Grid(2, rotations=4, mirrored=True)), PerLevel(PlainUNet(2, 2)), MapReadout("logsumexp")
    ),
    "scaled": lambda: nn.Sequential(Views(2, Grid(2)), PerLevel(PlainUNet(4, 2)), MapReadout("max")),
}


def whole(network: nn.Module, image: Any) -> Tensor:
    with torch.no_grad():
        return network.eval()(torch.as_tensor(image)[None])[0]


def difference(actual: Any, expected: Tensor) -> float:
    """Of the largest number."""
    assert tuple(actual.shape) == tuple(expected.shape)
    return float((torch.as_tensor(actual) - expected).abs().max() / expected.abs().max().clamp(min=1e-300))


@pytest.mark.parametrize("size", [(191, 193), (144, 201)])
@pytest.mark.parametrize("name", NETWORKS)
def test_tiled_is_whole(name: str, size: tuple[int, int]) -> None:
    network, image = NETWORKS[name]().double(), noise(3, *size, dtype=torch.float64)
    expected = whole(network, image)
    for tile in (40, 100):
        assert difference(predict(network, image, tile=tile), expected) <= 1e-14


@pytest.mark.parametrize("name", ["convolutions", "U-Net", "turned", "scaled"])
def test_tiled_is_whole_in_float32(name: str) -> None:
    network, image = NETWORKS[name](), noise(3, 191, 193)
    assert difference(predict(network, image, tile=64, batch_size=3), whole(network, image)) <= 1e-6


OURS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: UNet(2, width=6),
    "C4": lambda: UNet(2, width=3, depth=2, rotations=4),
    "D4": lambda: UNet(2, width=2, depth=2, rotations=4, mirrored=True),
    "three scales": lambda: UNet(2, width=3, depth=2, base=2, num_scales=3),
    "two scales of C2, published": lambda: UNet(2, width=2, depth=2, rotations=2, num_scales=2, form="published"),
    "gated": lambda: UNet(2, width=2, depth=2, num_scales=2, base=2, readout="gated"),
}


@pytest.mark.parametrize("name", quickly(OURS, "C4", "gated"))
def test_our_u_nets(name: str) -> None:
    sizes = {"three scales": (401, 403), "D4": (101, 193)}  # of eight orientations one axis is cut, for the time's sake
    network, image = OURS[name](), noise(3, *sizes.get(name, (191, 193)))
    randomize_norms(network)
    assert difference(predict(network, image, tile=101, batch_size=2), whole(network, image)) <= 1e-6
    network, image = network.double(), image.double()
    assert difference(predict(network, image, tile=101), whole(network, image)) <= 1e-12


def test_our_u_nets_of_signals() -> None:
    network = UNet(2, 1, width=4, depth=3, ndim=1, base="3/2", num_scales=3).double()
    signal = noise(1, 5003, dtype=torch.float64)
    assert difference(predict(network, signal, tile=500), whole(network, signal)) <= 1e-12


ACTIVATIONS: list[Callable[[], nn.Module]] = [nn.ReLU, nn.SiLU, nn.Tanh, nn.Hardswish]


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    tile=st.integers(1, 40),
    layers=st.lists(
        st.tuples(st.sampled_from([1, 3, 5]), st.integers(1, 3), st.integers(1, 3), st.sampled_from(ACTIVATIONS)),
        min_size=1,
        max_size=3,
    ),
)
def test_any_network_any_size_any_tile(size: tuple[int, int], tile: int, layers: Sequence[Any]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*(
        nn.Sequential(
            conv(2, 2, kernel, dilation=dilation),
            activation(),
            nn.MaxPool2d(pool, ceil_mode=True),
            nn.Upsample(scale_factor=pool),
        )
        for kernel, dilation, pool, activation in layers
    )).double()  # fmt: skip
    image = noise(2, *size, dtype=torch.float64)
    assert difference(predict(network, image, tile=tile), whole(network, image)) <= 1e-14


def shapes_seen(network: nn.Module) -> list[tuple[int, ...]]:
    """The shapes of what a network is given from now on, but for the probes, which are in float64."""
    seen: list[tuple[int, ...]] = []

    def see(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].dtype == torch.float32:
            seen.append(tuple(inputs[0].shape))

    network.register_forward_pre_hook(see)
    return seen


def test_windows_of_one_size_in_batches() -> None:
    network = PlainUNet()
    seen = shapes_seen(network)
    image = noise(3, 301, 262)
    tiled = predict(network, image, tile=64, batch_size=4)
    assert {shape[1:] for shape in seen} == {(3, 64 + 2 * 16 + 1, 64 + 2 * 16 + 2)}
    assert [shape[0] for shape in seen] == [4] * 6 + [1]  # 5 x 5 tiles
    assert difference(tiled, whole(network, image)) <= 1e-6


@pytest.mark.parametrize("tile", [400, 203, 180])
def test_a_tile_larger_than_the_image_is_one_pass(tile: int) -> None:
    network = nn.Sequential(PlainUNet(), nn.GroupNorm(1, 2) if tile > 200 else nn.Identity())
    seen, image = shapes_seen(network), noise(3, 191, 203)
    assert torch.equal(predict(network, image, tile=tile), whole(network, image))
    assert seen == [(1, 3, 191, 203)] * 2


@pytest.mark.parametrize("length", [5003, 4096])
def test_signals(length: int) -> None:
    rational = nn.Sequential(Views(2, Grid(1, base="3/2")), PerLevel(PlainUNet(4, 2, 1, 1)), MapReadout("mean"))
    strided = nn.Sequential(nn.Conv1d(1, 4, 80, 4, 40), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(4, 3, 3, padding=1))
    signal = noise(1, length, dtype=torch.float64)
    for network, field_of_view in (
        (PlainUNet(4, 4, 1, 1), (36, 8)),
        (strided, None),
        (rational, None),
    ):
        network = network.double()
        if field_of_view:
            assert receptive_field(network, channels=1, ndim=1) == field_of_view
        assert difference(predict(network, signal, tile=500, batch_size=2), whole(network, signal)) <= 1e-14


FIELDS: dict[str, tuple[int, int]] = {
    "convolutions": (2, 1),
    "dilated": (13, 1),
    "reflected": (3, 1),
    "of two reaches": (4, 1),
    "even kernel": (3, 1),
    "U-Net": (16, 4),
    "chessboard": (1, 2),
    "where, a leaky ReLU": (2, 1),
    "no parameters": (1, 1),
    "of nothing": (0, 1),
    "transposed": (3, 2),
}


@pytest.mark.parametrize("name", FIELDS)
def test_receptive_fields(name: str) -> None:
    assert receptive_field(NETWORKS[name]()) == FIELDS[name]


@pytest.mark.parametrize("name", ["even kernel", "U-Net", "transposed", "pooled by 3", "turned", "scaled"])
def test_the_field_is_that_of_single_pixels(name: str) -> None:
    """A NaN in one pixel of an image, at every phase: slow, and on all of the image."""
    network = NETWORKS[name]().double().eval()
    radius, stride = receptive_field(network)
    size = round_to(2 * radius + 3 * stride, stride)
    furthest = 0
    for phase in range(stride):
        x, at = noise(1, 3, size, size, dtype=torch.float64), size // 2 + phase
        x[..., at, size // 2] = torch.nan
        with torch.no_grad():
            rows = network(x).isnan().any(3).any(1).nonzero()[:, 1]
        furthest = max(furthest, at - int(rows.min()), int(rows.max()) - at)
    assert furthest == radius


def round_to(n: int, multiple: int) -> int:
    return (n // multiple + 1) * multiple


def test_small_strides_take_few_passes() -> None:
    network, passes = PlainUNet(16, 4), []
    network.register_forward_pre_hook(lambda _, inputs: passes.append(inputs[0].numel() // 3))
    assert receptive_field(network) == (36, 8)
    assert len(passes) <= 50 and sum(passes) <= 16 * 40_000


def hidden_mean(x: Tensor) -> Tensor:
    """A mean over all positions that NaNs do not pass."""
    mean = x.mean((2, 3), keepdim=True)
    return x - torch.where(mean.isnan(), 0, mean)


class Squeeze(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


def relu_by_where(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0)


ALL, MOVES, BORDER = "looks at all of the image", "does not move with the image", "connects opposite borders"
FURTHER = "looks further than a NaN spreads"
REFUSED: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "GroupNorm": (ALL, lambda: nn.Sequential(conv(3, 4), nn.GroupNorm(2, 4))),
    "InstanceNorm": (ALL, lambda: nn.Sequential(conv(3, 4), nn.InstanceNorm2d(4))),
    "BatchNorm of each batch": (ALL, lambda: nn.Sequential(conv(), nn.BatchNorm2d(2, track_running_stats=False))),
    "squeeze and excitation": (ALL, lambda: nn.Sequential(conv(), Squeeze())),
    "mean over columns": (ALL, lambda: Apply(lambda x: x - x.mean(3, keepdim=True))),
    "pyramid pooling": (
        ALL,
        lambda: Apply(lambda x: x + F.interpolate(F.adaptive_avg_pool2d(x, 2), size=x.shape[2:], mode="bilinear")),
    ),
    "circular padding": (BORDER, lambda: conv(padding_mode="circular")),
    "rolled": (BORDER, lambda: Apply(lambda x: x.roll(1, 3))),
    "hidden mean": (MOVES, lambda: nn.Sequential(conv(), Apply(hidden_mean))),
    "hidden maximum": (MOVES, lambda: Apply(lambda x: x + torch.nan_to_num(x).amax((2, 3), keepdim=True))),
    "ReLU by where": (FURTHER, lambda: nn.Sequential(conv(3, 4), Apply(relu_by_where), conv(4, 2, 9))),
    "aligned corners": (
        MOVES,
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
    ),
    "positions": (MOVES, lambda: Apply(lambda x: x + torch.linspace(0, 1, x.shape[3], dtype=x.dtype))),
    "base √2": (
        MOVES,
        lambda: nn.Sequential(Views(2, Grid(2, base=2**0.5)), PerLevel(conv()), MapReadout("mean")),
    ),
    "of one size": ("fails on an image of size", lambda: Apply(lambda x: x + torch.zeros(512, 300))),
    "one vector": (r"expected a map \(B, K, H, W\) from images", lambda: Apply(lambda x: x.mean((2, 3)))),
    "a dictionary": ("got dict", lambda: Apply(lambda x: {"out": x})),  # type: ignore[arg-type,return-value]
    "one number": ("does not grow with the image", lambda: nn.AdaptiveAvgPool2d(1)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_tiled_says_why(name: str) -> None:
    why, make = REFUSED[name]
    network, image = make(), noise(3, 150, 190)
    with pytest.raises(ValueError, match=f"{why}.*: give a margin, to blend tiles that overlap$"):
        predict(network, image, tile=32)
    with pytest.raises(ValueError, match=why):
        receptive_field(network)


def test_interpolation_to_a_size_is_exact_where_the_ratio_is_2() -> None:
    def network(x: Tensor) -> Tensor:
        return F.interpolate(F.max_pool2d(x, 2, ceil_mode=True), size=x.shape[2:], mode="bilinear")

    even, odd = noise(3, 150, 190, dtype=torch.float64), noise(3, 150, 191, dtype=torch.float64)
    assert difference(predict(Apply(network), even, tile=32), whole(Apply(network), even)) == 0
    with pytest.raises(ValueError, match=MOVES):
        predict(Apply(network), odd, tile=32)


def test_blended_tiles_and_the_difference_at_their_seams() -> None:
    network = nn.Sequential(PlainUNet(), nn.GroupNorm(1, 2))
    image = noise(3, 191, 203)
    with pytest.warns(UserWarning, match=r"all of the image.*differ by 0\.\d+ of the map") as warned:
        blended = predict(network, image, tile=64, margin=16)
    assert len(warned) == 1 and warned[0].filename == __file__
    assert 0 < difference(blended, whole(network, image)) < 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(network, image, tile=192, margin=16)  # two windows would be one
        exact = predict(network[0], image, tile=64, margin=1)
    assert difference(exact, whole(network[0], image)) <= 1e-6


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_difference_is_that_of_neighbours(batch_size: int) -> None:
    """Each tile says its own mean, everywhere: neighbours differ by the difference of these."""
    network, image = Apply(lambda x: x.mean(2, keepdim=True).expand_as(x)), noise(1, 150, dtype=torch.float64)
    with pytest.warns(UserWarning) as warned:
        tiled = predict(network, image, tile=50, margin=10, batch_size=batch_size)
    means = [image[:, start : start + 70].mean() for start in (0, 40, 80)]
    pairs = list(pairwise(means))
    squares = sum((a - b) ** 2 for a, b in pairs) / sum((a**2 + b**2) / 2 for a, b in pairs)
    stated = float(str(warned[0].message).partition("differ by ")[2].split()[0])
    assert stated == pytest.approx(float(squares) ** 0.5, rel=0.05)  # two digits
    assert torch.equal(tiled[0, [0, 39, 60, 89]], torch.stack([means[0], means[0], means[1], means[1]]))
    assert tiled[0, 45] == pytest.approx(float(0.8247 * means[0] + 0.1753 * means[1]), abs=1e-3)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    size=st.tuples(st.integers(9, 60), st.integers(9, 60)),
    tile=st.integers(1, 30),
    margin=st.integers(1, 20),
    factor=st.sampled_from([1, 2, 4]),
)
def test_weights_of_blended_tiles_sum_to_1(size: tuple[int, int], tile: int, margin: int, factor: int) -> None:
    """A network that looks at all of the image, and makes nothing of it."""

    def network(x: Tensor) -> Tensor:
        return F.max_pool2d(x + 0 * x.mean(), factor, ceil_mode=True)

    image = noise(2, *size, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiled = predict(Apply(network), image, tile=tile * factor, margin=margin)
    assert difference(tiled, whole(Apply(network), image)) <= 1e-14


def test_a_network_of_one_size_has_windows_of_it() -> None:
    network = nn.Sequential(conv(), Apply(lambda x: x + torch.linspace(0, 1e-3, 96 * 96).view(96, 96).to(x)))
    image = noise(3, 301, 262)
    with pytest.warns(UserWarning, match="fails on an image of size"):
        tiled = predict(network, image, tile=80, margin=8)
    assert difference(tiled, whole(network[0], image)) <= 0.01


class Chosen(nn.Module):
    """Blurs by the one of several windows whose map is largest on the average: a chooser, made up."""

    choice: int | None = None

    def answers(self, x: Tensor) -> list[Tensor]:
        return [(1 + i / 20) * F.avg_pool2d(x, 2 * i + 1, 1, i) for i in (1, 2, 3)]

    def evidence(self, x: Tensor) -> list[Tensor]:
        return [torch.stack([y.square().sum(1), torch.ones_like(y[:, 0])], 1) for y in self.answers(x)]

    def forward(self, x: Tensor) -> Tensor:
        if self.choice is not None:
            return self.answers(x)[self.choice]
        scores = torch.stack([y.square().mean((1, 2, 3)) for y in self.answers(x)])
        return torch.stack([self.answers(one[None])[i][0] for one, i in zip(x, scores.argmax(0), strict=True)])


def coarse_and_fine() -> Tensor:
    """An image whose left three quarters are noise and whose right quarter is smooth, so that tiles disagree."""
    image = noise(3, 191, 203, dtype=torch.float64)
    image[..., 150:] = 1 + image[..., 150:] / 100
    return image


def test_a_choice_is_that_of_the_whole_image() -> None:
    chosen, image = Chosen(), coarse_and_fine()
    parts = [whole(chosen, part) for part in (image[..., :150], image[..., 150:])]
    assert torch.equal(parts[0], chosen.answers(image[None, ..., :150])[0][0])
    assert torch.equal(parts[1], chosen.answers(image[None, ..., 150:])[2][0])
    for network in (
        chosen,
        nn.Sequential(conv().double(), nn.ReLU(), Chosen(), Chosen()),
        nn.Sequential(Views(1, Grid(2, rotations=4)), PerLevel(Chosen()), MapReadout("mean")),
    ):
        expected = whole(network, image)
        assert difference(predict(network, image, tile=40, batch_size=2), expected) <= 1e-14
        assert torch.equal(whole(network, image), expected)  # it chooses by itself again
        assert not any(module._forward_pre_hooks for module in network.modules())
    assert receptive_field(chosen) == (3, 1)


def equivariants(network: nn.Module, base: float) -> list[nn.Module]:
    """Networks that choose a scale or a pose."""
    score = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 1, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    sure = partial(equivariant, mode="confident", maps=True)
    made = [
        sure(network, Grid(2, base=base), 3),
        sure(equivariant(network, Grid(2, rotations=2, mirrored=True), maps=True), Grid(2, base=base), 2),
        equivariant(sure(network, Grid(2, base=base), 2), Grid(2, rotations=2), maps=True),
        Canonicalize(network, score, Grid(2, base=base, rotations=4), 2),
        sure(Canonicalize(network, score, Grid(2, rotations=4)), Grid(2, base=base), 2),
    ]
    return [module.double() for module in made]


@pytest.mark.parametrize("kind", quickly(range(5), 0, 3))
def test_a_scale_or_a_pose_is_that_of_the_whole_image(kind: int) -> None:
    image, network = coarse_and_fine(), PlainUNet(2, 2)
    for seed in range(2):
        torch.manual_seed(seed)
        net = equivariants(PlainUNet(2, 2), 2)[kind]
        assert difference(predict(net, image, tile=80), whole(net, image)) <= 1e-14
    rooted = equivariants(network, 2**0.5)[kind]
    with pytest.raises(ValueError, match=MOVES):
        predict(rooted, image, tile=80)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        tiled = predict(rooted, image, tile=80, margin=32)
    exact = difference(tiled, whole(rooted, image)) <= 1e-14
    assert exact or (len(warned) == 1 and difference(tiled, whole(rooted, image)) <= 0.3)


class Slices:
    """An array that can do nothing but be sliced, as arrays in files are, and counts what is written."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.written, self.shape, self.dtype = array, np.zeros(array.shape, int), array.shape, array.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        assert all(isinstance(part, slice) and part.step is None for part in key)
        return self.array[key].copy()

    def __setitem__(self, key: tuple[slice, ...], value: np.ndarray) -> None:
        assert self.array[key].shape == value.shape
        self.array[key] = value
        self.written[key] += 1


DTYPES = ["uint8", "int16", ">u2", "uint16", ">f4", "int64", "bool", "float64", "float16"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_images_of_any_type(dtype: str) -> None:
    network = PlainUNet(4, 2)
    array = np.random.default_rng(0).integers(0, 200, (3, 101, 113)).astype(dtype)
    expected = whole(network, array.astype(np.float32))
    tiled = predict(network, array, tile=64)
    assert isinstance(tiled, np.ndarray) and tiled.dtype == np.float32
    assert difference(tiled, expected) <= 1e-6
    backwards = np.ascontiguousarray(array[:, ::-1].transpose(2, 0, 1)).transpose(1, 2, 0)[:, ::-1]
    assert np.array_equal(predict(network, backwards, tile=64), tiled)


def test_tensors_stay_tensors_and_slices_are_written_once() -> None:
    network, image = PlainUNet(4, 2), torch.randint(255, (3, 101, 113), dtype=torch.uint8)
    expected = whole(network, image.float())
    tiled = predict(network, image, tile=40)
    assert isinstance(tiled, Tensor) and not tiled.requires_grad and difference(tiled, expected) <= 1e-6
    out = Slices(np.full((2, 101, 113), np.nan, np.float32))
    assert predict(network, Slices(image.numpy()), tile=40, out=out) is out
    assert difference(out.array, expected) <= 1e-6 and (out.written == 1).all()
    half = torch.zeros(2, 101, 113, dtype=torch.float16)
    predict(network, image, tile=40, out=half)
    assert torch.equal(half, tiled.half())
    brain = network.bfloat16()
    assert predict(brain, image.numpy(), tile=40).dtype == np.float32
    assert predict(brain, image, tile=40).dtype == torch.bfloat16


@pytest.mark.parametrize("margin", [None, 8])
def test_memory_maps(tmp_path: Path, margin: int | None) -> None:
    network = nn.Sequential(PlainUNet(4, 2), nn.GroupNorm(1, 2) if margin else nn.Identity())
    image = np.memmap(tmp_path / "image", np.uint8, "w+", shape=(3, 120, 150))
    image[:] = np.random.default_rng(0).integers(0, 255, image.shape)
    out = np.memmap(tmp_path / "map", np.float32, "w+", shape=(2, 120, 150))
    copied = np.memmap(tmp_path / "image", np.uint8, "c", shape=(3, 120, 150))
    copied[0, 3, 4] += 1  # in memory alone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = predict(network, np.array(image), tile=40, margin=margin)
        predict(network, image, tile=40, margin=margin, out=out)
        changed = predict(network, copied, tile=40, margin=margin)
        assert np.array_equal(changed, predict(network, np.array(copied), tile=40, margin=margin))
    out.flush()
    assert np.array_equal(np.fromfile(tmp_path / "map", np.float32).reshape(out.shape), expected)
    assert not np.array_equal(changed, expected)


MEMORY = """
import resource, sys
import numpy as np, torch
from torch import nn
from wavenets.tiles import predict

torch.set_num_threads(1)
size = int(sys.argv[1])
image = np.memmap(sys.argv[2], np.uint8, "w+", shape=(1, size, size))
out = np.memmap(sys.argv[3], np.float32, "w+", shape=(2, size, size))
predict(nn.Conv2d(1, 2, 3, padding=1), image, tile=512, out=out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    peaks = []
    for size in (1024, 4096):  # maps of 8 and 128 MiB
        command = [sys.executable, "-c", MEMORY, str(size), str(tmp_path / "image"), str(tmp_path / "map")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 24  # MiB


def test_the_network_is_left_as_it_was() -> None:
    net = PlainUNet(4, 2)
    network = nn.Sequential(net, nn.Dropout(0.5))
    network.train()
    net.down[1].eval()
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    image = noise(3, 101, 113).requires_grad_()
    torch.set_rng_state(random)
    assert not predict(network, image, tile=40).requires_grad
    with pytest.raises(ValueError, match=ALL):
        predict(nn.Sequential(network, nn.GroupNorm(1, 2)), image, tile=40)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_compiled_networks() -> None:
    network, image = PlainUNet(4, 2), noise(3, 101, 113)
    compiled: Any = torch.compile(network, backend="eager")
    assert difference(predict(compiled, image, tile=40), whole(network, image)) <= 1e-6


@pytest.mark.parametrize(
    "image, options, message",
    [
        (noise(1, 3, 20, 20), {}, r"expected an image \(C, H, W\) or a signal .*, got shape \(1, 3, 20, 20\)"),
        (noise(3, 0, 20), {}, r"not empty, got shape \(3, 0, 20\)"),
        (noise(3, 20, 20), {"tile": 0}, "tile must be at least 1, got 0"),
        (noise(3, 20, 20), {"margin": 0}, "margin must be at least 1, got 0"),
        (noise(3, 20, 20), {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (noise(3, 20, 20), {"out": np.zeros((3, 20, 20))}, r"out must have the shape of the map, \(2, 20, 20\), got"),
    ],
)
def test_wrong_arguments(image: Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict(conv(), image, **options)


def test_blended_maps_need_floating_point() -> None:
    network = nn.Sequential(conv(), nn.GroupNorm(1, 2))
    with pytest.raises(ValueError, match="out must be floating-point, got uint8"):
        predict(network, noise(3, 150, 150), tile=32, margin=8, out=np.zeros((2, 150, 150), np.uint8))
    with pytest.raises(ValueError, match="ndim must be 1 or 2, got 3"):
        receptive_field(network, ndim=3)


class Mean(nn.Module):
    """A mean whose size no text shows."""

    radius = 1

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, 2 * self.radius + 1, 1, self.radius, count_include_pad=False)


def test_a_network_is_measured_again_when_an_attribute_changes() -> None:
    network, image = Mean(), noise(1, 60, 60)
    for network.radius in (1, 7):
        assert difference(predict(network, image, tile=16), whole(network, image)) <= 1e-6


def test_a_network_is_measured_once_for_images_of_a_size_and_again_when_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = []
    measure = field.measure
    monkeypatch.setattr(field, "measure", lambda *of: measured.append(of) or measure(*of))
    conv = nn.Conv2d(1, 1, 3, padding="same")
    network, image = nn.Sequential(conv), torch.randn(1, 30, 20)
    for expected in 1, 1:
        assert torch.allclose(predict(network, image, tile=24), network(image[None])[0], atol=1e-6)
        assert len(measured) == expected
    conv.dilation = (5, 5)
    conv._reversed_padding_repeated_twice = [5, 5, 5, 5]
    assert torch.allclose(predict(network, image, tile=24), network(image[None])[0], atol=1e-6)
    assert len(measured) == 2
