"""What the nets are built from: a kit of plain layers and a kit of wavelet layers, so that one table serves both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, TypedDict, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenets._ops.conv_pool import MaxPoolTensor1d
from wavenets._ops.export import exporting
from wavenets.grid import Grid
from wavenets.kernels import BSpline
from wavenets.levels import Levels
from wavenets.nn import (
    BatchNorm,
    GatedReadout,
    GroupConv1d,
    GroupConv2d,
    LiftingConv1d,
    LiftingConv2d,
    MaxPool1d,
    MaxPool2d,
    PerLevel,
    Readout,
    Views,
)
from wavenets.nn.readout import Positions

Form = Literal["published", "shared"]
SHARED_SCALES = 5  # of the shared form, unless another number is asked for


class Options(TypedDict, total=False):
    """What every wavelet net takes, in 1D and 2D alike.

    Args:
        form: "published": kernels over neighbouring scales, at the published width. "shared": all weights shared over
            scales, the classifier too, at the plain twin's width and stride and with its parameters.
        grid: The group. In a configuration file ``base`` and ``rotations`` stand for it.
        base: Ratio of neighbouring scales; 2 by default.
        rotations: Number of orientations, for images; 1 by default.
        num_scales: Number of scales to lift to; or
        out_scales: number of scales that are left at the readout. Give one of them; a net has its own default.
        scale_extent: Neighbouring scales that the spanning convolutions see, one number for all or one for each; by
            default the form's. "shared" with 2 in some of them is the middle way between the forms.
        readout: "finest", "mean", "max", "logsumexp" (``Readout``) or "gated" (``GatedReadout``); by default "max"
            in the published form and "mean" in the shared one.
        positions: "mean" or "max" over the positions of each level.
        dropout: Scale dropout, see ``Readout``.
        spline_spacing: Distance in taps of the quadratic B-splines that kernels are made of
            (``wavenets.kernels.BSpline``), which turn with less error between quarter turns; by default the numbers
            learned are the samples.
    """

    form: Form
    grid: Grid | None
    base: float | str | Fraction | None
    rotations: int | None
    num_scales: int | None
    out_scales: int | None
    scale_extent: int | Sequence[int] | None
    readout: Literal["finest", "mean", "max", "logsumexp", "gated"] | None
    positions: Positions
    dropout: float
    spline_spacing: float | None


@dataclass(frozen=True)
class Published:
    """What a net of the published form spans."""

    out_scales: int  # that are left at the readout, unless another number is asked for
    extents: tuple[int, ...]  # of the convolutions that span neighbouring scales
    classifier_extent: int = 1
    spare: int = 0  # scales that are left at the readout beside those that count


class Layers(NamedTuple):
    """The layers a net is built from, on tensors or on levels."""

    lift: Callable[..., nn.Module]  # (in_channels, out_channels, kernel_size, stride=1, max_pool=1, bias=False)
    conv: Callable[..., nn.Module]  # (in_channels, out_channels, kernel_size, scale_extent=1, stride=1, bias=False)
    norm: Callable[[int], nn.Module]
    pool: Callable[..., nn.Module]
    per_scale: Callable[[nn.Module], nn.Module]
    finish: Callable[[nn.Module, int, int], tuple[nn.Module, nn.Module]]  # classifier -> classifier, readout
    extents: tuple[int, ...]  # of the convolutions that span neighbouring scales
    classifier_extent: int
    shared: bool  # whether the net has the plain one's width and stride

    def stem(self, lift: nn.Module, channels: int, *pool: nn.Module) -> nn.Sequential:
        """Lifting, batch norm, ReLU, and a pooling if there is one."""
        return nn.Sequential(lift, self.norm(channels), self.per_scale(nn.ReLU()), *pool)

    def block(self, in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> nn.Sequential:
        """Convolution, batch norm, ReLU."""
        conv = self.conv(in_channels, out_channels, kernel_size, **options)
        return nn.Sequential(conv, self.norm(out_channels), self.per_scale(nn.ReLU()))


class Average(nn.Module):
    """Averages (B, C, …) over its positions, to (B, C), which it leaves as it is."""

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(2).mean(2) if input.ndim > 2 else input


def plain_layers(ndim: int, published: Published) -> Layers:
    """Layers on a tensor (B, C, L) or (B, C, H, W)."""

    def conv(i: int, o: int, kernel_size: int, scale_extent: int = 1, stride: int = 1, bias: bool = False) -> nn.Module:
        return plain_conv(ndim, i, o, kernel_size, stride, bias)

    def lift(i: int, o: int, kernel_size: int, stride: int = 1, max_pool: int = 1, bias: bool = False) -> nn.Module:
        layer = plain_conv(ndim, i, o, kernel_size, stride, bias)
        return nn.Sequential(layer, pool(max_pool)) if max_pool > 1 else layer

    norm = (nn.BatchNorm1d, nn.BatchNorm2d)[ndim - 1]
    pool = (MaxPoolTensor1d, nn.MaxPool2d)[ndim - 1]

    def finish(classifier: nn.Module, channels: int, num_classes: int) -> tuple[nn.Module, nn.Module]:
        return classifier, Average()

    ones = (1,) * len(published.extents)
    return Layers(lift, conv, norm, pool, lambda module: module, finish, ones, 1, shared=True)


def wavelet_layers(ndim: int, published: Published, **options: Any) -> Layers:
    """Layers on levels (B, C, L_i) or (B, C, H_i, W_i), as ``Options`` say."""
    if unknown := sorted(options.keys() - Options.__annotations__.keys()):
        raise TypeError(f"unknown option {', '.join(unknown)}; there are {', '.join(Options.__annotations__)}")
    form = options.get("form", "published")
    if form not in get_args(Form):
        raise ValueError(f"form must be published or shared, got {form!r}")
    shared = form == "shared"
    grid = _grid(ndim, options)
    extents = _extents(options.get("scale_extent"), (1,) * len(published.extents) if shared else published.extents)
    readout: Any = options.get("readout") or ("mean" if shared else "max")
    classifier_extent = 1 if shared or readout == "gated" else published.classifier_extent
    consumed = sum(extents) - len(extents) + classifier_extent - 1 + (0 if shared else published.spare)
    default = SHARED_SCALES if shared else published.out_scales
    num_scales = _num_scales(options.get("num_scales"), options.get("out_scales"), default, consumed)
    spacing = options.get("spline_spacing")
    kernel = None if spacing is None else BSpline(2, spacing)
    leave = {"positions": options.get("positions", "mean"), "dropout": options.get("dropout", 0.0)}

    def lift(i: int, o: int, kernel_size: int, stride: int = 1, max_pool: int = 1, bias: bool = False) -> nn.Module:
        if kernel_size % 2 == 0:  # only in the shared form, which keeps the plain net's kernels as they are
            return nn.Sequential(Views(num_scales, grid), PerLevel(plain_conv(ndim, i, o, kernel_size, stride, bias)))
        make = (LiftingConv1d, LiftingConv2d)[ndim - 1]
        return make(i, o, kernel_size, num_scales, stride, bias, grid, max_pool, kernel)

    def conv(i: int, o: int, kernel_size: int, scale_extent: int = 1, stride: int = 1, bias: bool = False) -> nn.Module:
        if kernel_size % 2 == 0 and shared and scale_extent == 1:
            return PerLevel(plain_conv(ndim, i, o, kernel_size, stride, bias))
        # Where a published kernel is even, the wavelet form has the odd one below.
        size = kernel_size - 1 + kernel_size % 2
        make = (GroupConv1d, GroupConv2d)[ndim - 1]
        return make(i, o, size, scale_extent, stride, bias=bias, grid=grid, kernel=kernel)

    def finish(classifier: nn.Module, channels: int, num_classes: int) -> tuple[nn.Module, nn.Module]:
        if readout == "gated":
            return nn.Identity(), GatedReadout(channels, num_classes, **leave)
        return classifier, Readout(readout, **leave)

    pool = (MaxPool1d, MaxPool2d)[ndim - 1]
    return Layers(lift, conv, BatchNorm, pool, PerLevel, finish, extents, classifier_extent, shared)


def plain_conv(ndim: int, i: int, o: int, kernel_size: int, stride: int, bias: bool) -> nn.Module:
    """A convolution of torch. Its padding keeps ceil(L / stride) samples for odd kernels, L / stride for even ones."""
    return (nn.Conv1d, nn.Conv2d)[ndim - 1](i, o, kernel_size, stride, padding=(kernel_size - 1) // 2, bias=bias)


def add(branch: Any, shortcut: Any) -> Any:
    """Adds a shortcut to a branch, without the coarsest levels, which the branch has consumed."""
    return branch + (shortcut if isinstance(shortcut, Tensor) else shortcut[: len(branch)])


class AdaptiveAvgPool1d(nn.AdaptiveAvgPool1d):
    """torch's, which exported for ONNX would be right for one length only."""

    def forward(self, input: Tensor) -> Tensor:
        if not exporting():
            return super().forward(input)
        length, pieces = input.shape[2], int(self.output_size)  # type: ignore[arg-type]
        edge = torch.arange(pieces + 1, device=input.device) * length
        first, end = edge[:-1] // pieces, -(-edge[1:] // pieces)
        position = torch.arange(length, device=input.device)[:, None]
        inside = (position >= first) & (position < end)  # (length, output_size)
        return input @ (inside / (end - first)).to(input.dtype)


class WidenChannels(nn.Module):
    """Pads (B, C, L) with channels of zeros: a shortcut without parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, (0, 0, 0, self.channels - input.shape[1]))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters, with a batch norm after the sum."""

    def __init__(self, layers: Layers, in_channels: int, out_channels: int, scale_extent: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            layers.block(in_channels, out_channels, 3, scale_extent=scale_extent),
            layers.conv(out_channels, out_channels, 3),
            layers.norm(out_channels),
        )
        self.shortcut = layers.per_scale(WidenChannels(out_channels))
        self.output = nn.Sequential(layers.norm(out_channels), layers.per_scale(nn.ReLU()))

    def forward(self, input: Tensor | Levels) -> Tensor | Levels:
        return self.output(add(self.branch(input), self.shortcut(input)))


def _grid(ndim: int, options: dict[str, Any]) -> Grid:
    grid, base, rotations = options.get("grid"), options.get("base"), options.get("rotations")
    if grid is None:
        return Grid(ndim, 2 if base is None else base, rotations=1 if rotations is None else rotations)
    if base is not None or rotations is not None:
        raise ValueError(f"give either grid={grid} or base={base} and rotations={rotations}")
    if grid.ndim != ndim:
        raise ValueError(f"expected a grid with ndim={ndim}, got {grid}")
    return grid


def _extents(given: int | Sequence[int] | None, default: tuple[int, ...]) -> tuple[int, ...]:
    extents = default if given is None else (given,) * len(default) if isinstance(given, int) else tuple(given)
    if len(extents) != len(default) or min(extents) < 1:
        raise ValueError(f"scale_extent must be a number or {len(default)} of them, each at least 1, got {given}")
    return extents


def _num_scales(num_scales: int | None, out_scales: int | None, default: int, consumed: int) -> int:
    if num_scales is not None and out_scales is not None:
        raise ValueError(f"give either num_scales={num_scales} or out_scales={out_scales}")
    if out_scales is not None and out_scales < 1:
        raise ValueError(f"out_scales must be at least 1, got {out_scales}")
    if num_scales is not None and num_scales <= consumed:
        raise ValueError(f"num_scales must be at least {consumed + 1}, as {consumed} are consumed, got {num_scales}")
    return num_scales if num_scales is not None else (out_scales or default) + consumed
