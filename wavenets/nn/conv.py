"""Lifting and group convolutions as modules: one core for every dimension, and a thin class for each."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from wavenets import functional
from wavenets.grid import ScaleGrid


class _LiftingConv(nn.Module):
    ndim: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        num_scales: int,
        stride: int = 1,
        bias: bool = True,
        zero_mean: bool = False,
        grid: ScaleGrid | None = None,
        max_pool: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _odd(kernel_size)
        self.num_scales = _positive("num_scales", num_scales)
        self.stride = _positive("stride", stride)
        self.zero_mean = zero_mean
        self.max_pool = _positive("max_pool", max_pool)
        self.grid = _grid(grid, self.ndim)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *[kernel_size] * self.ndim))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights that preserve the variance of white noise, and zero biases."""
        _init(self.weight, self.bias)
        if self.zero_mean:
            self.weight.data = self.wavelets

    @property
    def wavelets(self) -> Tensor:
        """The kernels in use: the weight, less the mean of each kernel if ``zero_mean``."""
        if not self.zero_mean:
            return self.weight
        return self.weight - self.weight.mean(dim=tuple(range(2, self.weight.ndim)), keepdim=True)

    def forward(self, input: Tensor) -> list[Tensor]:
        return functional.lift(
            input,
            self.wavelets,
            self.bias,
            num_scales=self.num_scales,
            stride=self.stride,
            max_pool=self.max_pool,
            grid=self.grid,
        )

    def extra_repr(self) -> str:
        max_pool = f", max_pool={self.max_pool}" if self.max_pool > 1 else ""
        return _repr(self, f"num_scales={self.num_scales}", f"{', zero_mean=True' if self.zero_mean else ''}{max_pool}")


class _GroupConv(nn.Module):
    ndim: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        scale_extent: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
        grid: ScaleGrid | None = None,
    ) -> None:
        super().__init__()
        if _positive("groups", groups) and (in_channels % groups or out_channels % groups):
            raise ValueError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _odd(kernel_size)
        self.scale_extent = _positive("scale_extent", scale_extent)
        self.stride = _positive("stride", stride)
        self.groups = groups
        self.grid = _grid(grid, self.ndim)
        shape = out_channels, in_channels // groups, scale_extent, *[kernel_size] * self.ndim
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights that preserve the variance of white noise (the fan-in counts scales) and zero biases."""
        _init(self.weight, self.bias)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "_GroupConv":
        # net.to(memory_format=torch.channels_last) refuses five dimensions: it is shown the weight without scales.
        def without_scales(x: Tensor) -> Tensor:
            return fn(x.flatten(1, 2)).unflatten(1, x.shape[1:3]) if x.ndim == 5 else fn(x)

        return super()._apply(without_scales, recurse)

    def forward(self, input: list[Tensor]) -> list[Tensor]:
        return functional.group_conv(
            input, self.weight, self.bias, stride=self.stride, groups=self.groups, grid=self.grid
        )

    def extra_repr(self) -> str:
        return _repr(self, f"scale_extent={self.scale_extent}", f", groups={self.groups}" if self.groups > 1 else "")


class LiftingConv1d(_LiftingConv):
    """Lifts a waveform to features on the scale-translation group (Romero et al., arXiv 2006.05259).

    Args:
        in_channels: Channels of the signal.
        out_channels: Channels of every level.
        kernel_size: Length of the kernel in samples, odd.
        num_scales: Number of scales S; level i sees the signal base^i times coarser.
        stride: Stride within each level, in that level's own samples.
        bias: If True, adds a bias per output channel, the same on every level.
        zero_mean: If True, every kernel is a wavelet, Σψ = 0, by construction.
        grid: The scales; None is the dyadic grid.
        max_pool: Max-pools every level by this factor in the same pass: what ``ScaleMaxPool1d`` would make of it, but
            faster, and in memory the features at their full length never exist (1D, decimated).

    Shape:
        (B, C, T) -> list of S tensors, finest first, level i of shape (B, O, T_i / stride), rounded up; pooled: shorter
        by max_pool, rounded down.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the input's rank, channels or dtype do not fit or
            it is too short for the scales or the pooling.

    Example:
        >>> lift = LiftingConv1d(1, 8, kernel_size=79, num_scales=9)
        >>> levels = lift(torch.randn(2, 1, 22050))
        >>> len(levels), levels[0].shape, levels[8].shape
        (9, torch.Size([2, 8, 22050]), torch.Size([2, 8, 87]))
    """

    ndim = 1


class LiftingConv2d(_LiftingConv):
    """Lifts an image to features on the scale-translation group: ``LiftingConv1d`` for (B, C, H, W).

    Kernels are square, and base may be any real number above 1 (``ScaleGrid(ndim=2, base=2**0.5)``).

    Example:
        >>> lift = LiftingConv2d(3, 8, kernel_size=7, num_scales=4)
        >>> [tuple(level.shape[2:]) for level in lift(torch.randn(1, 3, 97, 130))]
        [(97, 130), (48, 65), (24, 32), (12, 16)]
    """

    ndim = 2


class GroupConv1d(_GroupConv):
    """Convolves features over translation and ``scale_extent`` neighbouring scales (Romero et al., arXiv 2006.05259).

    The scale axis is never padded: S levels become S - scale_extent + 1.

    Args:
        in_channels: Channels of every input level.
        out_channels: Channels of every output level.
        kernel_size: Length of the kernel in samples of the level it acts on, odd.
        scale_extent: Number of neighbouring scales that the kernel spans, towards the coarser ones.
        stride: Stride within each level, in that level's own samples.
        groups: Number of blocks of channels that do not mix.
        bias: If True, adds a bias per output channel, the same on every level.
        grid: The scales; None is the dyadic grid.

    Shape:
        S levels (B, C, T_i) -> S - scale_extent + 1 levels (B, O, T_i / stride), rounded up.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if a level's rank, channels or dtype do not fit or
            there are fewer levels than scale_extent.

    Example:
        >>> conv = GroupConv1d(8, 16, kernel_size=3, scale_extent=3)
        >>> [tuple(level.shape) for level in conv([torch.randn(2, 8, n) for n in (40, 20, 10, 5)])]
        [(2, 16, 40), (2, 16, 20)]
    """

    ndim = 1


class GroupConv2d(_GroupConv):
    """Convolves features over translation and neighbouring scales: ``GroupConv1d`` for levels (B, C, H_i, W_i).

    Example:
        >>> conv = GroupConv2d(8, 16, kernel_size=3, scale_extent=2, stride=2)
        >>> [tuple(level.shape) for level in conv([torch.randn(1, 8, n, n) for n in (28, 14, 7)])]
        [(1, 16, 14, 14), (1, 16, 7, 7)]
    """

    ndim = 2


def _init(weight: Tensor, bias: Tensor | None) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="linear")
    if bias is not None:
        nn.init.zeros_(bias)


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


def _odd(kernel_size: int) -> int:
    if _positive("kernel_size", kernel_size) % 2 == 0:
        raise ValueError(f"kernel_size must be odd to keep the kernel's centre, got {kernel_size}")
    return kernel_size


def _grid(grid: ScaleGrid | None, ndim: int) -> ScaleGrid:
    if grid is not None and grid.ndim != ndim:
        raise ValueError(f"expected a grid with ndim={ndim}, got {grid}")
    return grid or ScaleGrid(ndim)


def _repr(layer: _LiftingConv | _GroupConv, scales: str, options: str) -> str:
    bias = "" if layer.bias is not None else ", bias=False"
    return (
        f"{layer.in_channels}, {layer.out_channels}, kernel_size={layer.kernel_size}, {scales}, stride={layer.stride}"
        f"{bias}{options}, grid={layer.grid}"
    )
