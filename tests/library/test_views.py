"""Any network on views, and the shared form: the plain twin on every scale, with its weights and its cost."""

import pytest
import torch
from torch import Tensor, nn

from tests.library.networks import noise
from tests.library.resnet import resnet18
from wavenets import Grid
from wavenets.models import (
    CNN,
    MNet,
    OneDCNN,
    ResNet,
    SampleCNN,
)
from wavenets.nn import PerLevel, Readout, Views
from wavenets.testing import assert_equivariant, equivariance_error

TWINS = {
    "M3": (lambda: MNet(3), lambda **options: MNet(3, **options), 1),
    "M5": (lambda: MNet(5), lambda **options: MNet(5, **options), 1),
    "M34": (lambda: MNet(34), lambda **options: MNet(34, **options), 1),
    "1DCNN": (OneDCNN, OneDCNN, 1),
    "SampleCNN": (SampleCNN, SampleCNN, 1),
    "CNN": (CNN, CNN, 2),
    "ResNet": (ResNet, ResNet, 2),
}
LENGTHS = {"1DCNN": 200_000, "SampleCNN": 59_049}


def signal(name: str) -> Tensor:
    channels = 3 if name == "ResNet" else 1
    return noise(1, 1, LENGTHS.get(name, 40_002)) if TWINS[name][2] == 1 else noise(1, channels, 96, 64)


def with_statistics(net: nn.Module) -> nn.Module:
    """Batch norms as after training, each channel with its own."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


@pytest.mark.parametrize("size", [(33, 40), (48, 48)])
@pytest.mark.parametrize("steps, turns", [(1, 0), (0, 1), (1, 3), (2, 2)])
def test_a_network_that_knows_of_no_group_is_exact_on_views(size: tuple[int, int], steps: int, turns: int) -> None:
    grid = Grid(2, base="3/2", rotations=4)
    net = nn.Sequential(Views(4, grid), PerLevel(with_statistics(ResNet(num_classes=5, in_channels=2, width=8))))
    assert_equivariant(net, noise(2, 2, *size), grid, steps, turns)


@pytest.mark.parametrize("steps, turns", [(1, 0), (0, 1), (1, 3)])
def test_torchvisions_resnet_is_exact_on_views(steps: int, turns: int) -> None:
    """With ReLUs in place and a forward of its own."""
    grid = Grid(2, rotations=4)
    views = nn.Sequential(Views(3, grid), PerLevel(resnet18(5, width=16)))
    assert equivariance_error(views, noise(2, 3, 97, 130), grid, steps, turns) == [0.0] * 4 * (3 - steps)
    assert nn.Sequential(views, Readout("mean"))(noise(2, 3, 65, 40)).shape == (2, 5)


def test_views_of_a_waveform_are_its_scale_space() -> None:
    x = noise(2, 1, 301)
    views = Views(3, Grid(1))(x)
    assert torch.equal(views[0], x) and torch.equal(views[2], Grid(1).downscale(views[1]))
    assert equivariance_error(nn.Sequential(Views(3, Grid(1)), PerLevel(nn.Conv1d(1, 4, 9, stride=2))), x) == [0.0, 0.0]


def test_there_are_views_at_quarter_turns_only() -> None:
    with pytest.raises(ValueError, match="rotations=4 in place of 8"):
        Views(2, Grid(2, rotations=8))
    with pytest.raises(ValueError, match="num_scales must be at least 1, got 0"):
        Views(0, Grid(1))


@pytest.mark.parametrize("name", TWINS)
def test_the_shared_form_is_the_plain_twin_on_every_scale(name: str) -> None:
    make_plain, make_shared, ndim = TWINS[name]
    plain, x = with_statistics(make_plain()), signal(name)
    shared = make_shared(form="shared", num_scales=2, readout="finest", base=2).eval()
    assert sum(p.numel() for p in shared.parameters()) == sum(p.numel() for p in plain.parameters())
    shared.load_plain(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(shared(x), plain(x), rtol=0, atol=1e-4)
        levels = nn.Sequential(shared.encoder, shared.head)
        assert_equivariant(levels, x, Grid(ndim))


@pytest.mark.parametrize("name, num_scales", [("M5", 5), ("CNN", 4), ("ResNet", 4)])
def test_the_shared_form_costs_what_its_scales_sum_up_to(name: str, num_scales: int) -> None:
    make_plain, make_shared, ndim = TWINS[name]

    def multiply_adds(net: nn.Module) -> int:
        total = 0

        def count(layer: nn.Module, _: object, output: Tensor | tuple[Tensor, ...]) -> None:
            nonlocal total
            outputs = [output] if isinstance(output, Tensor) else output
            total += sum(layer.weight.numel() * level[0, 0].numel() for level in outputs)

        layers = [layer for layer in net.modules() if hasattr(layer, "kernel_size") and hasattr(layer, "weight")]
        hooks = [layer.register_forward_hook(count) for layer in layers]
        with torch.no_grad():
            net.eval()(noise(1, 3 if name == "ResNet" else 1, *([65_538] if ndim == 1 else [256, 256])))
        for hook in hooks:
            hook.remove()
        return total

    ratio = multiply_adds(make_shared(form="shared", num_scales=num_scales, base=2)) / multiply_adds(make_plain())
    assert ratio == pytest.approx(sum(2 ** (-i * ndim) for i in range(num_scales)), rel=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MNet(5, base=2),
        lambda: MNet(5, form="shared", scale_extent=2, base=2),
        lambda: MNet(5, form="shared", num_classes=7, base=2),
    ],
)
def test_other_forms_do_not_take_the_plain_weights(make: object) -> None:
    with pytest.raises(ValueError, match="does not take these weights"):
        make().load_plain(MNet(5).state_dict())


@pytest.mark.parametrize("scale_extent, consumed", [(1, 0), (2, 3), ((1, 2, 1), 1), ((3, 1, 2), 3)])
def test_the_middle_way_spans_scales_where_it_is_told(scale_extent: int | tuple[int, ...], consumed: int) -> None:
    net = MNet(5, form="shared", out_scales=2, scale_extent=scale_extent, readout="gated", base=2).eval()
    levels = net.features(noise(1, 1, 70_000))
    assert len(levels) == 2
    assert len(net.encoder.stem(noise(1, 1, 70_000))) == 2 + consumed
    assert_equivariant(net.encoder, noise(1, 1, 70_001), steps=1)


def test_loudness_says_nothing_to_a_net_that_normalizes() -> None:
    for net in MNet(5, normalize=True).eval(), MNet(5, form="shared", normalize=True, base=2).eval():
        x = noise(2, 1, 8000)
        torch.testing.assert_close(net(x), net(1000 * x), rtol=0, atol=1e-4)
        assert net(torch.zeros(1, 1, 8000)).isfinite().all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MNet(5, form="both", base=2), "form must be published or shared, got 'both'"),
        (lambda: MNet(5, num_scales=8, base=2), "num_scales must be at least 9, as 8 are consumed, got 8"),
        (lambda: MNet(5, num_scales=9, out_scales=1, base=2), "give either num_scales=9 or out_scales=1"),
        (lambda: MNet(5, scale_extent=(1, 2), base=2), r"a number or 3 of them, each at least 1, got \(1, 2\)"),
        (lambda: CNN(grid=Grid(2), base=2), "give either grid="),
        (lambda: MNet(5, rotations=4), "only images can be turned or mirrored"),
    ],
)
def test_options_that_do_not_fit(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match="unknown option outscales"):
        MNet(5, outscales=2, base=2)


def test_readout_over_views_hears_every_scale() -> None:
    x = noise(3, 1, 400)
    net = nn.Sequential(Views(3, Grid(1)), PerLevel(nn.Conv1d(1, 4, 9)), Readout("mean"))
    expected = torch.stack([net[1].module(view).mean(2) for view in Grid(1).views(x, 3)]).mean(0)
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-6)
