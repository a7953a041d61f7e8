"""The discrete group: scales times a point group, and a signal as each of its elements sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from torch import Tensor

from wavenets import resample, sizes
from wavenets._ops.export import row_by_row
from wavenets.levels import Levels, check_ndim, check_signal
from wavenets.point_group import PointGroup

Some = TypeVar("Some")


@dataclass(frozen=True)
class Grid:
    """The discrete group on which a network lives: scales base^0, base^1, …, times turns and reflections.

    It holds the operators from which the equivariance follows: T, which rescales a signal by 1/base with anti-aliasing,
    the quarter turn and the reflection. A *view* is the signal as one element of the group sees it. The views of a
    transformed signal are the views of the signal in another order, to the last bit.

    The measure 1/s of the wavelet transform is included: T keeps amplitudes, and level i has base^i times fewer samples
    in each dimension. So a plain sum over its samples is the integral divided by the scale in each dimension.

    Args:
        ndim: Number of spatial dimensions, 1 (waveforms) or 2 (images).
        base: Ratio of neighbouring scales, above 1: a number, a ``Fraction`` or a string such as ``"5/4"`` or
            ``"2**0.5"``. In 1D it must be a ratio of small integers.
        rotations: Number of turns of the point group: 1, 2, 4, 8, 12 or 16, above 1 in 2D only. Up to 4, all turns are
            views. Between quarter turns kernels are sampled at the angle.
        mirrored: If True, the point group contains reflections as well: D_n in place of C_n. In 2D only.

    Attributes:
        group: The ``PointGroup`` of all orientations.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> grid = Grid(ndim=1, base="3/2")
        >>> [view.shape[-1] for view in grid.views(torch.randn(1, 1, 90), num_scales=3)]
        [90, 60, 40]
        >>> [tuple(view.shape[2:]) for view in Grid(2, rotations=4).views(torch.randn(1, 1, 20, 10), num_scales=1)]
        [(20, 10), (10, 20), (20, 10), (10, 20)]
        >>> Grid(2, rotations=4, mirrored=True).orientations
        8
    """

    ndim: int
    base: Fraction | float = Fraction(2)
    rotations: int = 1
    mirrored: bool = False
    group: PointGroup = field(init=False, compare=False, repr=False)
    _exact: "Grid | None" = field(init=False, compare=False, repr=False)
    _scales: "Grid | None" = field(init=False, compare=False, repr=False)

    def __init__(self, ndim: int, base: Fraction | float | str = 2, rotations: int = 1, mirrored: bool = False) -> None:
        check_ndim(ndim)
        group = PointGroup(rotations, mirrored)
        if group.order > 1 and ndim == 1:
            raise ValueError(f"only images can be turned or mirrored: {group} needs ndim=2")
        object.__setattr__(self, "ndim", ndim)
        object.__setattr__(self, "base", sizes.parse_base(base, ndim))
        object.__setattr__(self, "rotations", rotations)
        object.__setattr__(self, "mirrored", mirrored)
        object.__setattr__(self, "group", group)
        # Made here, since compilers cannot follow the making of a grid.
        object.__setattr__(self, "_exact", Grid(ndim, base, 4, mirrored) if rotations > 4 else None)
        object.__setattr__(self, "_scales", Grid(ndim, base) if group.order > 1 else None)

    def __repr__(self) -> str:
        turns = f", rotations={self.rotations}" if self.rotations > 1 else ""
        return f"Grid(ndim={self.ndim}, base={self.base}{turns}{', mirrored=True' if self.mirrored else ''})"

    @property
    def orientations(self) -> int:
        """Number of levels of each scale: ``rotations``, and twice as many with reflections."""
        return self.group.order

    @property
    def exact(self) -> "Grid":
        """The grid of the views: with at most four rotations, which act on pixels exactly."""
        return self._exact or self

    @property
    def scales(self) -> "Grid":
        """The grid without orientations, of what is upright."""
        return self._scales or self

    @property
    def ratio(self) -> Fraction:
        """The base as a ratio; that of a root is rounded, to about a millionth."""
        return sizes.as_ratio(self.base)

    def views(self, x: Tensor, num_scales: int, finer: int = 0) -> Levels:
        """Return a signal as the elements of the group see it: x, T(x), T(T(x)), …, each in every orientation.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).
            num_scales: Number of scales, that of x itself included.
            finer: How many of the scales are finer than x: …, U(U(x)), U(x), x, T(x), …, where U is ``refine``. They
                have no details that x does not have. The scales from x on are exact under T, the finer ones are not.

        Returns:
            The views, finest first, orientations innermost: view i·N + m·R + r is T^i(x), mirrored m times and turned r
            times. With more than four rotations they are those of ``exact``.

        Raises:
            ValueError: If x has another rank, is not floating-point or is too short; if ``finer`` leaves out x.
        """
        sizes.check_finer(num_scales, finer)
        check_signal(x, self.ndim)
        sizes.check_spans(x.shape[2:], num_scales - finer, self.base)
        scales = [x]
        for _ in range(finer):
            scales.insert(0, self.refine(scales[0]))
        for _ in range(num_scales - 1 - finer):
            scales.append(self.downscale(scales[-1]))
        if self.group.order > 1:
            scales = [row_by_row(self.group.act(frame, y)) for y in scales for frame in range(self.group.exact.order)]
        return Levels(*scales, grid=self.exact)

    def downscale(self, x: Tensor) -> Tensor:
        """Rescale a signal by 1/base with anti-aliasing: the operator T.

        In 1D this is windowed-sinc resampling, equal to ``torchaudio.functional.resample(x, p, q)`` for base = p/q:
        output sample n sits at input time n·base, and the output has ceil(L·q/p) samples. In 2D it is bilinear with
        anti-aliasing, to round(size/base) as ``torch.nn.functional.interpolate`` has it, and at base 2 by exactly 2, to
        ceil(size/2), where the corners of an odd size stay corners. On a grid with turns or reflections it is the mean
        over the frames of the point group, which differs in the last digits and commutes with them.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).

        Returns:
            The signal at 1/base of its size, of shape (B, C, L') or (B, C, H', W').

        Raises:
            ValueError: If x has another rank or is not floating-point.
        """
        check_signal(x, self.ndim)
        return self.group.exact.commuting(lambda y: resample.downscale(y, self.ratio), x)

    def refine(self, x: Tensor) -> Tensor:
        """Rescale a signal by base: one scale finer, to the size nearest to size · base that T brings back.

        In 1D by the windowed sinc of ``downscale``, in 2D bilinearly, with the geometry of ``upscale``. Like T it
        commutes with the point group of the grid.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).

        Returns:
            The signal at base times its size.

        Raises:
            ValueError: If x has another rank or is not floating-point.

        Example:
            >>> Grid(2, base=2**0.5).refine(torch.randn(1, 3, 100, 71)).shape
            torch.Size([1, 3, 141, 100])
        """
        check_signal(x, self.ndim)
        return self.group.exact.commuting(lambda y: resample.refine(y, self.ratio), x)

    def upscale(self, y: Tensor, size: int | Sequence[int]) -> Tensor:
        """Bring T(x) back to the size of x, linearly: every sample to where T took it from.

        Args:
            y: Signal or map of shape (B, C, L) or (B, C, H, W).
            size: Spatial size of the next finer scale, L or (H, W).

        Returns:
            Tensor of shape (B, C, *size).

        Raises:
            ValueError: If y has another rank or is not floating-point, or size has not one number for each dimension.
        """
        check_signal(y, self.ndim)
        size = [size] if isinstance(size, int) else size
        if len(size) != self.ndim:
            raise ValueError(f"size must have {self.ndim} numbers, got {tuple(size)}")
        return resample.upscale(y, size, self.ratio)

    def align(self, y: Tensor, size: Sequence[int]) -> Tensor:
        """Bring features to the size of the next finer scale, linearly, with half-pixel centres.

        Unlike the samples of a signal, which ``upscale`` brings back, pooled features stand for the middle of a window.

        Args:
            y: Features of shape (B, C, L) or (B, C, H, W).
            size: Spatial size of the features of the next finer scale.

        Returns:
            Tensor of shape (B, C, *size).
        """
        return resample.stretch(y, size, self.ratio if self.ndim == 1 or self.base == 2 else None)

    def act(self, x: Tensor, steps: int = 0, turns: int = 0, mirror: bool = False) -> Tensor:
        """Transform a signal by an element of the group: a reflection, then T^steps, then quarter turns.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).
            steps: Number of times it is rescaled by 1/base.
            turns: Number of quarter turns, counterclockwise.
            mirror: Whether it is mirrored first, left to right.

        Returns:
            The transformed signal.

        Raises:
            ValueError: If steps is negative, or the signal is too short, or it is not an image and cannot be turned.

        Example:
            >>> Grid(2, rotations=4).act(torch.randn(1, 1, 20, 30), steps=1, turns=1).shape
            torch.Size([1, 1, 15, 10])
        """
        if (turns or mirror) and self.ndim == 1:
            raise ValueError(f"only images can be turned or mirrored, got turns={turns}, mirror={mirror} on {self}")
        if steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps}")
        check_signal(x, self.ndim)
        sizes.check_spans(x.shape[2:], steps + 1, self.base)
        d4 = PointGroup(4, mirrored=True)
        if turns or mirror:
            x = row_by_row(d4.act(d4.find(0, mirror), x))
        for _ in range(steps):
            x = self.downscale(x)
        return d4.act(d4.find(turns), x).contiguous() if turns else x

    def by_scale(self, levels: Sequence[Some]) -> list[Sequence[Some]]:
        """Split a sequence with one item for each level into one part for each scale."""
        return [levels[i : i + self.orientations] for i in range(0, len(levels), self.orientations)]

    def size_of(self, orientation: int, size: Sequence[int]) -> tuple[int, ...]:
        """Return the size of a level, given the size of orientation 0 of its scale: odd quarter turns transpose it."""
        odd = self.group.parts(self.group.frame(orientation))[1] % 2
        return tuple(reversed(size)) if odd else tuple(size)

    def upright(self, scale: Sequence[Tensor]) -> list[Tensor]:
        """Bring the levels of one scale, one for each orientation, back into the frame of the signal."""
        # Of one layout: without that an exporter asks for strides where they are added up.
        return [row_by_row(self.group.undo(self.group.frame(h), level)) for h, level in enumerate(scale)]

    def moved(self, level: int, steps: int, element: int) -> int:
        """Return the number of the level that moves to ``level`` if the signal is rescaled and transformed."""
        scale, orientation = divmod(level, self.orientations)
        return (scale + steps) * self.orientations + self.group.product[orientation][element]

    def least_size(self, num_scales: int) -> int:
        """Return how many samples a dimension needs for num_scales levels, each shorter than the one before."""
        return sizes.least_size(num_scales, self.ratio, self.ndim)
