"""Moves of a sound or an image in the demonstration: mirrored, made smaller or larger, turned."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.data.image import geometry
from experiments.data.sound.playback import play
from wavenets import Grid

NEAR = 0.03  # share of a step: a factor that is so near to one of the grid is taken for it


@dataclass(frozen=True)
class Move:
    """A move: the signal is made smaller, as playing a sound faster does, mirrored, and turned counterclockwise.

    Attributes:
        shrink: Factor; the playback speed of a sound, 1 / size of an image.
        degrees: Angle.
        steps: Nearest number of steps on the grid of the network.
        on_grid: Whether the group contains the move: then features move exactly.
        mirror: Whether left and right are exchanged, before the signal is turned.
    """

    shrink: float
    degrees: float
    steps: int
    on_grid: bool
    mirror: bool = False

    @classmethod
    def on(cls, grid: Grid, shrink: float = 1.0, degrees: float = 0.0, mirror: bool = False) -> "Move":
        """Return a move on a grid; a factor within `NEAR` of a step is that step.

        Example:
            >>> Move.on(Grid(2, 2**0.5), shrink=1 / 0.71)
            Move(shrink=1.4142135623730951, degrees=0.0, steps=1, on_grid=True, mirror=False)
            >>> Move.on(Grid(2, rotations=4), degrees=90, mirror=True).on_grid
            False
        """
        exponent = math.log(shrink) / math.log(grid.base)
        steps = round(exponent)
        whole = steps >= 0 and abs(exponent - steps) < NEAR  # T shrinks; nothing enlarges
        on_grid = whole and degrees % 90 == 0 and _contains(grid, round(degrees / 90), mirror)
        return cls(float(grid.base) ** steps if whole else shrink, degrees, steps, on_grid, mirror)

    def __call__(self, x: Tensor, grid: Grid) -> Tensor:
        """Move a signal (1, C, L) or (1, C, H, W): by T if the factor is on the grid, and otherwise by other means."""
        if self.shrink == float(grid.base) ** self.steps and self.steps >= 0:
            x = grid.act(x, self.steps)
        elif grid.ndim == 1:
            x = play(x[0], self.shrink)[None]
        else:
            x = geometry.resize(x[0], 1 / self.shrink)[None]
        return self.turned(x)

    def turned(self, x: Tensor) -> Tensor:
        """Mirror and turn (1, C, H, W) without changing its scale; a sound stays as it is."""
        x = geometry.flip(x) if self.mirror else x
        return geometry.rotate(x[0], self.degrees)[None].contiguous() if self.degrees % 360 else x

    def inside(self, height: int, width: int) -> Tensor:
        """Return which pixels of a moved image (height, width) come from the image and not from beyond its edges."""
        everywhere = torch.ones(height, width, dtype=torch.bool)
        return everywhere if self.degrees % 90 == 0 else geometry.rotate(everywhere, self.degrees)

    def summary(self, ndim: int) -> str:
        """Return what is done to a sound (ndim 1) or an image (ndim 2), in words.

        Example:
            >>> Move.on(Grid(1), 2).summary(ndim=1), Move.on(Grid(2), 2, 90, mirror=True).summary(ndim=2)
            ('at speed ×2', 'at size ×0.5, mirrored, turned by 90°')
        """
        if ndim == 1:
            return f"at speed ×{self.shrink:.3g}"
        mirrored = "mirrored, " if self.mirror else ""
        return f"at size ×{1 / self.shrink:.3g}, {mirrored}turned by {self.degrees:g}°"


def _contains(grid: Grid, turns: int, mirror: bool) -> bool:
    try:
        grid.group.find(turns, mirror)
    except ValueError:
        return False
    return True


def percentage(error: float) -> str:
    """Return how large an error is, in words.

    Example:
        >>> percentage(0.0), percentage(1.104), percentage(0.5912), percentage(0.00034), percentage(1e-7)
        ('0, to the last bit', '110 %', '59 %', '0.034 %', '1e-05 %')
    """
    if error == 0:
        return "0, to the last bit"
    return f"{error:.0%}".replace("%", " %") if error > 0.1 else f"{100 * error:.2g} %"
