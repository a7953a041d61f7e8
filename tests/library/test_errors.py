"""Bad arguments and inputs get one clear line, which names the rule and the value."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.library.networks import noise, pyramid
from wavenets import Grid, Levels, functional
from wavenets.kernels import BSpline
from wavenets.models import MNet, OneDCNN, ScalogramNet, UNet
from wavenets.nn import (
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    GatedMapReadout,
    GatedReadout,
    GroupConv1d,
    GroupConv2d,
    LiftingConv,
    LiftingConv1d,
    LiftingConv2d,
    MapReadout,
    MaxPool1d,
    MaxPool2d,
    OrientationPool,
    Readout,
    Views,
)

# Of three examples, three numbers each, which turns would take for an image.
VECTORS = Levels(*(noise(3, 3) for _ in range(4)), grid=Grid(2, rotations=4))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: LiftingConv1d(1, 2, 4, 3), "kernel_size must be odd .* got 4"),
        (lambda: GroupConv2d(1, 2, 6), "kernel_size must be odd .* got 6"),
        (lambda: LiftingConv1d(1, 2, 3, 0), "num_scales must be at least 1, got 0"),
        (lambda: GroupConv1d(1, 2, 3, scale_extent=0), "scale_extent must be at least 1, got 0"),
        (lambda: GroupConv1d(4, 6, 3, groups=4), "groups=4 must divide in_channels=4 and out_channels=6"),
        (lambda: GroupConv1d(4, 6, 3, stride=0), "stride must be at least 1, got 0"),
        (lambda: LiftingConv1d(1, 2, 3, 3, grid=Grid(2)), r"ndim=1, got Grid\(ndim=2, base=2\)"),
        (lambda: LiftingConv1d(1, 2, 3, 3, max_pool=0), "max_pool must be at least 1, got 0"),
        (lambda: Readout("sum"), "one of finest, mean, max, logsumexp, confident, got 'sum'"),
        (lambda: Readout("max", positions="min"), "positions must be mean or max, got 'min'"),
        (lambda: Readout("max", dropout=1.0), "dropout must be from 0 to below 1, got 1.0"),
        (lambda: Readout("finest", dropout=0.1), "none can be left out, got dropout=0.1"),
        (lambda: GatedReadout(2, 2, dropout=-0.1), "dropout must be from 0 to below 1, got -0.1"),
        (lambda: OrientationPool("sum"), "mode must be max or mean, got 'sum'"),
        (lambda: Grid(2, rotations=4.0), "rotations must be one of 1, 2, 4, 8, 12, 16, got 4.0"),  # type: ignore[arg-type]
        (lambda: Grid(2, mirrored=None), "mirrored must be True or False, got None"),  # type: ignore[arg-type]
        (lambda: UNet(2, ndim=3), "ndim must be 1 or 2, got 3"),
        (lambda: UNet(0), "out_channels must be at least 1, got 0"),
        (lambda: UNet(2, width=0), "out_channels must be at least 1, got 0"),
        (lambda: MNet(5, in_channels=0), "in_channels must be at least 1, got 0"),
        (lambda: Views(2, Grid(1), finer=0.5), "finer must be from 0 to below num_scales=2, got 0.5"),  # type: ignore[arg-type]
        (lambda: ScalogramNet(base=2, spline_spacing=2), "no spline_spacing"),
        (lambda: OneDCNN(base=2, form="shared", spline_spacing=2), "spline_spacing needs odd kernels"),
        (lambda: MNet(5, base=2, form="shared", spline_spacing=2), "spline_spacing needs odd kernels"),
        (lambda: Views(0, Grid(1)), "num_scales must be at least 1, got 0"),
        (lambda: Views(2, Grid(2, rotations=8)), "views at quarter turns only: use rotations=4 in place of 8"),
        (lambda: LiftingConv2d(1, 2, (3, 3, 3), 2), r"must be a number or 2 of them, got \(3, 3, 3\)"),
        (lambda: LiftingConv2d(1, 2, (3, 4), 2), r"kernel_size must be odd .* got \(3, 4\)"),
        (lambda: GroupConv2d(1, 2, (3, 5), grid=Grid(2, rotations=4)), r"must be square, got kernel_size=\(3, 5\)"),
        (lambda: GroupConv1d(1, 2, 3, padding_mode="same"), "one of zeros, .*, circular, got 'same'"),
        (lambda: LiftingConv(1, 2, 3, 2), "expected a grid, got None"),
        (lambda: BSpline(-1), "degree must be a whole number of .* spacing above 0, got -1 and 1.0"),
        (lambda: BSpline(2, 0.0), "at least 0 and spacing above 0, got 2 and 0.0"),
    ],
)
def test_arguments_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "module, input, message",
    [
        (LiftingConv1d(2, 3, 3, 2), noise(2, 50), r"shape \(B, C, L\), got \(2, 50\)"),
        (LiftingConv2d(2, 3, 3, 2), noise(2, 2, 50), r"shape \(B, C, H, W\), got \(2, 2, 50\)"),
        (LiftingConv1d(2, 3, 3, 2), noise(1, 3, 50), r"2 input channels, got 3 in an input of shape \(1, 3, 50\)"),
        (LiftingConv1d(1, 3, 3, 2), torch.ones(1, 1, 50, dtype=torch.int64), "floating-point input, got torch.int64"),
        (LiftingConv1d(1, 3, 3, 9), noise(1, 1, 100), "too short for 9 scales of base 2: .* at least 129 samples"),
        (LiftingConv2d(1, 3, 3, 5), noise(1, 1, 64, 8), "too short for 5 scales of base 2: .* at least 9 samples"),
        (LiftingConv1d(1, 3, 3, 3, max_pool=4), noise(1, 1, 12), r"level 2 of size \(3,\) is smaller than max_pool=4"),
        (LiftingConv2d(1, 3, 3, 2, 3, max_pool=3), noise(1, 1, 99, 12), r"level 1 of size \(17, 2\) is smaller than"),
        (GroupConv1d(4, 4, 3, scale_extent=3), pyramid(4, 2, 50), "scale extent of 3 needs at least 3 levels, got 2"),
        (LiftingConv1d(1, 3, 3, 2), [noise(1, 1, 50)], r"a tensor of shape \(B, C, L\), got list"),
        (Views(2, Grid(2)), [noise(1, 1, 50, 50)], r"a tensor of shape \(B, C, H, W\), got list"),
        (
            LiftingConv1d(1, 3, 3, 2),
            noise(1, 1, 50).double(),
            "torch.float64 does not match .* torch.float32",
        ),
        (GroupConv1d(4, 4, 3), pyramid(3, 2, 50), "4 input channels, got 3"),
        (
            GroupConv1d(4, 4, 3),
            pyramid(4, 2, 50, 50),
            "expected levels on Grid.ndim=1, base=2., got levels on Grid",
        ),
        (MaxPool1d(5), pyramid(4, 5, 50), r"level 4 of size \(4,\) is smaller .* needs 5 samples"),
        (AvgPool1d(9), pyramid(4, 4, 50), r"level 3 of size \(7,\) is smaller .* needs 9 samples"),
        (MaxPool2d(2), pyramid(4, 2, 50), r"levels of shape \(B, C, H, W\), got \(2, 4, 50\)"),
        (AvgPool2d(2), pyramid(4, 2, 50), r"levels of shape \(B, C, H, W\), got \(2, 4, 50\)"),
        (MaxPool1d(2), pyramid(4, 2, 50, 50), r"levels of shape \(B, C, L\), got \(2, 4, 50, 50\)"),
        (AvgPool1d(2), pyramid(4, 2, 50, 50), r"levels of shape \(B, C, L\), got \(2, 4, 50, 50\)"),
        (OrientationPool("max"), VECTORS, r"levels of shape \(B, C, H, W\), got \(3, 3\)"),
        (MapReadout("mean"), VECTORS, r"levels of shape \(B, C, H, W\), got \(3, 3\)"),
        (MapReadout("confident"), VECTORS, r"levels of shape \(B, C, H, W\), got \(3, 3\)"),
        (GatedMapReadout(3, 2), VECTORS, r"levels of shape \(B, C, H, W\), got \(3, 3\)"),
        (BatchNorm(5), pyramid(4, 2, 50), r"expected 5 input channels, got 4"),
        (GatedReadout(5, 2), pyramid(4, 2, 50), r"expected 5 input channels, got 4"),
        (GatedMapReadout(5, 2), pyramid(4, 2, 50), r"expected 5 input channels, got 4"),
    ],
)
def test_inputs_that_do_not_fit(module: nn.Module, input: Tensor | list[Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(input)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: functional.lift(noise(1, 1, 9, 9), noise(1, 1, 3, 4), num_scales=1), r"odd sizes .* got \(3, 4\)"),
        (lambda: functional.lift(noise(1, 1, 9), noise(3, 1), num_scales=1), r"a weight of shape .* got \(3, 1\)"),
        (
            lambda: functional.lift(noise(1, 1, 9), noise(1, 1, 3), num_scales=1, padding_mode="x"),
            "padding_mode must be one of zeros, .*, got 'x'",
        ),
        (lambda: functional.group_conv(pyramid(4, 2, 50), noise(4, 8, 5)), r"a weight of shape .* got \(4, 8, 5\)"),
        (
            lambda: functional.group_conv(pyramid(4, 2, 50), noise(4, 4, 1, 5), stride=0),
            "stride must be at least 1, got 0",
        ),
        (
            lambda: functional.group_conv(pyramid(4, 2, 50), noise(4, 4, 1, 5), padding_mode="x"),
            "padding_mode must be one of zeros, .*, got 'x'",
        ),
    ],
)
def test_functions_refuse_what_layers_refuse(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_each_dimension_needs_its_own_padding() -> None:
    x, layer = noise(1, 1, 2, 10), LiftingConv2d(1, 2, (1, 9), 1, padding_mode="reflect")
    padded = torch.nn.functional.pad(x, (4, 4, 0, 0), "reflect")
    assert torch.equal(layer(x)[0], torch.nn.functional.conv2d(padded, layer.weight, layer.bias))
    with pytest.raises(ValueError, match=r"size \(9, 4\) is too small .* at least 5 samples"):
        layer(noise(1, 1, 9, 4))
