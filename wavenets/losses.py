"""Losses beside that of the task: for kernels that become wavelets, and for a score that finds the pose of a signal."""

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenets import resample
from wavenets.grid import Grid
from wavenets.levels import check_signal
from wavenets.nn.canonical import Canonicalize
from wavenets.nn.conv import LiftingConv
from wavenets.sizes import MAX_DENOMINATOR


def admissibility(module: nn.Module) -> Tensor:
    """Compute the squared mean of every lifting kernel, summed: zero if and only if all are wavelets, Σψ = 0.

    The wavelet loss of Romero et al., arXiv 2006.05259: a soft form of ``kernel=ZeroMean()``.

    Args:
        module: A module with lifting convolutions somewhere inside.

    Returns:
        A scalar, differentiable in the kernels.

    Raises:
        ValueError: If there is no lifting convolution.

    Example:
        >>> from wavenets.kernels import ZeroMean
        >>> from wavenets.nn import LiftingConv1d
        >>> bool(admissibility(LiftingConv1d(1, 8, 79, num_scales=9, kernel=ZeroMean())) < 1e-12)
        True
    """
    kernels = [layer.wavelets for layer in module.modules() if isinstance(layer, LiftingConv)]
    if not kernels:
        raise ValueError(f"{type(module).__name__} has no lifting convolution, so no kernel that could be a wavelet")
    return torch.stack([kernel.flatten(2).mean(2).square().sum() for kernel in kernels]).sum()


def pose(
    score: nn.Module, x: Tensor, grid: Grid | None = None, num_scales: int | None = None, finer: int | None = None
) -> Tensor:
    """Compute the loss of a score that has to find the pose of training signals, rescaled at random. No labels.

    The pose of the signals as they are is the right one. The whole batch is rescaled by a random factor, drawn from the
    range over which the views can undo it, and between the scales of the grid as well. The loss is the cross-entropy
    of the scores of all views, of which the right one is that nearest to the signals as they were. The orientation need
    not be drawn: a turned signal has the same views in another order, and so the same loss.

    Args:
        score: A ``Canonicalize`` module, whose score is trained, or a network from signals to one number each, (B, 1).
        x: Signals of shape (B, C, L) or (B, C, H, W) in the pose that ``network`` was trained for. They have to be
            large enough to be made smaller: to base^-(finer + ½), and then down to the coarsest view.
        grid: The group, of at most four rotations; given together with a network that is not ``Canonicalize``.
        num_scales: Number of scales; 1 if it is not given.
        finer: How many of the scales are finer than the signal; 0 if it is not given.

    Returns:
        A scalar, log(number of views) for a score that is constant.

    Note:
        The right view has the size of x. A score must not recognise it by its size: use convolutions without padding,
        then the mean over positions, and no batch norm, which hides a scale that the whole batch has. Let the score
        standardise the channels of each image first, as colours differ more than sizes. For images of other stains,
        cameras or noise, augment x (colour, blur, noise). A preference for the signal as it is may be added to the
        score later.

    Raises:
        ValueError: If a grid is given with ``Canonicalize``, or missing with another score; if x does not fit or is too
            small.

    Example:
        >>> from wavenets import Grid
        >>> score = nn.Sequential(nn.Conv2d(3, 1, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> loss = pose(score, torch.randn(2, 3, 32, 32), Grid(2, rotations=4), num_scales=2)
        >>> loss.backward()
    """
    if isinstance(score, Canonicalize):
        if (grid, num_scales, finer) != (None, None, None):
            raise ValueError("Canonicalize already has grid, num_scales and finer: leave them out")
        canonicalize = score
    elif grid is None:
        raise ValueError("expected a Canonicalize module or a grid: pass grid=")
    else:
        canonicalize = Canonicalize(nn.Identity(), score, grid, num_scales or 1, finer or 0)
    views = canonicalize.views
    check_signal(x, views.grid.ndim)
    right = int(torch.randint(views.num_scales, ()))
    if views.num_scales > 1:
        steps = views.finer - right + float(torch.rand(())) - 0.5  # T^steps x: its view ``right`` has the size of x
        larger = Fraction(float(views.grid.base) ** abs(steps)).limit_denominator(MAX_DENOMINATOR)
        x = resample.downscale(x, larger if steps > 0 else 1 / larger)
    scores = canonicalize.scores(views(x))
    target = torch.full((len(x),), right * views.grid.orientations, device=x.device)
    return F.cross_entropy(scores, target)
