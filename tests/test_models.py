"""The published networks: their sizes, the lengths that they take, and what is invariant in them."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.networks import noise, parameters
from wavenets import Grid
from wavenets.models import (
    EnvelopeMNet,
    MNet,
    OneDCNN,
    SampleCNN,
    ScalogramNet,
    WaveletDigitCNN,
    WaveletMNet,
    WaveletOneDCNN,
    WaveletSampleCNN,
)
from wavenets.models.network import normalized
from wavenets.testing import assert_equivariant

# Trainable parameters of the published code.
SIZES = {
    (MNet, 3): 220_672,
    (MNet, 5): 558_080,
    (MNet, 11): 1_784_192,
    (MNet, 18): 3_679_872,
    (MNet, 34): 3_978_432,
    (WaveletMNet, 3): 219_450,
    (WaveletMNet, 5): 558_034,
    (WaveletMNet, 11): 1_806_369,
    (WaveletMNet, 18): 3_758_865,
    (WaveletMNet, 34): 4_020_525,
    (OneDCNN,): 453_418,
    (WaveletOneDCNN,): 458_614,
    (SampleCNN,): 2_394_162,
    (WaveletSampleCNN,): 2_403_860,
}
WAVELET = {key: size for key, size in SIZES.items() if key[0].__name__.startswith("Wavelet")}
parametrize_all = pytest.mark.parametrize("key", SIZES, ids=lambda key: "-".join([key[0].__name__, *map(str, key[1:])]))
parametrize_wavelet = pytest.mark.parametrize(
    "key", WAVELET, ids=lambda key: "-".join([key[0].__name__, *map(str, key[1:])])
)


@parametrize_all
def test_parameters_are_the_published_ones(key: tuple) -> None:
    model, *depth = key
    assert sum(parameter.numel() for parameter in model(*depth).parameters() if parameter.requires_grad) == SIZES[key]


@functools.cache
def made(key: tuple) -> nn.Module:
    """One net for several tests, as its least length takes a second to find."""
    model, *depth = key
    return model(*depth, num_classes=7)


@parametrize_all
def test_takes_any_length_from_the_least_on(key: tuple) -> None:
    net = made(key).eval()
    least = net.min_size
    for length in (least, least + 1):
        logits = net(noise(2, 1, length))
        assert logits.shape == (2, 7) and logits.isfinite().all()
    if least > 1:
        name = type(net).__name__
        with pytest.raises(ValueError, match=f"{name} needs at least {least} samples, got {least - 1}"):
            net(noise(1, 1, least - 1))


@parametrize_wavelet
def test_out_scales_are_kept_to_the_readout(key: tuple) -> None:
    model, *depth = key
    net = model(*depth, out_scales=2).eval()
    levels = net.classifier(net.features(noise(1, 1, 30_000 if depth else 80_000)))
    assert len(levels) == 2 + (4 if depth == [3] else 0)  # W-M3 ends with five
    assert net.stem[0].num_scales == 8 + 2


@parametrize_all
def test_every_parameter_learns(key: tuple) -> None:
    net = made(key).train()
    net(noise(2, 1, net.min_size + 2000)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in net.parameters())


@pytest.mark.parametrize("readout", ["finest", "max", "mean", "logsumexp"])
def test_readout_reduces_the_scales_that_are_left(readout: str) -> None:
    net = WaveletMNet(5, out_scales=3, readout=readout).eval()
    x = noise(2, 1, 20001)
    averages = torch.stack([level.mean(-1) for level in net.classifier(net.features(x))])
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
    net = WaveletMNet(5, out_scales=5).eval()
    x = F.interpolate(noise(1, 1, 17_500), scale_factor=8.0, mode="linear")  # low-pitched: the finest levels see little
    original, rescaled = (
        torch.stack([level.mean(-1) for level in net.classifier(net.features(signal))])[:, 0]
        for signal in (x, Grid(1).downscale(x))
    )
    assert torch.equal(rescaled[:-1], original[1:])
    inner = (original.argmax(0) != 0) & (rescaled.argmax(0) != 4)
    assert inner.any()
    assert torch.equal(net(x)[0, inner], net(Grid(1).downscale(x))[0, inner])


def test_the_least_length_does_not_depend_on_the_precision() -> None:
    expected = WaveletMNet(5, scale_extent=1).min_size
    for dtype in torch.float64, torch.bfloat16:
        assert WaveletMNet(5, scale_extent=1).to(dtype).min_size == expected


def test_too_short_for_many_scales_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"WaveletMNet needs at least \d+ samples, got 2000"):
        WaveletMNet(3, num_scales=14)(noise(1, 1, 2000))


def test_a_finer_grid_goes_through_the_whole_net() -> None:
    grid = Grid(1, "5/4")
    net = WaveletMNet(5, grid=grid, scale_extent=1)
    assert {module.grid for module in net.modules() if hasattr(module, "grid")} == {grid}
    assert net.min_size < WaveletMNet(5, scale_extent=1).min_size


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MNet(7), "depth must be one of 3, 5, 11, 18, 34, got 7"),
        (lambda: WaveletMNet(7), "depth must be one of 3, 5, 11, 18, 34, got 7"),
        (lambda: WaveletMNet(5, num_scales=8), "num_scales must be at least 9, as 8 are consumed, got 8"),
        (lambda: WaveletMNet(5, num_scales=9, out_scales=1), "give either num_scales=9 or out_scales=1"),
        (lambda: WaveletMNet(5, form="free"), "form must be published or shared, got 'free'"),
        (lambda: WaveletMNet(5, scale_extent=(1, 2)), r"a number or 3 of them, each at least 1, got \(1, 2\)"),
        (lambda: WaveletMNet(5, grid=Grid(1), base=2), "give either grid="),
        (lambda: WaveletMNet(5, out_scales=0), "out_scales must be at least 1, got 0"),
        (lambda: WaveletSampleCNN(readout="median"), "one of finest, max, mean, logsumexp, got 'median'"),
        (lambda: WaveletOneDCNN(grid=Grid(2)), "ndim=1"),
        (lambda: MNet(5)(noise(2, 2, 9000)), r"shape \(B, 1, L\), got \(2, 2, 9000\)"),
        (lambda: WaveletMNet(5)(noise(9000)), r"shape \(B, 1, L\), got \(9000,\)"),
    ],
)
def test_wrong_arguments_and_inputs(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_net_on_envelopes_is_equivariant_from_there_on() -> None:
    plain, ours = EnvelopeMNet(5, 7), EnvelopeMNet(5, 7, form="shared", num_scales=3)
    numbers = [parameters(net) for net in (plain, ours, MNet(5, 7, 16))]
    assert numbers[0] == numbers[1] == numbers[2] + 16 * 63 + 2 * 16
    front, stem = ours.eval().stem
    envelopes = front(noise(2, 1, 40_000))
    assert envelopes.shape == (2, 16, 2_500) and (envelopes >= 0).all()
    assert_equivariant(nn.Sequential(stem, ours.body, ours.classifier), envelopes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scalogram_is_equivariant_through_its_logarithm(dtype: torch.dtype) -> None:
    net = ScalogramNet(7, in_channels=2, width=8, filters=3).eval().to(dtype)
    assert_equivariant(nn.Sequential(net.stem, net.body, net.classifier), noise(2, 2, 14_001, dtype=dtype), steps=2)


def test_a_scalogram_takes_what_every_wavelet_net_takes() -> None:
    grid = Grid(1, "3/2")
    net, twin = (ScalogramNet(width=4, filters=2, num_scales=6, **given) for given in ({"grid": grid}, {"base": "3/2"}))
    twin.load_state_dict(net.state_dict())
    assert len(ScalogramNet(out_scales=2).features(noise(1, 1, 8_000))) == 2
    for given in {"num_scales": 5, "out_scales": 2}, {"base": 2, "grid": grid}, {"kernel_size": 64}:
        with pytest.raises(ValueError, match=r"give either (num_scales=5|grid)|kernel_size must be odd"):
            ScalogramNet(**given)


def test_half_precision_hears_silence_and_loudness() -> None:
    net, x = ScalogramNet(num_scales=5, filters=2, width=4), noise(2, 1, 4_000)
    x[..., :2_500] = 0
    with torch.autocast("cpu", dtype=torch.float16):
        output = net(x)
    output.float().sum().backward()
    assert net.stem[0].weight.grad.isfinite().all()
    for value in 300.0, 1e-4:
        assert (normalized(torch.full((1, 1, 9), value, dtype=torch.float16)) - 1).abs().max() < 0.01


def test_options_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="base, readuot: these are options of a wavelet form"):
        EnvelopeMNet(5, base="3/2", readuot="max")
    with pytest.raises(ValueError, match="out_channels must be at least 1, got 0"):
        WaveletDigitCNN(width=0)
    with pytest.raises(ValueError, match="rotations must be one of 1, 2, 4, 8, 12, 16, got 0"):
        WaveletDigitCNN(rotations=0)
    with pytest.raises(ValueError, match=r"a floating-point input, got torch\.int16"):
        WaveletMNet(3, normalize=True)(torch.zeros(1, 1, 20_000, dtype=torch.int16))


def test_wavelets_begin_where_they_should() -> None:
    """A tone at the frequency of a wavelet of scale i is loudest there, of all wavelets of all scales."""
    net = ScalogramNet(filters=12, num_scales=5).eval()
    time = torch.arange(8_000) / 8_000
    for scale, index in (0, 0), (1, 5), (3, 11):
        frequency = 8_000 * 0.42 * 2 ** (-scale - (index + 0.5) / 12)
        levels = net.stem[:2]((2 * torch.pi * frequency * time).sin()[None, None])
        loudness = torch.stack([level.mean(2)[0] for level in levels])
        assert divmod(int(loudness.argmax()), 12) == (scale, index)


def test_the_plain_twin_of_a_scalogram_has_all_wavelets_at_one_scale() -> None:
    net = ScalogramNet(num_scales=1, filters=60, span=5.0).eval()
    assert len(net.features(noise(1, 1, 4_000))) == 1
    frequency = torch.fft.rfft(net.stem[0].weight[:60, 0], 4_096).abs().argmax(1) / 4_096
    assert frequency.max() < 0.42 and frequency.min() < 0.42 / 2**4.5
