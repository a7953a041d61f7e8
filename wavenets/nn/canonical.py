"""Any network made equivariant: on all views, or on the one view of each example that a small network chooses."""

import torch
from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.levels import Levels
from wavenets.nn.map_readout import MapReadout
from wavenets.nn.readout import Mode, Readout
from wavenets.nn.views import PerLevel, Views


def equivariant(
    network: nn.Module, grid: Grid, num_scales: int = 1, mode: Mode = "mean", maps: bool = False, finer: int = 0
) -> nn.Sequential:
    """Make any network equivariant, trained or not: it is applied to all views, and its answers are fused.

    Short for ``nn.Sequential(Views(num_scales, grid), PerLevel(network), Readout(mode))``, or ``MapReadout(mode)`` for
    maps. The network is not changed. Results may be nested, as in the example. The outer T is then not
    averaged over turns, so that turns are exact up to rounding only. On one grid of both they are exact.

    Args:
        network: A network from signals to vectors (B, C), or, with ``maps``, to maps of the size of its input.
        grid: The group, of at most four rotations.
        num_scales: Number of scales.
        mode: How the answers of the views are fused, see ``Readout`` and ``MapReadout``. "confident" suits a released
            network at an unknown magnification: for each example it takes the scale whose answer is surest.
        maps: Whether the network returns maps. The result is an upright map of the size of the signal.
        finer: How many of the scales are finer than the signal. A network that was trained at one magnification needs
            them for signals that show less detail than those of its training.

    Returns:
        The network on all views: invariant, or for maps equivariant, to the last bit for turns and reflections, and up
        to the scales that enter and leave for rescaling.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        The mean over eight poses, at the surest of five scales:

        >>> network = nn.Conv2d(3, 2, 3, padding=1)
        >>> poses = equivariant(network, Grid(2, rotations=4, mirrored=True), maps=True)
        >>> net = equivariant(poses, Grid(2, base=2**0.5), 5, mode="confident", maps=True)
        >>> net(torch.randn(1, 3, 65, 90)).shape
        torch.Size([1, 2, 65, 90])
    """
    readout = MapReadout(mode) if maps else Readout(mode)
    parts: list[nn.Module] = [Views(num_scales, grid, finer), PerLevel(network), readout]
    if maps and finer:
        parts.append(_Downscale(grid, finer))
    return nn.Sequential(*parts)


class Canonicalize(nn.Module):
    """A network that sees each example in one pose: of all views the one that a small network likes best.

    Only ``score`` is applied to all views, and ``network`` to one of them. The answer is a function of a view that does
    not depend on the pose, so it is invariant. A map is brought back upright, to the size of the signal.
    ``losses.pose`` trains a score without labels.

    In training the output is multiplied by 1 + p - p.detach(), p the softmax probability of the chosen view. Its value
    stays, and the loss of the network reaches the score: views on which the network does well become likelier.

    Args:
        network: A network from signals to vectors, or to maps of the size of its input.
        score: A small network from signals to one number each, (B, 1). It should not be able to see the size of its
            input, which tells views apart: best are convolutions without padding, then the mean over positions.
        grid: The group, of at most four rotations.
        num_scales: Number of scales among which to choose.
        finer: How many of the scales are finer than the signal, see ``Grid.views``.

    Note:
        If a signal is turned or mirrored, the network sees the same view, to the last bit, provided that one score is
        the highest. If it is rescaled by T, the network sees the same view where the chosen scale is not finer than the
        signal, and neither the first one of the signal nor the last one of the rescaled signal. (To the last bit for a
        batch as a whole: torch rounds differently in batches of another size.)

        Of equal scores the first is taken. A symmetric image has equal views: its vector does not depend on which is
        taken, and its map does up to a symmetry of the image. Where different views have equal scores, as those of a
        score that does not change under reflections, the choice means nothing.

        The choice depends on data, so ``torch.export``, ONNX and vmap are not supported.

    Shape:
        (B, C, L) or (B, C, H, W) -> what the network returns: if it has as many dimensions as the signal it is a map.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the signal is too short, the score is not one
            number for each example, or a map does not have the size of the input of the network.

    Example:
        >>> mean = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        >>> score = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Conv2d(8, 1, 5), *mean)
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(49, 10))
        >>> net = Canonicalize(network, score, Grid(2, rotations=4, mirrored=True)).eval()
        >>> x = torch.randn(2, 1, 28, 28)
        >>> torch.equal(net(x), net(x.rot90(1, (2, 3))))
        True
    """

    choice: int | None = None  # see wavenets.tiles: it is set where one view is chosen for many tiles

    def __init__(self, network: nn.Module, score: nn.Module, grid: Grid, num_scales: int = 1, finer: int = 0) -> None:
        super().__init__()
        self.views, self.network, self.score = Views(num_scales, grid, finer), network, score

    def forward(self, input: Tensor) -> Tensor:
        views = self.views(input)
        if self.choice is not None:
            return self.answers(views, torch.full([len(input)], self.choice % len(views)))
        scores = self.scores(views)
        chosen = scores.argmax(1)
        output = self.answers(views, chosen)
        if not self.training:
            return output
        p = scores.softmax(1).gather(1, chosen[:, None]).view(-1, *[1] * (output.ndim - 1))
        return output * (1 + p - p.detach())

    def element(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Return which view is chosen for each example: the number of its scale and of its orientation, (B,) each.

        Scale 0 is the finest. Orientation m·R + r is the image mirrored m times, then turned counterclockwise r times.
        """
        chosen, orientations = self.scores(self.views(input)).argmax(1), self.views.grid.orientations
        return chosen // orientations, chosen % orientations

    def evidence(self, input: Tensor) -> list[Tensor]:
        """Return the score of each view, in the form in which it adds up over tiles of one size."""
        return [torch.stack([score, torch.ones_like(score)], 1) for score in self.scores(self.views(input)).unbind(1)]

    def scores(self, views: Levels) -> Tensor:
        """Return the score of every view of every example, (B, views): the chosen one has the highest.

        If a score is a mean over positions, the scores of an image are about the mean of the scores of its tiles.
        """
        scores = [self.score(view) for view in views]
        if any(score.shape != (len(view), 1) for score, view in zip(scores, views, strict=True)):
            raise ValueError(f"a score must be one number for each example, (B, 1), got shape {tuple(scores[0].shape)}")
        return torch.cat(scores, 1)

    def answers(self, views: Levels, chosen: Tensor) -> Tensor:
        """Return the output of the network for the chosen view of each example, maps upright at the size of the signal.

        Args:
            views: All views.
            chosen: Number of the view of each example, (B,).
        """
        if not len(chosen):  # of an empty batch the shape alone
            return self.network(views[self.views.finer * self.views.grid.orientations])
        levels, alike = chosen.tolist(), dict[torch.Size, list[int]]()
        for example, level in enumerate(levels):  # views of one size are one batch, in any orientation
            alike.setdefault(views[level].shape, []).append(example)
        outputs = dict[int, Tensor]()
        for examples in alike.values():
            output = self.network(torch.stack([views[levels[example]][example] for example in examples]))
            outputs |= zip(examples, output.split(1), strict=True)
        return torch.cat([self._upright(outputs[example], views, level) for example, level in enumerate(levels)])

    def _upright(self, output: Tensor, views: Levels, level: int) -> Tensor:
        """Bring a map to the scale of the signal, in the frame of its view, then upright; keep a vector as it is."""
        grid, sizes = self.views.grid, [view.shape[2:] for view in views]
        if output.ndim != grid.ndim + 2:
            return output
        if output.shape[2:] != sizes[level]:
            size = f"{tuple(output.shape[2:])} from {tuple(sizes[level])}"
            raise ValueError(f"the network must return maps of the size of its input, got {size}: upscale them in it")
        scale, orientation = divmod(level, grid.orientations)
        for finer in reversed(range(self.views.finer, scale)):
            output = grid.upscale(output, sizes[finer * grid.orientations + orientation])
        for _ in range(scale, self.views.finer):
            output = grid.downscale(output)
        return grid.group.undo(orientation, output)


class _Downscale(nn.Module):
    """A step from a map at the finest scale to that of the signal, by T, which commutes with the point group."""

    def __init__(self, grid: Grid, steps: int) -> None:
        super().__init__()
        self.grid, self.steps = grid, steps

    def forward(self, input: Tensor) -> Tensor:
        for _ in range(self.steps):
            input = self.grid.downscale(input)
        return input

    def extra_repr(self) -> str:
        return f"{self.steps}, grid={self.grid}"
