"""Lifting and group convolutions as modules: one core for every dimension, and a thin class for 1D and 2D."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wavenets import functional
from wavenets.grid import Grid
from wavenets.kernels import Kernel
from wavenets.levels import Levels, known
from wavenets.nn._kernel import KernelLayer, positive


class LiftingConv(KernelLayer):
    """Lifts a signal of any dimension, that of the grid: see ``LiftingConv1d``.

    Example:
        >>> lift = LiftingConv(3, 8, kernel_size=5, num_scales=2, grid=Grid(2, rotations=4))
        >>> len(lift(torch.randn(1, 3, 33, 40)))
        8
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        num_scales: int,
        stride: int = 1,
        bias: bool = True,
        grid: Grid | None = None,
        max_pool: int = 1,
        kernel: Kernel | None = None,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            shape=(out_channels, in_channels),
            grid=self._own(grid),
            stride=stride,
            bias=bias,
            kernel=kernel,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
        )
        self.num_scales = positive("num_scales", num_scales)
        self.max_pool = positive("max_pool", max_pool)

    @property
    def wavelets(self) -> Tensor:
        """The kernels in use at angle 0, of shape (O, C, k) or (O, C, k, k)."""
        samples = self.samples()
        return samples[0] if samples.ndim > self.weight.ndim else samples

    def forward(self, input: Tensor) -> Levels:
        options: dict[str, Any] = {"stride": self.stride, "max_pool": self.max_pool, "padding_mode": self.padding_mode}
        return functional.lift(input, self.samples(), self.bias, num_scales=self.num_scales, grid=self.grid, **options)

    def extra_repr(self) -> str:
        return self._repr(f"num_scales={self.num_scales}", max_pool=self.max_pool)


class GroupConv(KernelLayer):
    """Convolves features on the group of any dimension, that of the grid: see ``GroupConv1d``.

    Example:
        >>> conv = GroupConv(8, 16, kernel_size=3, grid=Grid(2, rotations=4))
        >>> conv.weight.shape
        torch.Size([16, 8, 1, 4, 3, 3])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        scale_extent: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
        grid: Grid | None = None,
        kernel: Kernel | None = None,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if positive("groups", groups) and (in_channels % groups or out_channels % groups):
            raise ValueError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}")
        grid = self._own(grid)
        orientations = [grid.orientations] if grid.orientations > 1 else []
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            shape=(out_channels, in_channels // groups, positive("scale_extent", scale_extent), *orientations),
            grid=grid,
            stride=stride,
            bias=bias,
            kernel=kernel,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
        )
        self.scale_extent = scale_extent
        self.groups = groups

    def forward(self, input: Sequence[Tensor]) -> Levels:
        known(input, self.grid)
        options: dict[str, Any] = {"stride": self.stride, "groups": self.groups, "padding_mode": self.padding_mode}
        return functional.group_conv(input, self.samples(), self.bias, grid=self.grid, **options)

    def extra_repr(self) -> str:
        return self._repr(f"scale_extent={self.scale_extent}", groups=self.groups)


class LiftingConv1d(LiftingConv):
    """Lifts a waveform to features on the group of scales and translations (Romero et al., arXiv 2006.05259).

    Args:
        in_channels: Channels of the signal.
        out_channels: Channels of every level.
        kernel_size: Length of the kernel in samples, odd.
        num_scales: Number of scales S; level i sees the signal base^i times coarser.
        stride: Stride within each level, in that level's own samples.
        bias: If True, adds a bias per output channel, the same on every level.
        grid: The scales; None is the dyadic grid.
        max_pool: Max-pools every level by this factor in the same pass: what ``MaxPool1d`` would make of it, but
            faster, and in memory the features at their full length never exist (1D, decimated).
        kernel: How the learned numbers become samples, from ``wavenets.kernels``; None is ``Samples()``.
        padding_mode: "zeros", "reflect", "replicate" or "circular", as in ``torch.nn.Conv1d``.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        (B, C, L) -> S levels, finest first, level i of shape (B, O, L_i / stride), rounded up; pooled: shorter by
        max_pool, rounded down.

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


class LiftingConv2d(LiftingConv):
    """Lifts an image to features on the group: ``LiftingConv1d`` for (B, C, H, W).

    The base may be any real number above 1 (``Grid(2, base=2**0.5)``). With turns (``Grid(2, rotations=4)``) every
    scale gives R levels, the image as each orientation sees it; ``num_scales=1`` then is a network on SE(2), as those
    of Bekkers & Lafarge et al. (arXiv 1804.03393). Without turns the kernel size may be (kh, kw).

    Example:
        >>> lift = LiftingConv2d(3, 8, kernel_size=7, num_scales=4)
        >>> [tuple(level.shape[2:]) for level in lift(torch.randn(1, 3, 97, 130))]
        [(97, 130), (48, 65), (24, 32), (12, 16)]
    """

    ndim = 2


class GroupConv1d(GroupConv):
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
        kernel: How the learned numbers become samples, from ``wavenets.kernels``; None is ``Samples()``.
        padding_mode: "zeros", "reflect", "replicate" or "circular", as in ``torch.nn.Conv1d``.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        S levels (B, C, L_i) -> S - scale_extent + 1 levels (B, O, L_i / stride), rounded up.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if a level's rank, channels or dtype do not fit or
            there are fewer levels than scale_extent.

    Example:
        >>> conv = GroupConv1d(8, 16, kernel_size=3, scale_extent=3)
        >>> [tuple(level.shape) for level in conv([torch.randn(2, 8, n) for n in (40, 20, 10, 5)])]
        [(2, 16, 40), (2, 16, 20)]
    """

    ndim = 1


class GroupConv2d(GroupConv):
    """Convolves features over translation, neighbouring scales and all turns: ``GroupConv1d`` for (B, C, H_i, W_i).

    Example:
        >>> conv = GroupConv2d(8, 16, kernel_size=3, scale_extent=2, stride=2)
        >>> [tuple(level.shape) for level in conv([torch.randn(1, 8, n, n) for n in (28, 14, 7)])]
        [(1, 16, 14, 14), (1, 16, 7, 7)]
    """

    ndim = 2
