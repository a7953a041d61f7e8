"""A network at the scale at which what it finds is as thick as in its training."""

import torch
from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.levels import Levels
from wavenets.nn.canonical import Canonicalize


def mean_thickness(foreground: Tensor) -> Tensor:
    """Compute how thick structures are on average: twice their area over the length of their boundary.

    The boundary is counted in sides of pixels, without those at the edge of the image. So a band along an axis has its
    width, one at 45° its width over √2, and a disc 0.39 times its diameter. In 1D it is the mean length of an event.

    Args:
        foreground: True, or not 0, where there is a structure, of shape (B, L) or (B, H, W).

    Returns:
        The thickness in pixels or samples, (B,): 0 if there is no foreground, infinite if there is nothing else.

    Example:
        >>> bands = ((torch.arange(64) - 6) % 16 < 5).expand(1, 64, 64)
        >>> mean_thickness(bands)
        tensor([5.])
    """
    area, boundary = _total(foreground.bool()), _total(_sides(foreground.bool()))
    return torch.where(area > 0, 2 * area / boundary, 0.0).float()


class CanonicalizeThickness(Canonicalize):
    """A network for maps that sees each signal at the scale at which what it finds is as thick as in its training.

    The network is applied to the signal as it is. The mean thickness of the foreground tells how much the signal is
    magnified, and of all views the one nearest to the magnification of the training signals is chosen for the answer.
    Where that is the signal as it is for all of a batch, the answer is there already: the network is applied once.
    Nothing is trained. It suits networks that find structures at all of these magnifications, if not as well: those
    that were trained on several scales, or with augmented sizes.

    Args:
        network: A network from signals to maps of the size of its input: of one logit, or of logits of several classes,
            of which class 0 is background.
        thickness: What ``mean_thickness`` is for signals of the magnification of training, in pixels or samples: of
            their masks, or better of what the network finds in them; the geometric mean over signals.
        grid: The group: scales only.
        num_scales: Number of scales among which to choose.
        finer: How many of the scales are finer than the signal, see ``Grid.views``.

    Note:
        If a signal is rescaled by T, the network sees the same view where the thickness that it finds is rescaled as
        well, and this view is not finer than the signal. If it finds nothing, the finest view is chosen. As for
        ``Canonicalize``, the choice depends on data: ``torch.export``, ONNX and vmap are not supported.

    Shape:
        (B, C, L) or (B, C, H, W) -> the map that the network returns, at the size of the signal.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the signal is too short, or the network does not
            return maps of the size of its input.

    Example:
        >>> network = nn.Conv2d(1, 1, 1)       # finds what is bright
        >>> _ = nn.init.ones_(network.weight), nn.init.constant_(network.bias, -0.5)
        >>> net = CanonicalizeThickness(network, 5, Grid(2, base=2), num_scales=3).eval()
        >>> bands = ((torch.arange(256) - 24) % 64 < 20).float().expand(1, 1, 256, 256)     # four times as thick
        >>> scale, _ = net.element(bands)
        >>> scale
        tensor([2])
    """

    def __init__(self, network: nn.Module, thickness: float, grid: Grid, num_scales: int = 1, finer: int = 0) -> None:
        if not 0 < thickness < float("inf"):
            raise ValueError(f"thickness must be above 0, got {thickness}")
        if grid.orientations > 1:
            raise ValueError(f"thickness tells scales apart only: use a grid without turns and reflections, got {grid}")
        super().__init__(network, nn.Identity(), grid, num_scales, finer)
        self.thickness = thickness

    def forward(self, input: Tensor) -> Tensor:
        if self.choice is not None:
            return super().forward(input)
        views, finer = self.views(input), self.views.finer
        output = self.network(views[finer])
        chosen = self._of_map(output, views).argmax(1)
        return output if bool((chosen == finer).all()) else self.answers(views, chosen)

    def scores(self, views: Levels) -> Tensor:
        """Return the score of every view of every example, (B, views)."""
        return self._of_map(self.network(views[self.views.finer]), views)

    def evidence(self, input: Tensor) -> list[Tensor]:
        """Return the score of each view at every position, in the form in which it adds up over tiles."""
        signal = self.views(input)[self.views.finer]
        found = _foreground(self.network(signal), signal)
        scores = self._scores(found.double(), _sides(found).double())
        return [torch.stack([score, torch.ones_like(score)], 1) for score in scores]

    def _of_map(self, output: Tensor, views: Levels) -> Tensor:
        """Return the score of every view, given what the network makes of the signal itself."""
        found = _foreground(output, views[self.views.finer])
        return torch.stack(self._scores(_total(found), _total(_sides(found))), 1).float()

    def _scores(self, area: Tensor, boundary: Tensor) -> list[Tensor]:
        """Return the score of every view, given area and boundary, of an image or of each of its pixels.

        With t the thickness, view k is nearest to training if t lies between l_k and l_(k+1), where l_k = thickness ·
        base^(k - ½), and k = 0 is the signal itself. There the score k·t - Σ l_j over j ≤ k is the highest, since from
        one view to the next it increases by t - l_k. Times the length of the boundary it adds up over pixels, as t is a
        ratio of sums.
        """
        steps = torch.arange(self.views.num_scales, dtype=torch.float64) - self.views.finer
        limits = (self.thickness * float(self.views.grid.base) ** (steps - 0.5)).cumsum(0)
        return [2 * k * area - limit * boundary for k, limit in zip(steps.tolist(), limits.tolist(), strict=True)]

    def extra_repr(self) -> str:
        return f"thickness={self.thickness:g}"


def _foreground(logits: Tensor, signal: Tensor) -> Tensor:
    """Return where a map is not background."""
    if logits.shape[2:] != signal.shape[2:] or logits.ndim != signal.ndim:
        raise ValueError(
            f"expected maps of the size of the signal, {tuple(signal.shape[2:])}, got {tuple(logits.shape)}"
        )
    return logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1) != 0


def _total(foreground: Tensor) -> Tensor:
    """Return the sum over all pixels, (B,)."""
    return foreground.flatten(1).sum(1, dtype=torch.float64)


def _sides(foreground: Tensor) -> Tensor:
    """Return at how many of its sides the foreground ends at each pixel. A side belongs to the later of two pixels."""
    sides = torch.zeros_like(foreground, dtype=torch.uint8)
    for dim in range(1, foreground.ndim):
        sides.narrow(dim, 1, foreground.shape[dim] - 1).add_(foreground.diff(dim=dim))
    return sides
