"""The views of a signal, and one module on each of them."""

from collections.abc import Sequence

from torch import Tensor, nn

from wavenets.grid import Grid
from wavenets.levels import Levels, check_levels
from wavenets.nn._kernel import positive
from wavenets.sizes import check_finer


class Views(nn.Module):
    """The views of a signal, one for each element of the group: they make *any* network equivariant.

    ``nn.Sequential(Views(5, grid), PerLevel(network), Readout("mean"))`` puts one network on all views, so it is
    equivariant to rescaling, and to turns and reflections if the grid has them. The network is not changed.

    In training, a batch norm inside ``PerLevel`` sees one view at a time. It normalises each view by other statistics,
    and counts every view as a step. Fine-tune with the norms in eval mode, or replace them by ``BatchNorm``. In eval
    mode there is no difference.

    Args:
        num_scales: Number of scales, that of the signal itself included.
        grid: The group, of at most four rotations: there are no views between quarter turns.
        finer: How many of the scales are finer than the signal, see ``Grid.views``.

    Shape:
        (B, C, L) or (B, C, H, W) -> num_scales levels, with N orientations N for each scale, orientations innermost.

    Raises:
        ValueError: If an argument is out of range; in ``forward`` if the signal is too short.

    Example:
        >>> from wavenets.nn import Readout
        >>> net = nn.Sequential(Views(3, Grid(1)), PerLevel(nn.Conv1d(1, 4, 9)), Readout("mean"))
        >>> net(torch.randn(2, 1, 100)).shape
        torch.Size([2, 4])
    """

    def __init__(self, num_scales: int, grid: Grid, finer: int = 0) -> None:
        super().__init__()
        if grid.exact != grid:
            raise ValueError(f"there are views at quarter turns only: use rotations=4 in place of {grid.rotations}")
        self.num_scales, self.grid, self.finer = positive("num_scales", num_scales), grid, finer
        check_finer(num_scales, finer)

    def forward(self, input: Tensor) -> Levels:
        return self.grid.views(input, self.num_scales, self.finer)

    def extra_repr(self) -> str:
        return f"{self.num_scales}, grid={self.grid}{f', finer={self.finer}' if self.finer else ''}"


class PerLevel(nn.Module):
    """One module, applied to each level.

    Args:
        module: A module from a tensor to a tensor. It treats all levels alike, which keeps the equivariance.

    Shape:
        S levels -> S levels, each of the shape that the module returns.

    Example:
        >>> relu = PerLevel(nn.ReLU())
        >>> [level.min().item() for level in relu([-torch.ones(1, 2, 4), -torch.ones(1, 2, 2)])]
        [0.0, 0.0]
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input: Sequence[Tensor]) -> Levels:
        return check_levels(input).map(self.module)
