"""The discrete group: scales times a point group, and a signal as each of its elements sees it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

from torch import Tensor

from wavenets import resample
from wavenets.levels import Levels, check_floating
from wavenets.point_group import PointGroup

MAX_DENOMINATOR = 64  # of a base that is a ratio
ROOT_DENOMINATOR = 2**20  # of the ratio that stands for any other base in the arithmetic of sizes

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
        if ndim not in (1, 2):
            raise ValueError(f"ndim must be 1 or 2, got {ndim}")
        group = PointGroup(rotations, mirrored)
        if group.order > 1 and ndim == 1:
            raise ValueError(f"only images can be turned or mirrored: {group} needs ndim=2")
        object.__setattr__(self, "ndim", ndim)
        object.__setattr__(self, "base", _parse_base(base, rational=ndim == 1))
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
        return Fraction(self.base).limit_denominator(ROOT_DENOMINATOR)

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
            ValueError: If x has another rank, is not floating-point, or is too short to be rescaled as many times; the
                message states the least size. If ``finer`` is negative or leaves out x.
        """
        self.check_finer(num_scales, finer)
        self._check_spans(x, num_scales - finer)
        scales = [x]
        for _ in range(finer):
            scales.insert(0, self.refine(scales[0]))
        for _ in range(num_scales - 1 - finer):
            scales.append(self.downscale(scales[-1]))
        if self.group.order > 1:
            frames = range(self.group.exact.order)
            scales = [resample.row_by_row(self.group.act(frame, y)) for y in scales for frame in frames]
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
        self.check(x)
        if self.ndim == 1:
            return resample.downscale1d(x, self.ratio)
        return self._in_every_frame(x, lambda y: resample.downscale2d(y, self.ratio))

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
        self.check(x)

        def refined(x: Tensor) -> Tensor:
            size = [resample.refined_size(n, self.ratio, self.ndim) for n in x.shape[2:]]
            if self.ndim == 1:
                return resample.downscale1d(x, 1 / self.ratio, size[0])
            return resample.upscale(x, size, self.ratio)

        return self._in_every_frame(x, refined)

    def _in_every_frame(self, x: Tensor, rescale: Callable[[Tensor], Tensor]) -> Tensor:
        """Rescale a signal as every frame of the point group sees it, and return the upright mean."""
        group = self.group.exact
        if group.order == 1:
            return rescale(x)
        seen = (resample.row_by_row(group.act(frame, x)) for frame in range(group.order))
        moved = (group.undo(frame, rescale(y)) for frame, y in enumerate(seen))
        return group.mean([resample.row_by_row(y) for y in moved])  # without that an exporter asks for strides

    def upscale(self, y: Tensor, size: int | Sequence[int]) -> Tensor:
        """Bring T(x) back to the size of x, linearly: every sample to where T took it from.

        Args:
            y: Signal or map of shape (B, C, L) or (B, C, H, W).
            size: Spatial size of the next finer scale, L or (H, W).

        Returns:
            Tensor of shape (B, C, *size).
        """
        return resample.upscale(y, [size] if isinstance(size, int) else size, self.ratio)

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
        self._check_spans(x, steps + 1)
        d4 = PointGroup(4, mirrored=True)
        if turns or mirror:
            x = resample.row_by_row(d4.act(d4.find(0, mirror), x))
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
        return [resample.row_by_row(self.group.undo(self.group.frame(h), level)) for h, level in enumerate(scale)]

    def moved(self, level: int, steps: int, element: int) -> int:
        """Return the number of the level that moves to ``level`` if the signal is rescaled and transformed."""
        scale, orientation = divmod(level, self.orientations)
        return (scale + steps) * self.orientations + self.group.product[orientation][element]

    def check(self, x: Any) -> None:
        """Raise a ValueError unless x is a floating-point tensor of shape (B, C, L) or (B, C, H, W)."""
        shape = ("(B, C, L)", "(B, C, H, W)")[self.ndim - 1]
        if not isinstance(x, Tensor):
            raise ValueError(f"expected a tensor of shape {shape}, got {type(x).__name__}")
        if x.ndim != self.ndim + 2:
            raise ValueError(f"expected an input of shape {shape}, got {tuple(x.shape)}")
        check_floating(x)

    def least_size(self, num_scales: int) -> int:
        """Return how many samples a dimension needs for num_scales levels, each shorter than the one before."""
        too_short, enough = 0, 1
        while not self._spans(enough, num_scales):
            too_short, enough = enough, 2 * enough
        while enough - too_short > 1:
            middle = (too_short + enough) // 2
            too_short, enough = (too_short, middle) if self._spans(middle, num_scales) else (middle, enough)
        return enough

    def _spans(self, size: int, num_scales: int) -> bool:
        """Return whether T can shorten a dimension num_scales - 1 times."""
        for _ in range(num_scales - 1):
            size, before = resample.downscaled_size(size, self.ratio, self.ndim), size
            if not 0 < size < before:
                return False
        return True

    @staticmethod
    def check_finer(num_scales: int, finer: int) -> None:
        """Raise a ValueError unless there is a scale for the signal itself beside the finer ones."""
        if num_scales < 1:
            raise ValueError(f"num_scales must be at least 1, got {num_scales}")
        if not 0 <= finer < num_scales:
            raise ValueError(f"finer must be from 0 to below num_scales={num_scales}, got {finer}")

    def _check_spans(self, x: Tensor, num_scales: int) -> None:
        self.check(x)
        least = self.least_size(num_scales)
        if min(x.shape[2:]) < least:
            raise ValueError(
                f"a signal of size {tuple(x.shape[2:])} is too short for {num_scales} scales of base {self.base}: "
                f"every dimension needs at least {least} samples"
            )


def _parse_base(base: Fraction | float | str, rational: bool) -> Fraction | float:
    try:
        root, power, exponent = str(base).partition("**")
        exact = Fraction(float(root) ** float(Fraction(exponent))) if power else Fraction(base)
    except (OverflowError, ValueError, ZeroDivisionError, TypeError):
        raise ValueError(f"base must be a finite number or a ratio such as '3/2', got {base!r}") from None
    ratio = exact.limit_denominator(MAX_DENOMINATOR)
    is_ratio = math.isclose(ratio, exact, rel_tol=1e-9)  # a float such as 1.1 means 11/10
    if (ratio if is_ratio else exact.limit_denominator(ROOT_DENOMINATOR)) <= 1:
        raise ValueError(f"base must be above 1, got {base}")
    if rational and not is_ratio:
        raise ValueError(f"in 1D base must be a ratio with a denominator of at most {MAX_DENOMINATOR}, got {base}")
    return ratio if is_ratio else float(exact)
