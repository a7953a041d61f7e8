"""What is timed: ours, its undecimated form, its plain twin and other networks, by dimension and case."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from experiments.training.memory import checkpoint_activations
from wavenets import Grid, Levels
from wavenets import undecimated as slow_form
from wavenets.models import MNet, ResNet, UNet
from wavenets.nn import GroupConv, GroupConv2d, LiftingConv, LiftingConv1d, LiftingConv2d

REFERENCE = "ours"
NUM_SCALES = 4  # of the layers for images


def strided_lifting() -> nn.Module:
    """Return W-M11 with a lifting of stride 4 in place of the first max-pooling, as in M11."""
    net = MNet(11, base=2)
    lift = next(net.encoder.stem.children())
    assert isinstance(lift, LiftingConv1d)
    lift.stride, lift.max_pool = 4, 1
    return net


def undecimated(net: nn.Module) -> nn.Module:
    """Return the same network with all levels at full rate."""

    def slow(definition: Callable[..., list[Tensor]], layer: LiftingConv | GroupConv, input: Any) -> Levels:
        return Levels(*definition(layer, input), grid=layer.grid)

    for module in net.modules():
        if isinstance(module, LiftingConv | GroupConv):
            definition = slow_form.lift if isinstance(module, LiftingConv) else slow_form.group_conv
            module.forward = partial(slow, definition, module)  # type: ignore[method-assign]
    return net


def channels_last(module: nn.Module) -> nn.Module:
    """Return the module with its weights, and so its features, channels last in memory."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def plain_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Module:
    """Return a convolution that keeps the size, channels last as ours."""
    return channels_last(nn.Conv2d(in_channels, out_channels, kernel_size, padding="same"))


class Bank(nn.Module):
    """A convolution on all scales and orientations at full resolution, by dilated kernels, as in a filter bank."""

    def __init__(self, width: int, num_scales: int) -> None:
        super().__init__()
        convs = (nn.Conv2d(width, width, 3, padding=2**i, dilation=2**i) for i in range(num_scales))
        self.convs = channels_last(nn.ModuleList(convs))

    def forward(self, input: Tensor) -> list[Tensor]:
        return [conv(input) for conv in self.convs]  # type: ignore[attr-defined]


class Escnn(nn.Module):
    """The group convolution of escnn on the same point group, with as many channels as ours."""

    def __init__(self, channels: int, grid: Grid) -> None:
        super().__init__()
        from escnn import gspaces
        from escnn import nn as enn

        space = (gspaces.flipRot2dOnR2 if grid.mirrored else gspaces.rot2dOnR2)(grid.rotations)
        self.field = enn.FieldType(space, channels * [space.regular_repr])
        self.conv = enn.R2Conv(self.field, self.field, 3, padding=1)
        self.wrap = enn.GeometricTensor

    def forward(self, input: Tensor) -> Tensor:
        return self.conv(self.wrap(input, self.field)).tensor


class Case(NamedTuple):
    """Variants of one module, and the input they take: a signal, or features on all scales and orientations."""

    variants: dict[str, Callable[[], nn.Module]]
    in_channels: int
    shrink: int = 1  # factor by which the signal is smaller at this place of a network
    levels: bool = False
    num_scales: int = NUM_SCALES
    orientations: int = 1


def oriented(rotations: int, mirrored: bool = False) -> dict[str, Case]:
    """Return a layer and a net on a point group beside plain ones of as many multiply-adds."""
    grid = Grid(2, rotations=rotations, mirrored=mirrored)
    count, group = grid.orientations, f"{'D' if mirrored else 'C'}{rotations}"
    channels, width = 128 // count, round(64 / count**0.5)
    escnn = {"escnn": lambda: Escnn(channels, grid)} if find_spec("escnn") else {}

    def net() -> nn.Module:
        return ResNet(rotations=rotations, mirrored=mirrored)

    def unet() -> nn.Module:
        return UNet(2, width=12, rotations=rotations, mirrored=mirrored)

    def layer() -> nn.Module:
        return GroupConv2d(channels, channels, 3, grid=grid)

    def plain() -> nn.Module:
        return plain_conv(channels * count, channels * count, 3)

    layers = {REFERENCE: layer, "plain": plain, **escnn}
    bank = {REFERENCE: layer, "bank": lambda: Bank(channels * count, NUM_SCALES)}
    size = f"{channels} to {channels}, 3 × 3"
    return {
        f"group convolution, {group}, {size}": Case(layers, channels, 4, True, 1, count),
        f"group convolution, {group} × 4 scales, {size}": Case(bank, channels, 4, True, 4, count),
        f"ResNet-18, {group}": Case(
            {REFERENCE: net, "plain": lambda: channels_last(ResNet(width=width * count))}, in_channels=3
        ),
        f"U-Net, {group}": Case(
            {REFERENCE: unet, "plain": lambda: channels_last(UNet(2, width=12 * count))}, in_channels=3, shrink=2
        ),
    }


CASES: dict[int, dict[str, Case]] = {
    1: {
        "W-M11": Case(
            {
                REFERENCE: lambda: MNet(11, base=2),
                "lifting with stride 4": strided_lifting,
                "activations checkpointed": lambda: checkpoint_activations(MNet(11, base=2)),
                "undecimated": lambda: undecimated(MNet(11, base=2)),
                "plain": lambda: MNet(11),
            },
            in_channels=1,
        ),
        "W-M5, shared form": Case(
            {
                REFERENCE: lambda: MNet(5, form="shared", base=2),
                "published form": lambda: MNet(5, base=2),
                "plain": lambda: MNet(5),
            },
            in_channels=1,
        ),
    },
    2: {
        "lifting, 3 to 64 channels, 7 × 7": Case(
            {
                REFERENCE: lambda: LiftingConv2d(3, 64, 7, NUM_SCALES),
                "undecimated": lambda: undecimated(LiftingConv2d(3, 64, 7, NUM_SCALES)),
                "plain": lambda: plain_conv(3, 64, 7),
            },
            in_channels=3,
            shrink=2,
        ),
        "group convolution, 64 to 64, 3 × 3": Case(
            {
                REFERENCE: lambda: GroupConv2d(64, 64, 3),
                "spanning two scales": lambda: GroupConv2d(64, 64, 3, scale_extent=2),
                "undecimated": lambda: undecimated(GroupConv2d(64, 64, 3)),
                "plain": lambda: plain_conv(64, 64, 3),
            },
            in_channels=64,
            shrink=4,
            levels=True,
        ),
        "ResNet-18": Case(
            {
                REFERENCE: lambda: ResNet(num_scales=NUM_SCALES, base=2),
                "undecimated": lambda: undecimated(ResNet(num_scales=NUM_SCALES, base=2)),
                "plain": lambda: ResNet(),
                "plain, channels last": lambda: channels_last(ResNet()),
            },
            in_channels=3,
        ),
        **oriented(4),
        **oriented(4, mirrored=True),
    },
}
