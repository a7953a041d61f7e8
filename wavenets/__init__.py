"""Networks that are exactly equivariant to translation, scale, turns and reflections, for waveforms and images.

Read these lines first. A network shows its signal to the same kernels at every scale, turned and mirrored. If the
signal is transformed, the features are the same numbers in another place.

    >>> import torch
    >>> from torch import nn
    >>> import wavenets.nn as wnn
    >>> from wavenets import Grid
    >>> from wavenets.testing import assert_equivariant
    >>> grid = Grid(2, rotations=4, mirrored=True)  # images; scales of base 2, four turns, reflections
    >>> lift = wnn.LiftingConv2d(3, 4, kernel_size=5, num_scales=3, grid=grid)  # 3 scales × 8 orientations
    >>> conv = wnn.GroupConv2d(4, 4, kernel_size=3, scale_extent=2, grid=grid)  # over 2 scales, all orientations
    >>> features = nn.Sequential(lift, wnn.PerLevel(nn.ReLU()), wnn.MaxPool2d(2), conv)
    >>> assert_equivariant(features, torch.randn(1, 3, 33, 40), grid, steps=1, turns=1, mirror=True)  # error 0.0
    >>> net = nn.Sequential(features, wnn.Readout("max"), nn.Linear(4, 10))  # an invariant classifier

Contents:

- ``Grid``: the group. It has the views of a signal, and transforms signals.
- ``Levels``: features on the group, a tuple of tensors.
- ``nn``: the layers, which have the names of ``torch.nn``.
- ``models``: networks that are plain unless they are given a group.
- ``equivariant``: any network, made equivariant in one call.
- ``tiles``: maps of images that are larger than memory.
- ``testing``: measures of how equivariant a module is.
- ``functional``: the layers as functions. ``kernels``: kinds of kernels. ``losses``: losses beside that of the task.
"""

from wavenets import functional, kernels, losses, models, nn, testing, tiles
from wavenets.grid import Grid
from wavenets.levels import Levels
from wavenets.nn import equivariant

__all__ = ["Grid", "Levels", "equivariant", "functional", "kernels", "losses", "models", "nn", "testing", "tiles"]
__version__ = "0.2.0"
