"""The receptive field of any network, measured on images."""

import copy
import functools
import math
from fractions import Fraction
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

# The strides that are tried are these times a power of 2, up to the largest (in 1D and in 2D). They cover usual
# poolings, and grids of base 3/2 or 5/4 in 1D.
ODD_STRIDES = (1, 3, 5, 7, 9, 15, 25, 27)
LARGEST_STRIDE = (4096, 256)
NARROWEST, WIDEST = 16, 256  # width of a probe
LARGEST_PROBE = 2**17  # pixels
PLAIN = bool, int, float, str, tuple  # values of attributes on which a receptive field may depend
TOLERANCE = 1e-10  # of float64 sums in another order, relative to the largest output


class Field(NamedTuple):
    """How a map depends on the image along one axis.

    Attributes:
        radius: Largest distance at which a pixel of the image counts, in pixels of the image.
        stride: Least shift of the image with which the map moves, in pixels of the image.
        scale: Size of the map, relative to the image.
    """

    radius: int
    stride: int
    scale: Fraction


def round_up(n: int, multiple: int) -> int:
    """Return the least multiple that is at least n."""
    return -(-n // multiple) * multiple


def ratio(map_size: int, size: int) -> Fraction:
    """Return the whole number, or the fraction of 1, that is next to the ratio of two sizes."""
    return Fraction(round(map_size / size) or 1, round(size / map_size) or 1)


def check_map(y: object, x: Tensor) -> Tensor:
    """Return the output of a network, or raise a ValueError unless it is one map for each image."""
    if isinstance(y, Tensor) and y.ndim == x.ndim and len(y) == len(x):
        return y
    got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
    raise ValueError(f"expected a map (B, K, {'L' if x.ndim == 3 else 'H, W'}) from images {tuple(x.shape)}, got {got}")


_KNOWN: WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], Field]] = WeakKeyDictionary()


def known(network: nn.Module, *of: int) -> Field:
    """Return `measure` of a network, which is measured once for images of one size.

    A network whose text has changed since, or a plain attribute of a module, such as a kernel size, is measured again.
    What a chooser has chosen does not matter: see ``Choosing``.
    """
    attributes = [vars(module).items() for module in network.modules()]
    plain = [(k, v) for items in attributes for k, v in items if isinstance(v, PLAIN) and k != "choice"]
    fields, key = _KNOWN.setdefault(network, {}), (repr(network), repr(plain), *of)
    if key not in fields:
        fields[key] = measure(network, *of)
    return fields[key]


@torch.no_grad()
def measure(network: nn.Module, channels: int, ndim: int, axis: int, size: int = 0) -> Field:
    """Measure the receptive field of a network along one axis of its images.

    A NaN in the image spreads as far as a pixel counts. A gradient does not, since a maximum passes on only one of its
    inputs. Operations that stop a NaN, such as ``torch.where``, and strides that NaNs do not show are found by
    comparing the map of a part of an image with the map of all of it.

    Args:
        network: A network from images (B, channels, H, W) or (B, channels, L) to maps.
        channels: Number of channels of the images.
        ndim: Number of their spatial dimensions.
        axis: Spatial dimension to measure along.
        size: Size of the images along the axis, which matters modulo the stride: turned views begin at the far end.

    Raises:
        ValueError: If the network looks at all of the image, does not move with it, or fails.
    """
    probe = _Probe(network, channels, ndim, axis, size)
    for odd in ODD_STRIDES:
        strides = [odd << i for i in range(16) if odd << i <= LARGEST_STRIDE[ndim - 1]]
        # Most strides are small powers of 2, for which small probes do; of the others the largest rules out all.
        if odd > 1 and not probe.moves(strides[-1]):
            continue
        for stride in strides:
            if probe.moves(stride):
                radius = probe.radius(stride)
                if not probe.parts_agree(stride, radius, 0):
                    raise ValueError("the network looks further than a NaN spreads: torch.where may stop it")
                if not probe.parts_agree(stride, radius, probe.longest(stride)):
                    raise ValueError("the map does not move with the image: it depends on the image's size")
                return Field(radius, stride, probe.scale)
    raise ValueError(f"the map does not move with the image by any stride up to {LARGEST_STRIDE[ndim - 1]}")


class _Probe:
    """A network in float64 on images of noise, long along one axis and narrow along the other.

    A line of NaNs across such an image spreads along the axis as far as a pixel does, at a fraction of the cost. All
    tensors here have the long axis last.
    """

    def __init__(self, network: nn.Module, channels: int, ndim: int, axis: int, size: int) -> None:
        network = getattr(network, "_orig_mod", network)  # a compiled one would be compiled for every probe
        network = copy.deepcopy(network).eval()
        self.device = next((p.device for p in network.parameters()), torch.device("cpu"))
        if self.device.type == "mps":  # it has no float64
            self.device = torch.device("cpu")
        self.network = network.to(self.device).double()
        self.channels, self.ndim, self.dim, self.size = channels, ndim, axis + 2, size
        self.largest = LARGEST_STRIDE[ndim - 1]
        self.spread = functools.cache(self._spread)
        self.width, self.scale = self._fitted()
        self.near = self._near()

    def _fitted(self) -> tuple[int, Fraction]:
        """Return the least width of a probe that the network takes, and the size of a map relative to the image."""
        short = self.largest + self.size % self.largest
        long = short + (16 if self.ndim == 1 else 1) * self.largest
        self.width = NARROWEST
        while True:
            try:
                sizes = [self.map(self.noise(length)).shape[-1] for length in (short, long)]
                break
            except Exception as error:
                if self.width == WIDEST or self.ndim == 1:
                    shape = " × ".join(map(str, (short, self.width)[: self.ndim]))
                    raise ValueError(f"the network fails on an image of size {shape}: {error}") from error
                self.width *= 2
        if sizes[0] >= sizes[1]:
            raise ValueError(f"the map does not grow with the image: sizes {sizes} of sizes {[short, long]}")
        return self.width, ratio(sizes[1] - sizes[0], long - short)

    def _near(self) -> int:
        """Return how far the NaNs of one line spread: at most a stride less than the radius."""
        length = self.largest + self.size % self.largest
        while length * self.width ** (self.ndim - 1) <= LARGEST_PROBE:
            middle = length // 2
            first, last = self.spread(length, middle)
            if first > 0 and last < length - 1:
                if self.spread(length, 0)[1] == length - 1 or self.spread(length, length - 1)[0] == 0:
                    raise ValueError("the network connects opposite borders, as with circular padding")
                return max(middle - first, last - middle)
            length += length - self.size % self.largest
        raise ValueError(f"the network looks at all of the image: pixels matter at a distance of {middle:,} and more")

    def length(self, stride: int) -> int:
        """Return the length of a probe for a stride: long enough, and equal to the size modulo the stride."""
        power = 1 << (self.largest // stride).bit_length() - 1  # the same length for several strides, for the cache
        return round_up(2 * (self.near + 5 * stride), power * stride) + self.size % (power * stride)

    def longest(self, stride: int) -> int:
        """Return the length of the images, or one at which a ratio that is nearly that of whole numbers shows.

        Sizes that are divided by √2 and rounded go in steps of 256 to 181 for quite a while, and then of 256 to 182.
        """
        longest = max(16 * self.largest, 32 * stride)
        return min(self.size or longest, longest, LARGEST_PROBE // self.width ** (self.ndim - 1))

    def noise(self, length: int) -> Tensor:
        """Return an image, always the same."""
        shape = [1, self.channels, *[self.width] * (self.ndim - 1), length]
        generator = torch.Generator().manual_seed(0)
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(self.device)

    def map(self, x: Tensor) -> Tensor:
        """Return the map of an image."""
        with torch.backends.cudnn.flags(enabled=False):  # which may use a transform, where a NaN spreads further
            return check_map(self.network(x.movedim(-1, self.dim).contiguous()), x).movedim(self.dim, -1)

    def _spread(self, length: int, start: int, width: int = 1) -> tuple[int, int]:
        """Return the first and the last pixel to which a band of NaNs spreads that begins at start."""
        x = self.noise(length)
        x[..., start : start + width] = torch.nan
        reached = self.map(x).isnan().flatten(0, -2).any(0).nonzero().flatten().tolist()
        if not reached:
            return start, start + width - 1
        return math.floor(reached[0] / self.scale), math.ceil((reached[-1] + 1) / self.scale) - 1

    def moves(self, stride: int) -> bool:
        """Return whether NaNs that are moved by a stride spread as before, and parts of the image have its map."""
        if (stride * self.scale).denominator > 1:
            return False
        length = self.length(stride)
        first, last = self.spread(length, length // 2)
        moved = self.spread(length, length // 2 + stride)
        return moved == (first + stride, last + stride) and self.parts_agree(stride, self.near + stride, 0)

    def radius(self, stride: int) -> int:
        """Return how far NaNs spread at the worst phase of a stride.

        A band as wide as the stride contains all phases, so the further right it begins, the further right its spread
        begins and ends. This bounds the spread of a band between two others, so that few bands have to be tried.
        """
        length, radius = self.length(stride), 0

        def search(left: int, right: int) -> None:
            nonlocal radius
            spreads = [self.spread(length, start, stride) for start in (left, right)]
            for start, (first, last) in zip((left, right), spreads, strict=True):
                radius = max(radius, start - first, last - (start + stride - 1))
            between = max(right - 1 - spreads[0][0], spreads[1][1] - (left + stride))
            if right - left > 1 and between > radius:
                middle = (left + right) // 2
                search(left, middle)
                search(middle, right)

        search(length // 2, length // 2 + stride)
        return radius

    def parts_agree(self, stride: int, radius: int, longer: int) -> bool:
        """Return whether the map of a part of a longer image is that of all of it, up to the radius from the cut.

        The part begins or ends where the image does, and is cut at the other end as ``predict`` cuts. The other border
        of the image is loud, so that statistics of all of it differ.
        """
        length, reach = self.length(stride), round_up(radius, stride)
        before = round_up(max(longer - length, stride), stride)  # the cut
        x = self.noise(before + length)
        x[..., :stride] *= 10
        x[..., -stride:] *= 10
        whole, last, first = self.map(x), self.map(x[..., before:]), self.map(x[..., :length])
        cut, begin, end = (int(n * self.scale) for n in (before, reach, length - reach - length % stride))
        if not whole.shape[-1] - cut == last.shape[-1] == first.shape[-1]:
            return False
        pairs = [(whole[..., cut + begin :], last[..., begin:]), (whole[..., :end], first[..., :end])]
        return all(bool(((a - b).abs() <= TOLERANCE * whole.abs().max()).all()) for a, b in pairs)
