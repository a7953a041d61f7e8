"""A network and its plain twin on a signal, and on the same signal moved: transformed, turned, or both.

Features of the moved signal are compared with what they should be: level i of the moved signal with level i + steps of
the original, turned as the image was, and of the same size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.data.sets.digit_images import turn
from experiments.data.sound.playback import play
from experiments.training.tasks.task import Task
from wavenets import Grid
from wavenets.models import Network, Options
from wavenets.models.network import normalized, reshaped, weights_of
from wavenets.nn import OrientationPool

NEAR = 0.03  # share of a step: a factor that is so near to one of the grid is taken for it


@dataclass(frozen=True)
class Move:
    """A move of a signal: it is made smaller, as playing a sound faster does, and turned counterclockwise.

    Attributes:
        shrink: Factor; the playback speed of a sound, 1 / size of an image.
        degrees: Angle.
        steps: Nearest number of steps on the grid of the network.
        on_grid: Whether the move consists of these steps and of quarter turns: then features move exactly.
    """

    shrink: float
    degrees: float
    steps: int
    on_grid: bool

    @classmethod
    def on(cls, grid: Grid, shrink: float = 1.0, degrees: float = 0.0) -> "Move":
        """Return a move on a grid; a factor within `NEAR` of a step is that step.

        Example:
            >>> Move.on(Grid(2, 2**0.5), shrink=1 / 0.71)
            Move(shrink=1.4142135623730951, degrees=0.0, steps=1, on_grid=True)
            >>> Move.on(Grid(1), shrink=3)
            Move(shrink=3, degrees=0.0, steps=2, on_grid=False)
        """
        exponent = math.log(shrink) / math.log(grid.base)
        steps = round(exponent)
        whole = steps >= 0 and abs(exponent - steps) < NEAR  # T shrinks; nothing enlarges
        turned = degrees % 90 == 0
        return cls(float(grid.base) ** steps if whole else shrink, degrees, steps, whole and turned)

    def __call__(self, x: Tensor, grid: Grid) -> Tensor:
        """Move a signal (1, C, L) or (1, C, H, W): by T if it is on the grid, and otherwise by other means."""
        if self.shrink == float(grid.base) ** self.steps and self.steps >= 0:
            x = grid.act(x, self.steps)
        elif grid.ndim == 1:
            x = torch.stack([play(channel, self.shrink) for channel in x[0].split(1)], 1)
        else:
            size = [max(1, round(n / self.shrink)) for n in x.shape[2:]]
            x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        return self.turned(x)

    def summary(self, ndim: int) -> str:
        """Return what is done to a sound (ndim 1) or an image (ndim 2), in words.

        Example:
            >>> Move.on(Grid(1), 2).summary(ndim=1), Move.on(Grid(2), 2, 90).summary(ndim=2)
            ('at speed ×2', 'at size ×0.5, turned by 90°')
        """
        if ndim == 1:
            return f"at speed ×{self.shrink:.3g}"
        return f"at size ×{1 / self.shrink:.3g}, turned by {self.degrees:g}°"

    def turned(self, x: Tensor) -> Tensor:
        """Turn (1, C, H, W); a sound stays as it is."""
        if self.degrees % 90 == 0:
            return x.rot90(round(self.degrees / 90), (2, 3)) if self.degrees % 360 else x
        return turn(x[0], self.degrees)[None]


@dataclass(frozen=True)
class Level:
    """Features of the original, as those of the moved signal should be, and those of the moved signal.

    Attributes:
        name: Name of the levels that are compared.
        original: Features (C, L) or (C, H, W) of the original.
        expected: The same, turned and of the size of ``moved``.
        moved: Features of the moved signal.
    """

    name: str
    original: Tensor
    expected: Tensor
    moved: Tensor

    @property
    def error(self) -> float:
        """Relative distance of the features from what they should be; 0.0 is equality to the last bit."""
        if torch.equal(self.moved, self.expected):
            return 0.0
        return ((self.moved - self.expected).norm() / self.expected.norm().clamp(min=1e-12)).item()


@dataclass(frozen=True)
class Side:
    """The features and probabilities (num_classes,) of one network for the two signals.

    Level i of the moved signal is compared with level i + ``steps`` of the original.
    """

    name: str
    steps: int
    levels: list[Level]
    probabilities: Tensor
    moved_probabilities: Tensor


@dataclass(frozen=True)
class Comparison:
    """Both networks on both signals, (C, L) or (C, H, W).

    Attributes:
        move: The move.
        exact: Whether the network's group has this move, and the network enough scales for it.
        signal: The original.
        moved: The signal, moved.
        plain: Features and probabilities of the plain twin.
        ours: Features and probabilities of the network.
    """

    move: Move
    exact: bool
    signal: Tensor
    moved: Tensor
    plain: Side
    ours: Side


class Pair:
    """A network and its plain twin.

    For a network that divides its inputs by their root mean square, signals are divided before they are moved. The
    network is exact on such signals.

    Args:
        network: The network.
        task: The task that it was trained for.
        twin: The plain network. ``None``: one is made, see `plain_twin`.

    Raises:
        ValueError: The network has no grid, or the twin has other inputs or other classes.
    """

    def __init__(self, network: nn.Module, task: Task, twin: Network | None = None) -> None:
        grid = grid_of(network)
        if grid is None or not isinstance(network, Network):
            raise ValueError(f"ckpt must be a wavelet network of wavenets.models, not {type(network).__name__}")
        self.grid, self.task = grid, task
        self.twin, self.twin_name = (twin, "plain twin, trained") if twin else plain_twin(network)
        self.network = network
        if (self.twin.ndim, self.twin.in_channels) != (network.ndim, network.in_channels):
            raise ValueError(f"twin={type(self.twin).__name__} does not take the inputs of {type(network).__name__}")
        self.divides = [net.normalize for net in (self.twin, network)]
        for net in self.twin, network:
            net.normalize = False
            net.eval()

    def compare(self, x: Tensor, shrink: float = 1.0, degrees: float = 0.0) -> Comparison:
        """Run both networks on a signal, and on the moved signal.

        Args:
            x: Signal of shape (1, C, L) or (1, C, H, W).
            shrink: See `Move`.
            degrees: See `Move`.

        Raises:
            ValueError: The signal, or the moved signal, is too small for a network.
        """
        move = Move.on(self.grid, shrink, degrees)
        moved = move(x, self.grid)
        signals = {False: (x, moved)}
        if any(self.divides):
            unit = normalized(x)
            signals[True] = unit, move(unit, self.grid)
        plain = self._side(self.twin, self.twin_name, move, *signals[self.divides[0]])
        ours = self._side(self.network, "ours", move, *signals[self.divides[1]])
        return Comparison(move, move.on_grid and move.steps == ours.steps, x[0], moved[0], plain, ours)

    @torch.inference_mode()
    def _side(self, network: Network, name: str, move: Move, x: Tensor, moved: Tensor) -> Side:
        features = [network.features(signal) for signal in (x, moved)]
        probabilities = [self.task.probabilities(network.readout(network.head(some)))[0] for some in features]
        original, after = (self._scales(some) for some in features)
        count = len(original)
        steps = max(-count + 1, min(count - 1, move.steps))
        levels = []
        for i, have in enumerate(after):
            if 0 <= i + steps < count:
                before = original[i + steps]
                expected = move.turned(before)
                if expected.shape != have.shape:
                    mode = "linear" if have.ndim == 3 else "bilinear"
                    expected = F.interpolate(expected, have.shape[2:], mode=mode, align_corners=False)
                title = f"{name}\nlevel {i + steps} → {i}" if count > 1 else name
                levels.append(Level(title, before[0], expected[0], have[0]))
        return Side(name, steps, levels, *probabilities)

    def _scales(self, features: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Return a tensor for each scale, in the frame of the signal."""
        if isinstance(features, Tensor):
            return [features]
        return list(OrientationPool("max")(features))


def grid_of(network: nn.Module) -> Grid | None:
    """Return the grid of a wavelet network. ``None``: it is a plain network."""
    grids = (getattr(module, "grid", None) for module in network.modules())
    return next((grid for grid in grids if isinstance(grid, Grid)), None)


def plain_twin(network: Network) -> tuple[Network, str]:
    """Return the plain twin of a network, the same class without a group, and what it is.

    The twin of a network of the shared form without orientations has its weights: it is the same network on the finest
    scale alone. Any other twin is untrained; its seed is always the same.
    """
    group = "width", *Options.__annotations__
    arguments = {key: value for key, value in network.arguments.items() if key not in group}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        twin = type(network)(**arguments)
    weights = reshaped(weights_of(network), twin)
    if weights is None:
        return twin, "plain twin, untrained"
    twin.load_state_dict(weights)
    return twin, "plain twin, same weights"
