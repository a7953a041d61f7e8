"""The published networks: their sizes, the lengths that they take, and what is invariant in them."""

import functools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.library.networks import noise, parameters
from tests.slow import quickly
from wavenets import Grid, Levels
from wavenets.models import CNN, MNet, Network, OneDCNN, Options, ResNet, SampleCNN, ScalogramNet
from wavenets.models.network import normalized
from wavenets.testing import assert_equivariant

NETS: dict[str, Callable[..., Network]] = {
    **{f"M{depth}": functools.partial(MNet, depth) for depth in (3, 5, 11, 18, 34)},
    "1DCNN": OneDCNN,
    "SampleCNN": SampleCNN,
}
PUBLISHED: Options = {"base": 2, "form": "published"}
# Trainable parameters of the published code: plain, and in the wavelet form.
SIZES = {
    "M3": (220_672, 219_450),
    "M5": (558_080, 558_034),
    "M11": (1_784_192, 1_806_369),
    "M18": (3_679_872, 3_758_865),
    "M34": (3_978_432, 4_020_525),
    "1DCNN": (453_418, 458_614),
    "SampleCNN": (2_394_162, 2_403_860),
}
parametrize_nets = pytest.mark.parametrize("name", NETS)
parametrize_forms = pytest.mark.parametrize("form", ["plain", "published"])


@parametrize_nets
def test_parameters_are_the_published_ones(name: str) -> None:
    make = NETS[name]
    assert (parameters(make()), parameters(make(**PUBLISHED))) == SIZES[name]
    assert parameters(make(base=2)) == SIZES[name][1]
    assert parameters(make(base=2, form="shared")) == parameters(make(base=2, num_scales=1)) == SIZES[name][0]


@functools.cache
def made(name: str, form: str) -> Network:
    """One net for several tests, as its least length takes a second to find."""
    return NETS[name](num_classes=7, **(PUBLISHED if form == "published" else {}))


@parametrize_forms
@pytest.mark.parametrize("name", quickly(NETS, "M3", "M5", "1DCNN"))
def test_takes_any_length_from_the_least_on(name: str, form: str) -> None:
    net = made(name, form).eval()
    least = net.min_size
    for length in (least, least + 1):
        logits = net(noise(2, 1, length))
        assert logits.shape == (2, 7) and logits.isfinite().all()
    if least > 1:
        with pytest.raises(ValueError, match=f"Net needs at least {least} samples, got {least - 1}|CNN needs at least"):
            net(noise(1, 1, least - 1))


@parametrize_nets
def test_out_scales_are_kept_to_the_readout(name: str) -> None:
    net = NETS[name](base=2, out_scales=2).eval()
    levels = net.head(net.features(noise(1, 1, 30_000 if name[0] == "M" else 80_000)))
    assert len(levels) == 2 + (4 if name == "M3" else 0)  # W-M3 ends with five
    assert net.encoder.stem[0].num_scales == 8 + 2


@parametrize_forms
@parametrize_nets
def test_every_parameter_learns(name: str, form: str) -> None:
    net = made(name, form).train()
    net(noise(2, 1, net.min_size + 2000)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in net.parameters())


@pytest.mark.parametrize("readout", ["finest", "max", "mean", "logsumexp"])
def test_readout_reduces_the_scales_that_are_left(readout: str) -> None:
    net = MNet(5, out_scales=3, readout=readout, base=2).eval()
    x = noise(2, 1, 20001)
    averages = torch.stack([level.mean(-1) for level in net.head(net.features(x))])
    assert averages.shape == (3, 2, 10)
    expected = {
        "finest": averages[0],
        "max": averages.max(0).values,
        "mean": averages.mean(0),
        "logsumexp": averages.exp().sum(0).log(),
    }
    torch.testing.assert_close(net(x), expected[readout], rtol=0, atol=1e-5)


def test_max_readout_is_invariant_but_for_the_scales_at_the_ends() -> None:
    """All that the net sees in T(x), it saw in x: where the finest and the coarsest level lose, the outputs agree."""
    net = MNet(5, out_scales=5, base=2).eval()
    x = F.interpolate(noise(1, 1, 17_500), scale_factor=8.0, mode="linear")  # low-pitched: the finest levels see little
    original, rescaled = (
        torch.stack([level.mean(-1) for level in net.head(net.features(signal))])[:, 0]
        for signal in (x, Grid(1).downscale(x))
    )
    assert torch.equal(rescaled[:-1], original[1:])
    inner = (original.argmax(0) != 0) & (rescaled.argmax(0) != 4)
    assert inner.any()
    assert torch.equal(net(x)[0, inner], net(Grid(1).downscale(x))[0, inner])


def test_the_least_length_does_not_depend_on_the_precision() -> None:
    expected = MNet(5, scale_extent=1, base=2).min_size
    for dtype in torch.float64, torch.bfloat16:
        assert MNet(5, scale_extent=1, base=2).to(dtype).min_size == expected


def test_too_short_for_many_scales_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"MNet needs at least \d+ samples, got 2000"):
        MNet(3, num_scales=14, base=2)(noise(1, 1, 2000))


def test_a_finer_grid_goes_through_the_whole_net() -> None:
    grid = Grid(1, "5/4")
    net = MNet(5, grid=grid, scale_extent=1)
    assert {module.grid for module in net.modules() if hasattr(module, "grid")} == {grid}
    assert net.min_size < MNet(5, scale_extent=1, base=2).min_size


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MNet(7), "depth must be one of 3, 5, 11, 18, 34, got 7"),
        (lambda: MNet(7, base=2), "depth must be one of 3, 5, 11, 18, 34, got 7"),
        (lambda: MNet(5, num_scales=8, base=2), "num_scales must be at least 9, as 8 are consumed, got 8"),
        (lambda: MNet(5, num_scales=9, out_scales=1, base=2), "give either num_scales=9 or out_scales=1"),
        (lambda: MNet(5, form="free", base=2), "form must be published or shared, got 'free'"),
        (lambda: MNet(5, scale_extent=(1, 2), base=2), r"a number or 3 of them, each at least 1, got \(1, 2\)"),
        (lambda: MNet(5, grid=Grid(1), base=2), "give either grid="),
        (lambda: MNet(5, out_scales=0, base=2), "out_scales must be at least 1, got 0"),
        (lambda: SampleCNN(readout="median", base=2), "one of finest, mean, max, logsumexp, confident, got 'median'"),
        (lambda: OneDCNN(grid=Grid(2)), "ndim=1"),
        (lambda: MNet(5)(noise(2, 2, 9000)), r"shape \(B, 1, L\), got \(2, 2, 9000\)"),
        (lambda: MNet(5, base=2)(noise(9000)), r"shape \(B, 1, L\), got \(9000,\)"),
    ],
)
def test_wrong_arguments_and_inputs(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scalogram_is_equivariant_through_its_logarithm(dtype: torch.dtype) -> None:
    net = ScalogramNet(7, base=2, in_channels=2, width=8, filters=3).eval().to(dtype)
    assert_equivariant(nn.Sequential(net.encoder, net.head), noise(2, 2, 14_001, dtype=dtype), steps=2)


def test_a_scalogram_takes_what_every_wavelet_net_takes() -> None:
    grid = Grid(1, "3/2")
    net, twin = (ScalogramNet(width=4, filters=2, num_scales=6, **given) for given in ({"grid": grid}, {"base": "3/2"}))
    twin.load_state_dict(net.state_dict())
    assert len(ScalogramNet(base=2, out_scales=2).features(noise(1, 1, 8_000))) == 2
    for given in {"base": 2, "num_scales": 5, "out_scales": 2}, {"base": 2, "grid": grid}, {"kernel_size": 64}:
        with pytest.raises(ValueError, match=r"give either (num_scales=5|grid)|kernel_size must be odd"):
            ScalogramNet(**given)


def test_half_precision_hears_silence_and_loudness() -> None:
    net, x = ScalogramNet(base=2, num_scales=5, filters=2, width=4), noise(2, 1, 4_000)
    x[..., :2_500] = 0
    with torch.autocast("cpu", dtype=torch.float16):
        output = net(x)
    output.float().sum().backward()
    assert net.encoder.stem[0].weight.grad.isfinite().all()
    for value in 300.0, 1e-4:
        assert (normalized(torch.full((1, 1, 9), value, dtype=torch.float16)) - 1).abs().max() < 0.01


def test_options_without_a_group_are_refused() -> None:
    for given in {"form": "shared"}, {"num_scales": 3}, {"out_scales": 1}, {"readout": "max"}, {"dropout": 0.0}:
        with pytest.raises(ValueError, match=rf"^{next(iter(given))}: give a group as well \(grid, base, rotations or"):
            MNet(5, **given)
    nothing: Options = {"mirrored": False, "base": None, "form": None, "num_scales": None, "dropout": None}
    assert MNet(5, **nothing).grid is None
    with pytest.raises(ValueError, match="out_channels must be at least 1, got 0"):
        CNN(width=0, base=2**0.5)
    with pytest.raises(ValueError, match="rotations must be one of 1, 2, 4, 8, 12, 16, got 0"):
        CNN(rotations=0)
    with pytest.raises(ValueError, match=r"a floating-point input, got torch\.int16"):
        MNet(3, normalize=True, base=2)(torch.zeros(1, 1, 20_000, dtype=torch.int16))


@pytest.mark.parametrize(
    "options, grid, num_scales, shared",
    [
        ({"rotations": 4}, Grid(2, rotations=4), 1, True),
        ({"mirrored": True}, Grid(2, mirrored=True), 1, True),
        ({"rotations": 4, "form": "shared"}, Grid(2, rotations=4), 1, True),
        ({"rotations": 4, "num_scales": 1}, Grid(2, rotations=4), 1, True),
        ({"base": 2, "num_scales": 1}, Grid(2), 1, True),
        ({"base": 2}, Grid(2), 5, False),
        ({"base": 2, "form": "shared"}, Grid(2), 5, True),
        ({"rotations": 4, "num_scales": 4}, Grid(2, 2**0.5, rotations=4), 4, False),
        ({"rotations": 4, "out_scales": 1}, Grid(2, 2**0.5, rotations=4), 3, False),
        ({"rotations": 4, "form": "published"}, Grid(2, 2**0.5, rotations=4), 5, False),
        ({"grid": Grid(2, rotations=4)}, Grid(2, rotations=4), 5, False),
        ({"grid": Grid(2, rotations=4), "num_scales": 1}, Grid(2, rotations=4), 1, True),
        ({"mirrored": True, "form": "shared", "num_scales": 3}, Grid(2, 2**0.5, mirrored=True), 3, True),
    ],
)
def test_what_options_come_to(options: Options, grid: Grid, num_scales: int, shared: bool) -> None:
    net = CNN(**options)
    lift = net.encoder.stem[0]
    assert (net.grid, lift.grid, lift.num_scales) == (grid, grid, num_scales)
    assert lift.out_channels == round((56 if shared else 40) / grid.orientations**0.5)
    assert net.readout.mode == ("mean" if shared else "max")


def test_a_silent_example_has_a_gradient() -> None:
    """The root of a square has an infinite slope at 0, and infinite times zero is nan."""
    x = noise(2, 1, 8_000)
    x[0], x[1, :, :9] = 0, 1e-30
    nets = MNet(3, normalize=True), MNet(3, base=2, normalize=True, scale_extent=1), ScalogramNet(base=2, width=4)
    for net in nets:
        y = x.clone().requires_grad_()
        net.train()(y).square().sum().backward()
        assert y.grad is not None and y.grad.isfinite().all()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    first = torch.nn.Conv1d(1, 1, 9, padding=4)  # a learned filter before the network, as a front end has it
    nets[0](first(x * 0) * 0).sum().backward()
    assert first.weight.grad is not None and first.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    "make",
    [
        lambda **given: MNet(3, **given),
        lambda **given: MNet(5, base=2, **given),
        lambda **given: MNet(11, base=2, form="shared", readout="gated", num_scales=2, **given),
        lambda **given: OneDCNN(**given),
        lambda **given: SampleCNN(**given),
        lambda **given: ScalogramNet(base=2, width=4, **given),
        lambda **given: CNN(rotations=4, width=4, readout="max", **given),
        lambda **given: ResNet(rotations=4, mirrored=True, width=4, **given),
    ],
)
def test_a_head_is_one_layer_before_the_classifier(make: Callable[..., Network]) -> None:
    net, without = make(head_channels=24), make()
    block = net.head[0]
    conv = block[0]
    assert len(without.head[0]) == 0 and conv.bias is None and conv.out_channels == 24
    assert conv.weight.shape[-1] == 1 and conv.in_channels == net.channels[-1]
    x = noise(2, net.in_channels, *[net.min_size + 40] * net.ndim)
    features = net.eval().features(x)
    after = block(features)
    assert all(level.shape[1] == 24 for level in ([after] if isinstance(after, Tensor) else after))
    assert net(x).shape == without(x).shape
    classifier = [p.numel() for p in [*net.head[1:].parameters(), *net.readout.parameters()]]
    assert parameters(net) == parameters(net.encoder) + parameters(block) + sum(classifier)
    if isinstance(after, Levels) and net.ndim == 2:
        assert torch.equal(net(net.grid.act(x, turns=1)), net(x))


def test_wavelets_begin_where_they_should() -> None:
    """A tone at the frequency of a wavelet of scale i is loudest there, of all wavelets of all scales."""
    net = ScalogramNet(base=2, filters=12, num_scales=5).eval()
    time = torch.arange(8_000) / 8_000
    for scale, index in (0, 0), (1, 5), (3, 11):
        frequency = 8_000 * 0.42 * 2 ** (-scale - (index + 0.5) / 12)
        levels = net.encoder.stem[:2]((2 * torch.pi * frequency * time).sin()[None, None])
        loudness = torch.stack([level.mean(2)[0] for level in levels])
        assert divmod(int(loudness.argmax()), 12) == (scale, index)


def test_the_plain_twin_of_a_scalogram_has_all_wavelets_at_one_scale() -> None:
    net = ScalogramNet(filters=60, span=5.0).eval()
    assert isinstance(net.features(noise(1, 1, 4_000)), Tensor)
    one = ScalogramNet(base=2, num_scales=1, filters=60, span=5.0).eval()
    one.load_plain(net.state_dict())
    x = noise(2, 1, 4_000)
    torch.testing.assert_close(one(x), net(x), rtol=0, atol=1e-5)
    frequency = torch.fft.rfft(net.encoder.stem[0].weight[:60, 0], 4_096).abs().argmax(1) / 4_096
    assert frequency.max() < 0.42 and frequency.min() < 0.42 / 2**4.5
