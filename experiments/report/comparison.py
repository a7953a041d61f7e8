"""A network and its plain twin on a signal, and on the same signal moved: transformed, turned, or both.

Features of the moved signal are compared with what they should be: level i of the moved signal with level i + steps of
the original, turned as the image was, and of the same size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.networks import Own
from experiments.report.move import Move, percentage
from experiments.training.tasks.task import Task
from wavenets import Grid
from wavenets.models import Options
from wavenets.models.network import normalized, reshaped, weights_of
from wavenets.nn import OrientationPool, Views

FINER = " Scales finer than the signal have no details that it lacks, so that they are close but not equal."


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

    @property
    def said(self) -> str:
        """The errors of the levels, in words: one, or the least and the largest."""
        errors = [level.error for level in self.levels]
        low, high = percentage(min(errors)), percentage(max(errors))
        return low if low == high else f"{low if min(errors) else 0} to {high} over its levels"


@dataclass(frozen=True)
class Comparison:
    """Both networks on both signals, (C, L) or (C, H, W).

    Attributes:
        move: The move.
        exact: Whether the network's group has this move, and the network enough scales for it.
        finer: How many of the scales of our network are finer than the signal.
        signal: The original.
        moved: The signal, moved.
        plain: Features and probabilities of the plain twin. ``None``: there is no twin.
        ours: Features and probabilities of the network.
    """

    move: Move
    exact: bool
    finer: int
    signal: Tensor
    moved: Tensor
    plain: Side | None
    ours: Side

    @property
    def sides(self) -> list[Side]:
        """What there is of both networks, ours last."""
        return [side for side in (self.plain, self.ours) if side]

    @property
    def why(self) -> str:
        """Whether errors should be 0, and why not if they should not."""
        if not self.exact:
            place = " Levels are compared with those of the nearest step." if len(self.ours.levels) > 1 else ""
            return f"not a move of its group, so that features are close but not equal.{place}"
        if self.move.steps:
            return (
                "a move of its group. The classes are read from all scales, of which one leaves and one enters with "
                f"each step, so that their probabilities may change.{FINER if self.finer else ''}"
            )
        return "a move of its group."


class Pair:
    """A network and its plain twin.

    For a network that divides its inputs by their root mean square, signals are divided before they are moved. The
    network is exact on such signals.

    Args:
        network: The network.
        task: The task that it was trained for.
        twin: The plain network. ``None``: one is made if there is a plain form, see `plain_twin`.

    Raises:
        ValueError: The network has no grid, or the twin has other inputs or other classes.
    """

    def __init__(self, network: nn.Module, task: Task, twin: nn.Module | None = None) -> None:
        grid = grid_of(network)
        if grid is None or not isinstance(network, Own):
            raise ValueError(f"ckpt must be a network on a group of this package, not {type(network).__name__}")
        if not isinstance(twin, Own | None):
            raise ValueError(f"twin={type(twin).__name__} must be a network of this package: others have no features")
        self.grid, self.task, self.network = grid, task, network
        self.twin, self.twin_name = (twin, "plain twin, trained") if twin else plain_twin(network)
        networks = [net for net in (self.twin, network) if net]
        if len({(net.ndim, net.in_channels) for net in networks}) > 1:
            raise ValueError(f"twin={type(self.twin).__name__} does not take the inputs of {type(network).__name__}")
        self.finer = max((part.finer for part in network.modules() if isinstance(part, Views)), default=0)
        self.divides = {net: net.normalize for net in networks}
        for net in networks:
            net.normalize = False
            net.eval()

    def compare(self, x: Tensor, shrink: float = 1.0, degrees: float = 0.0, mirror: bool = False) -> Comparison:
        """Run both networks on a signal, and on the moved signal.

        Args:
            x: Signal of shape (1, C, L) or (1, C, H, W).
            shrink: See `Move`.
            degrees: See `Move`.
            mirror: See `Move`.

        Raises:
            ValueError: The signal, or the moved signal, is too small for a network.
        """
        move = Move.on(self.grid, shrink, degrees, mirror)
        moved = move(x, self.grid)
        signals = {False: (x, moved)}
        if any(self.divides.values()):
            unit = normalized(x)
            signals[True] = unit, move(unit, self.grid)
        twin = self.twin
        plain = self._side(twin, self.twin_name, move, *signals[self.divides[twin]]) if twin else None
        ours = self._side(self.network, "ours", move, *signals[self.divides[self.network]])
        return Comparison(move, move.on_grid and move.steps == ours.steps, self.finer, x[0], moved[0], plain, ours)

    @torch.inference_mode()
    def _side(self, network: Own, name: str, move: Move, x: Tensor, moved: Tensor) -> Side:
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
        return list(features if self.grid.orientations == 1 else OrientationPool("max")(features))


def grid_of(network: nn.Module) -> Grid | None:
    """Return the grid of a wavelet network, or of all groups on which it is built. ``None``: it is a plain network."""
    parts = [part for part in network.modules() if isinstance(getattr(part, "grid", None), Grid)]
    # A single view is the signal itself, as in a plain `LogMelCNN`.
    parts = [part for part in parts if not (isinstance(part, Views) and part.num_scales * part.grid.orientations == 1)]
    if not parts:
        return None
    scaled: Any = next((part for part in parts if getattr(part, "num_scales", 1) > 1), parts[0])
    grids: list[Any] = [part.grid for part in parts]
    rotations, mirrored = max(grid.rotations for grid in grids), any(grid.mirrored for grid in grids)
    return Grid(scaled.grid.ndim, scaled.grid.base, rotations=rotations, mirrored=mirrored)


def plain_twin(network: nn.Module) -> tuple[Own | None, str]:
    """Return the plain twin of a network, the same class without a group, and what it is.

    The twin of a network of the shared form without orientations has its weights: it is the same network on the finest
    scale alone. Any other twin is untrained; its seed is always the same. A network that is not of this package,
    or is built around another network, has no plain form.
    """
    if not isinstance(network, Own) or any(isinstance(value, nn.Module) for value in network.arguments.values()):
        return None, "no plain twin"
    of_group = {*Options.__annotations__, "finer"}
    arguments = {key: value for key, value in network.arguments.items() if key not in of_group}
    twin = _seeded(type(network), arguments)
    weights = reshaped(weights_of(network), twin)
    if weights is None:  # the width is that of a group
        arguments.pop("width", None)
        return _seeded(type(network), arguments), "plain twin, untrained"
    twin.load_state_dict(weights)
    return twin, "plain twin, same weights"


def _seeded(kind: type[Own], arguments: dict[str, Any]) -> Own:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(**arguments).eval()
