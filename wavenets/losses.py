"""The admissibility loss, which draws kernels towards wavelets."""

import torch
from torch import Tensor, nn

from wavenets.nn.conv import LiftingConv


def admissibility(module: nn.Module) -> Tensor:
    """The squared mean of every lifting kernel, summed: zero if and only if all of them are wavelets, Σψ = 0.

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
