"""A network that returns maps and its plain twin: the map of a moved image beside the moved map of the image."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from experiments.report.comparison import grid_of, plain_twin
from experiments.report.move import Move, percentage
from experiments.training.tasks.segmentation import Segmentation


@dataclass(frozen=True)
class MapSide:
    """The maps of one network.

    Attributes:
        name: Name of the network.
        original: Class numbers (H, W) of the image.
        moved: Class numbers of the moved image.
        difference: How far the probabilities of the moved image are from the moved probabilities of the image: the
            largest difference over the classes, at each pixel; NaN beyond the edges of a turned image.
        error: Distance of the outputs from what they should be, relative to how much these vary over the pixels that
            were in the image: a map that is the same everywhere has nothing to move. 0.0 is equality to the last bit.
        changed: Share of these pixels that have another class than they should have.
    """

    name: str
    original: np.ndarray
    moved: np.ndarray
    difference: np.ndarray
    error: float
    changed: float

    @property
    def said(self) -> str:
        """The error in words."""
        if self.error == 0:
            return percentage(0)
        share = percentage(self.changed) if self.changed else "none"
        return f"{percentage(self.error)}, another class at {share} of the pixels"


@dataclass(frozen=True)
class MapComparison:
    """The maps of both networks.

    Attributes:
        move: The move.
        num_scales: Number of scales of the network.
        signal: The image, (C, H, W).
        moved: The moved image.
        plain: The maps of the plain twin. ``None``: there is no twin.
        ours: The maps of the network.
    """

    move: Move
    num_scales: int
    signal: Tensor
    moved: Tensor
    plain: MapSide | None
    ours: MapSide

    @property
    def sides(self) -> list[MapSide]:
        """What there is of both networks, ours last."""
        return [side for side in (self.plain, self.ours) if side]

    @property
    def exact(self) -> bool:
        """Whether the map moves with the image, to the last bit."""
        return self.move.on_grid and self.move.steps == 0

    @property
    def why(self) -> str:
        """Whether the error should be 0, and why not if it should not."""
        if self.exact:
            return "a move of its group."
        if self.move.on_grid and self.move.steps < self.num_scales:
            return (
                "a move of its group. The map is read from all scales, of which one leaves and one enters with each "
                "step, so that it is close but not equal."
            )
        return "not a move of its group, so that maps are close at best."


class MapPair:
    """A network that returns maps of images, and its plain twin.

    Args:
        network: The network.
        task: The task that it was trained for.
        twin: The plain network. ``None``: one is made if there is a plain form, see `plain_twin`.

    Raises:
        ValueError: The network has no group.
    """

    def __init__(self, network: nn.Module, task: Segmentation, twin: nn.Module | None = None) -> None:
        grid = grid_of(network)
        if grid is None:
            raise ValueError(f"ckpt is a plain {type(network).__name__}; name an equivariant network, and this as twin")
        self.grid, self.task, self.network = grid, task, network.eval()
        self.twin: nn.Module | None
        self.twin, self.twin_name = (twin.eval(), "plain twin, trained") if twin else plain_twin(network)
        self.num_scales = max(getattr(part, "num_scales", 1) for part in network.modules())

    def compare(self, x: Tensor, shrink: float = 1.0, degrees: float = 0.0, mirror: bool = False) -> MapComparison:
        """Run both networks on an image and on the moved image.

        Args:
            x: Image of shape (1, C, H, W).
            shrink: See `Move`.
            degrees: See `Move`.
            mirror: See `Move`.

        Raises:
            RuntimeError: A network does not take images of this size.
            ValueError: The image, or the moved image, is too small for a network.
        """
        move = Move.on(self.grid, shrink, degrees, mirror)
        moved = move(x, self.grid)
        plain = self._side(self.twin, self.twin_name, move, x, moved) if self.twin else None
        ours = self._side(self.network, "ours", move, x, moved)
        return MapComparison(move, self.num_scales, x[0], moved[0], plain, ours)

    @torch.inference_mode()
    def _side(self, network: nn.Module, name: str, move: Move, x: Tensor, moved: Tensor) -> MapSide:
        original, after = network(x), network(moved)
        expected, inside = move(original, self.grid), move.inside(*moved.shape[2:])
        have, should = (self.task.probabilities(logits)[0] for logits in (after, expected))
        return MapSide(
            name,
            self.task.classes_of(original)[0].numpy(),
            self.task.classes_of(after)[0].numpy(),
            (have - should).abs().amax(0).where(inside, torch.nan).numpy(),
            _error(after[..., inside], expected[..., inside]),
            (have.argmax(0) != should.argmax(0))[inside].float().mean().item(),
        )


def _error(actual: Tensor, expected: Tensor) -> float:
    """Return the distance of outputs (1, C, N) relative to their variation; 0.0 is equality to the last bit."""
    if torch.equal(actual, expected):
        return 0.0
    variation = (expected - expected.mean(2, keepdim=True)).norm()
    return ((actual - expected).norm() / variation.clamp(min=1e-12)).item()
