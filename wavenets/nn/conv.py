"""Lifting and group convolutions as modules: one core for all dimensions, and a thin class for 1D and for 2D."""

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
    """Lifting convolution in the dimension of the grid, see ``LiftingConv1d``.

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
        """Samples of the kernels at angle 0, of shape (O, C, k) or (O, C, k, k)."""
        samples = self.samples()
        return samples[0] if samples.ndim > self.weight.ndim else samples

    def forward(self, input: Tensor) -> Levels:
        options: dict[str, Any] = {"stride": self.stride, "max_pool": self.max_pool, "padding_mode": self.padding_mode}
        return functional.lift(input, self.samples(), self.bias, num_scales=self.num_scales, grid=self.grid, **options)

    def extra_repr(self) -> str:
        return self._repr(f"num_scales={self.num_scales}", max_pool=self.max_pool)


class GroupConv(KernelLayer):
    """Group convolution in the dimension of the grid, see ``GroupConv1d``.

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
    """Convolution from a waveform to features on the group of scales and translations: one kernel on every view.

    The lifting convolution of Romero et al., arXiv 2006.05259.

    Args:
        in_channels: Number of channels of the signal.
        out_channels: Number of channels of every level.
        kernel_size: Length of the kernel in samples, odd.
        num_scales: Number of scales S. Level i is computed from the signal rescaled by 1/base^i.
        stride: Stride within each level, in that level's own samples.
        bias: If True, the layer adds a learned bias, the same on every level.
        grid: The scales; None is the dyadic grid.
        max_pool: Factor by which every level is max-pooled in the same pass. The result is that of a ``MaxPool1d``
            after the layer. In 1D this is faster, and the features at full length are never in memory.
        kernel: How the learned numbers become samples, from ``wavenets.kernels``; None is ``Samples()``.
        padding_mode: "zeros", "reflect", "replicate" or "circular", as in ``torch.nn.Conv1d``.
        device: Device of the parameters.
        dtype: Data type of the parameters.

    Shape:
        (B, C, L) -> S levels, finest first, level i of shape (B, O, L_i / stride), rounded up. With ``max_pool`` the
        length is divided by it and rounded down.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the rank, channels or dtype of the input do not
            fit, or if it is too short for the scales or the pooling.

    Example:
        >>> lift = LiftingConv1d(1, 8, kernel_size=79, num_scales=9)
        >>> levels = lift(torch.randn(2, 1, 22050))
        >>> len(levels), levels[0].shape, levels[8].shape
        (9, torch.Size([2, 8, 22050]), torch.Size([2, 8, 87]))
    """

    ndim = 1


class LiftingConv2d(LiftingConv):
    """Convolution from an image to features on the group of scales, turns and reflections: see ``LiftingConv1d``.

    The base may be any real number above 1 (``Grid(2, base=2**0.5)``). With N orientations
    (``Grid(2, rotations=4, mirrored=True)`` has 8) there are N levels for each scale, and kernels are square.
    ``num_scales=1`` lifts to orientations alone, as in the networks on SE(2) of Bekkers & Lafarge et al. (arXiv
    1804.03393). Without orientations the kernel size may be (kh, kw).

    Example:
        >>> lift = LiftingConv2d(3, 8, kernel_size=7, num_scales=4)
        >>> [tuple(level.shape[2:]) for level in lift(torch.randn(1, 3, 97, 130))]
        [(97, 130), (49, 65), (25, 33), (13, 17)]
    """

    ndim = 2


class GroupConv1d(GroupConv):
    """Convolution of features over translations and ``scale_extent`` neighbouring scales.

    The group convolution of Romero et al., arXiv 2006.05259. The scale axis is never padded: S levels become
    S - scale_extent + 1.

    Args:
        in_channels: Number of channels of every input level.
        out_channels: Number of channels of every output level.
        kernel_size: Length of the kernel in samples of the level on which it acts, odd.
        scale_extent: Number of neighbouring scales that the kernel spans: the scale itself and the next coarser ones.
        stride: Stride within each level, in that level's own samples.
        groups: Number of blocks of channels that do not mix.
        bias: If True, the layer adds a learned bias, the same on every level.
        grid: The scales; None is the dyadic grid.
        kernel: How the learned numbers become samples, from ``wavenets.kernels``; None is ``Samples()``.
        padding_mode: "zeros", "reflect", "replicate" or "circular", as in ``torch.nn.Conv1d``.
        device: Device of the parameters.
        dtype: Data type of the parameters.

    Shape:
        S levels (B, C, L_i) -> S - scale_extent + 1 levels (B, O, L_i / stride), rounded up.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the levels have no grid or another one, if their
            rank, channels or dtype do not fit, or if there are fewer scales than scale_extent.

    Example:
        >>> conv = GroupConv1d(8, 16, kernel_size=3, scale_extent=3)
        >>> levels = Levels([torch.randn(2, 8, n) for n in (40, 20, 10, 5)], grid=Grid(1))
        >>> [tuple(level.shape) for level in conv(levels)]
        [(2, 16, 40), (2, 16, 20)]
    """

    ndim = 1


class GroupConv2d(GroupConv):
    """Convolution of features over translations, neighbouring scales and all orientations: see ``GroupConv1d``.

    The grid must be the one with which the levels were lifted.

    Example:
        >>> conv = GroupConv2d(8, 16, kernel_size=3, scale_extent=2, stride=2)
        >>> levels = Levels([torch.randn(1, 8, n, n) for n in (28, 14, 7)], grid=Grid(2))
        >>> [tuple(level.shape) for level in conv(levels)]
        [(1, 16, 14, 14), (1, 16, 7, 7)]
    """

    ndim = 2
