"""A trained network on all views of its inputs, without training."""

from bisect import bisect_left
from collections.abc import Mapping
from math import inf
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from experiments.training.tasks.regression import Regression
from experiments.training.tasks.segmentation import Segmentation
from experiments.training.tasks.task import Task
from wavenets import Grid, equivariant
from wavenets.nn import CanonicalizeThickness
from wavenets.sizes import downscaled_size, least_size

DEFAULTS: dict[str, Any] = {
    "num_scales": 1, "base": 2, "rotations": 1, "mirrored": False, "finer": 0, "mode": "mean", "thickness": None
}  # fmt: skip
MODES = "mean", "max", "confident"
MOST = 2**28  # positions of an input, 1 GB for each channel


def asked_views(views: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return those keys of ``views`` that are not null.

    Example:
        >>> asked_views({"num_scales": None, "rotations": 4})
        {'rotations': 4}
    """
    return {key: value for key, value in (views or {}).items() if value is not None}


def on_views(network: nn.Module, task: Task, views: Mapping[str, Any] | None) -> nn.Module:
    """Return a network on all views of its inputs, see ``wavenets.equivariant``, or on one, by ``thickness``.

    Args:
        network: The network. If it has no attribute ``ndim``, it is 1 or 2 as its first convolution is.
        task: The task that it was trained for.
        views: The keys of conf/views.yaml.

    Returns:
        The network itself if no view is asked for. Otherwise a module around it, with its own ``min_size``.

    Raises:
        ValueError: A value is wrong, or does not fit the network.

    Example:
        >>> from wavenets.models import CNN
        >>> task = Task(10, "val_accuracy", "max")
        >>> on_views(CNN(num_classes=10), task, {"rotations": 4, "num_scales": 3})[0]
        Views(3, grid=Grid(ndim=2, base=2, rotations=4))
    """
    asked = asked_views(views)
    if not asked:
        return network
    ndim = _ndim(network)
    _check(asked, ndim, task)
    num_scales, base, rotations, mirrored, finer, mode, thickness = (DEFAULTS | asked).values()
    try:
        grid = Grid(ndim, base, rotations, mirrored)
    except ValueError as error:
        raise ValueError(f"views.base={base}: {error}") from error
    wrapped: nn.Module
    if thickness is None:
        wrapped = equivariant(network, grid, num_scales, mode, isinstance(task, Segmentation), finer)
    else:
        wrapped = CanonicalizeThickness(network, thickness, grid, num_scales, finer)
    size = _min_size(getattr(network, "min_size", 1), grid, num_scales - finer)
    if size**ndim > MOST:
        raise ValueError(f"views.num_scales={num_scales} needs inputs of {' × '.join([f'{size:,}'] * ndim)}; set fewer")
    wrapped.min_size = size  # type: ignore[assignment]
    return wrapped.train(network.training)


def _check(asked: dict[str, Any], ndim: int, task: Task) -> None:
    if unknown := sorted(asked.keys() - DEFAULTS):
        raise ValueError(f"views.{unknown[0]} is unknown; choose one of {', '.join(DEFAULTS)}")
    num_scales, _, rotations, mirrored, finer, mode, thickness = (DEFAULTS | asked).values()
    for key, right, kind in (
        ("num_scales", type(num_scales) is int and num_scales >= 1, "a whole number above 0"),
        ("rotations", type(rotations) is int and rotations in (1, 2, 4), "1, 2 or 4"),
        ("mirrored", isinstance(mirrored, bool), "true or false"),
        ("mode", mode in MODES, f"one of {', '.join(MODES)}"),
    ):
        if not right:
            raise ValueError(f"views.{key}={asked[key]} is not {kind}")
    if not (type(finer) is int and 0 <= finer < num_scales):
        raise ValueError(f"views.finer={finer} is not a whole number from 0 to below views.num_scales={num_scales}")
    if "base" in asked and "num_scales" not in asked:
        raise ValueError(f"views.base={asked['base']} has no effect without views.num_scales; set it as well")
    if thickness is not None:
        _check_thickness(asked, task)
    if not asked.keys() & {"num_scales", "rotations", "mirrored"}:
        given = next(iter(asked))
        raise ValueError(
            f"views.{given}={asked[given]} has no effect on one view; set views.num_scales or views.rotations as well"
        )
    for key in "rotations", "mirrored":
        if ndim == 1 and (DEFAULTS | asked)[key] != DEFAULTS[key]:
            raise ValueError(f"views.{key}={asked[key]} is for images, and the network does not take images")
    if mode != "mean" and isinstance(task, Regression):
        raise ValueError(f"views.mode={mode} is for classes, and the network predicts numbers; choose views.mode=mean")


def _check_thickness(asked: dict[str, Any], task: Task) -> None:
    thickness = asked["thickness"]
    if isinstance(thickness, bool) or not isinstance(thickness, int | float) or not 0 < thickness < inf:
        raise ValueError(f"views.thickness={thickness} is not a number of pixels above 0")
    if not isinstance(task, Segmentation):
        raise ValueError(f"views.thickness={thickness} is for maps, and the network does not return maps")
    if "num_scales" not in asked:
        raise ValueError(f"views.thickness={thickness} has no effect on one view; set views.num_scales as well")
    if others := [f"views.{key}={asked[key]}" for key in ("rotations", "mirrored", "mode") if key in asked]:
        raise ValueError(f"views.thickness={thickness} chooses one of several scales: leave out {', '.join(others)}")


def _ndim(network: nn.Module) -> int:
    """Return whether a network takes signals of 1 or of 2 dimensions."""
    if (ndim := getattr(network, "ndim", None)) is not None:
        return int(ndim)
    convolution = next((module for module in network.modules() if isinstance(module, _ConvNd)), None)
    if convolution is None:
        raise ValueError(
            f"views.… need a {type(network).__name__} with an attribute ndim, 1 for sounds and 2 for images"
        )
    return len(convolution.kernel_size)


def _min_size(least: int, grid: Grid, num_scales: int) -> int:
    """Return the least size of a signal whose coarsest view has a least size."""

    def coarsest(size: int) -> int:
        for _ in range(num_scales - 1):
            size = downscaled_size(size, grid.ratio, grid.ndim)
        return size

    size = max(least, least_size(num_scales, grid.ratio, grid.ndim))
    return size if size > MOST else bisect_left(range(2 * MOST), least, lo=size, key=coarsest)
