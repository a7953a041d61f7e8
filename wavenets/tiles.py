"""Maps of images of any size, made tile by tile and equal to what the network makes of the whole image."""

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wavenets._tiles.arrays import Blended, Target, read
from wavenets._tiles.choosing import Choosing
from wavenets._tiles.field import check_map, known, measure, ratio
from wavenets._tiles.windows import Axis, Tile, scaled, tiles
from wavenets.levels import check_ndim


def receptive_field(network: nn.Module, channels: int = 3, ndim: int = 2) -> tuple[int, int]:
    """Measure how far a network looks, and by which step of its input its map moves.

    A NaN is sent through a copy of the network in float64, at every phase of the stride, and the maps of an image and
    of its parts are compared. It takes some forward passes on narrow images, and needs no knowledge of the layers.

    Args:
        network: A network from images (B, channels, H, W) to maps (B, K, H', W'), or from (B, channels, L) to
            (B, K, L').
        channels: Number of channels of the images.
        ndim: Number of spatial dimensions, 1 or 2.

    Returns:
        The radius and the stride, in pixels of the image: a pixel of the map depends on no pixel further away than the
        radius, and shifting the image by the stride shifts its map. They are measured on images whose sizes are
        multiples of the stride, and the larger radius and the common stride of both dimensions are returned.

    Raises:
        ValueError: If the network looks at all of the image, or does not move with it by any stride.

    Example:
        >>> receptive_field(nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.MaxPool2d(2), nn.Upsample(scale_factor=2)))
        (3, 2)
    """
    check_ndim(ndim)
    with Choosing(network, once=True):
        fields = [measure(network, channels, ndim, axis) for axis in range(ndim)]
    return max(field.radius for field in fields), math.lcm(*(field.stride for field in fields))


def predict(
    network: nn.Module,
    image: Any,
    tile: int = 1024,
    out: Any = None,
    margin: int | None = None,
    batch_size: int = 1,
) -> Any:
    """Compute the map of an image of any size, tile by tile, as the network would for the whole image.

    The map is equal to that of the whole image, up to the order in which a convolution adds up. For that, the receptive
    field of the network is measured (see ``receptive_field``), each tile is computed with that much of the image around
    it, and all windows begin and end at the same phase of the network's stride as the image does. Memory depends on the
    tile and not on the image, if ``image`` and ``out`` are on disk.

    Args:
        network: A network from images (B, C, H, W) to maps (B, K, H', W'), or from (B, C, L) to (B, K, L'). The maps
            have the size of the image, or a fixed ratio to it.
        image: The image (C, H, W) or the signal (C, L): a tensor, or anything that is sliced like an array, such as a
            memory map or an array of zarr. It is converted to the dtype of the network as it is, without scaling.
        tile: Size of the tiles. The network sees their surroundings in addition. An image that is not larger is
            computed in one pass.
        out: Output for the map (K, H', W') or (K, L'), which is assigned to its slices. If None, it is a new tensor if
            the image is a tensor, and a new array otherwise.
        margin: Pixels by which tiles overlap, to either side, for a network that cannot be tiled exactly. Overlaps are
            blended, and a warning states how much neighbouring tiles differ there. A network that can be tiled exactly
            is not affected.
        batch_size: Number of tiles to compute at once.

    Returns:
        ``out``, or the new tensor or array.

    Raises:
        ValueError: If an argument is out of range, if the network does not return maps, or, without a margin, if it
            cannot be tiled exactly. The message states why.

    Note:
        A module that chooses, such as ``MapReadout("confident")`` and ``Canonicalize``, chooses once for the whole
        image: a first pass over the tiles adds up its scores. A module that has an attribute ``choice`` and a method
        ``evidence`` does so as well; the guide describes them.

    Example:
        >>> network, image = nn.Conv2d(3, 2, 5, padding=2), torch.randint(256, (3, 100, 130), dtype=torch.uint8)
        >>> tiled = predict(network, image, tile=32)
        >>> torch.allclose(tiled, network(image[None].float())[0], rtol=0, atol=1e-4)
        True
    """
    shape = tuple(getattr(image, "shape", ()))
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(f"expected an image (C, H, W) or a signal (C, L), not empty, got shape {shape}")
    for name, value in {"tile": tile, "batch_size": batch_size, "margin": 1 if margin is None else margin}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    with _evaluating(network), Choosing(network, once=max(image.shape[1:]) > tile) as choosing:
        while not choosing.done:
            axes, _ = _cut(network, image, tile, margin)
            for batch, _ in _maps(network, image, axes, batch_size, choosing):
                choosing.add([partial(_core, axes, part) for part in batch])
            choosing.choose()
        axes, inexact = _cut(network, image, tile, margin)
        target = Blended(out, image, axes) if inexact else Target(out, image, axes)
        for batch, maps in _maps(network, image, axes, batch_size, choosing):
            for part, y in zip(batch, maps, strict=True):
                target.write(part, y)
    if isinstance(target, Blended):
        warnings.warn(
            f"{inexact}: neighbouring tiles differ by {target.difference:.2g} of the map where they are blended "
            f"(root mean square)",
            stacklevel=2,
        )
    return target.out


def _cut(network: nn.Module, image: Any, tile: int, margin: int | None) -> tuple[list[Axis], str]:
    """Cut an image into windows along each axis; return why their maps are not exact as well, or "" if they are."""
    channels, *size = image.shape
    cut = [axis for axis, n in enumerate(size) if n > tile]
    try:
        fields = {axis: known(network, channels, len(size), axis, size[axis]) for axis in cut}
        return [Axis.cut(n, tile, *fields[i]) if i in cut else Axis.whole(n) for i, n in enumerate(size)], ""
    except ValueError as error:
        if margin is None:
            raise ValueError(f"{error}: give a margin, to blend tiles that overlap") from None
        inexact = str(error)
    x = _read(network, image, [slice(min(n, tile + 2 * margin) if i in cut else n) for i, n in enumerate(size)])[None]
    axes = []
    for i, (n, window, m) in enumerate(zip(size, x.shape[2:], check_map(network(x), x).shape[2:], strict=True)):
        scale = ratio(m, window)
        if abs(m - window * scale) >= 1:
            raise ValueError(f"the map of {window} pixels has {m}: choose tile and margin so that sizes agree")
        axes.append(Axis.cut(n, tile, margin, scale.denominator, scale) if i in cut else Axis.whole(n))
    return axes, inexact if any(axis.window < axis.size for axis in axes) else ""


def _maps(
    network: nn.Module, image: Any, axes: Sequence[Axis], batch_size: int, choosing: Choosing
) -> Iterator[tuple[list[Tile], Tensor]]:
    """Compute the maps of all tiles, batch by batch."""
    order = tiles(axes)
    with choosing.applied():
        while batch := list(itertools.islice(order, batch_size)):
            x = torch.stack([_read(network, image, [part.read for part in tile]) for tile in batch])
            yield batch, check_map(network(x), x)


def _read(network: nn.Module, image: Any, where: Sequence[slice]) -> Tensor:
    """Return a part of an image as the network takes it: on its device, and in its dtype if it has any."""
    x = read(image, where)
    weights = itertools.chain(network.parameters(), network.buffers())
    like = next((tensor for tensor in weights if tensor.is_floating_point()), None)
    if like is None:
        return x if x.is_floating_point() else x.to(torch.get_default_dtype())
    return x.to(like)


def _core(axes: Sequence[Axis], tile: Tile, x: Tensor) -> Tensor:
    """Return the core of a tile, cut out of a tensor (2, H, W) or (2, L) of any resolution."""
    if x.ndim == 1:  # of all positions
        return x
    parts = zip(tile, axes, x.shape[1:], strict=True)
    return x[(slice(None), *(scaled(part.core, Fraction(size, axis.window)) for part, axis, size in parts))]


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode, without gradients, and every module back into its own mode."""
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad():
            network.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training
