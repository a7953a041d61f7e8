"""The point group on pixels, against matrices on points; what mirrored kernels cannot do; what a gradient keeps."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.library.networks import features, matrix, moved, noise
from wavenets import Grid
from wavenets.nn import GroupConv2d
from wavenets.point_group import PointGroup
from wavenets.testing import assert_equivariant, equivariance_error

D4 = Grid(2, rotations=4, mirrored=True)


@pytest.mark.parametrize("size", [(5, 5), (4, 6), (3, 8)])
@pytest.mark.parametrize("rotations, mirrored", [(4, False), (4, True), (2, True), (1, True), (8, True)])
def test_frames_move_pixels_as_matrices_move_points(rotations: int, mirrored: bool, size: tuple[int, int]) -> None:
    group, x = PointGroup(rotations, mirrored).exact, noise(2, *size)
    for frame in range(group.order):
        mirrors, turns = divmod(frame, group.rotations)
        element = matrix(turns * 4 // group.rotations, mirrors == 1)
        assert torch.equal(group.act(frame, x), moved(element, x))
        assert torch.equal(group.undo(frame, x), moved(element.T, x))


class MirroredKernels(nn.Module):
    """The usual p4m network: kernels turned and mirrored, not the image. Its features are then put into our frames."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.lifting, self.group = (nn.Parameter(torch.randn(*shape)) for shape in ((4, 2, 3, 3), (4, 4, 8, 3, 3)))
        self.elements = [matrix(r, m) for m, r in itertools.product((False, True), range(4))]

    def forward(self, x: Tensor) -> list[Tensor]:
        def conv(x: Tensor, weight: Tensor, h: Tensor) -> Tensor:
            return F.conv2d(x, moved(h.T, weight), stride=self.stride, padding=1)

        def number(h: Tensor) -> int:
            return next(i for i, element in enumerate(self.elements) if torch.equal(element, h))

        lifted = [conv(x, self.lifting, h).relu() for h in self.elements]
        terms = [
            [conv(lifted[number(k @ h)], self.group[:, :, i], h) for i, k in enumerate(self.elements)]
            for h in self.elements
        ]
        return [moved(h, torch.stack(some).sum(0)) for h, some in zip(self.elements, terms, strict=True)]


def test_mirrored_kernels_are_equivariant_only_where_stride_falls_on_the_grid() -> None:
    net, odd = MirroredKernels(stride=2).double(), noise(1, 2, 33, 41, dtype=torch.float64)
    awkward = noise(1, 2, 33, 40, dtype=torch.float64)
    assert_equivariant(net, odd, D4, 0, 1, True, tolerance=1e-12)  # 33, 17, 9 and 41, 21, 11: all odd
    with pytest.raises(AssertionError, match="not equivariant under steps=0, turns=0, mirror=True"):
        assert_equivariant(net, awkward, D4, 0, 0, True)  # left to right, where there are 40 columns
    assert min(equivariance_error(net, awkward, D4, 0, 0, True)) > 0.1
    assert_equivariant(MirroredKernels(stride=1).double(), awkward, D4, 0, 3, True, tolerance=1e-12)


def test_of_what_frames_see_nothing_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight frames see eight times the features; for the gradient they are kept once."""
    grid, kept = Grid(2, rotations=4, mirrored=True), {}
    hooks = torch.autograd.graph.saved_tensors_hooks

    def noted(saved: Tensor | None) -> Tensor | None:
        if saved is not None:
            kept[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes(), saved
        return saved

    monkeypatch.setattr(
        torch.autograd.graph,
        "saved_tensors_hooks",
        lambda pack, unpack: hooks(lambda saved: noted(pack(saved)), unpack),
    )
    levels = features(grid, 64, 1, 20, 20)
    for level in levels:
        level.requires_grad_()
    conv = GroupConv2d(64, 1, 3, grid=grid)
    with hooks(noted, lambda saved: saved):
        conv(levels)
    kept.pop(conv.weight.untyped_storage().data_ptr(), None)
    assert sum(nbytes for nbytes, _ in kept.values()) < sum(level.nbytes for level in levels)  # which are kept as rows
