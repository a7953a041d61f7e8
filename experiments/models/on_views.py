"""What networks of other libraries have in common."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from wavenets import Grid, equivariant


class OnViews(nn.Module):
    """A network of another library for images, equivariant if it is given a group.

    A subclass makes the network without its pretrained weights, since the constructor is also called for checkpoints,
    which have weights of their own; `load_pretrained` loads them where a training begins.

    Args:
        network: The network, from (B, in_channels, H, W) to (B, num_classes), or to maps.
        in_channels: Number of channels.
        maps: Whether it returns maps.
        num_scales: Number of scales.
        base: Ratio of neighbouring scales.
        rotations: Number of turns, 1, 2 or 4.
        mirrored: Whether reflections belong to the group.
        readout: How the answers on the views are fused, see ``wavenets.equivariant``.
    """

    def __init__(
        self,
        network: nn.Module,
        in_channels: int,
        maps: bool = False,
        num_scales: int | None = None,
        base: float | str | None = None,
        rotations: int | None = None,
        mirrored: bool | None = None,
        readout: Any = None,
    ) -> None:
        super().__init__()
        self.ndim, self.in_channels = 2, in_channels
        self.grouped = any((num_scales, base, rotations, mirrored))
        grid = Grid(2, base or 2, rotations or 1, bool(mirrored))
        self.network = equivariant(network, grid, num_scales or 1, readout or "mean", maps) if self.grouped else network

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes), or maps of them."""
        logits: Tensor = self.network(x)
        return logits

    @property
    def plain(self) -> Any:
        """The network itself."""
        return self.network[1].module if self.grouped else self.network  # type: ignore[index]

    def load_pretrained(self) -> None:
        """Load the weights that ``pretrained`` names."""
        raise NotImplementedError


class Padded(nn.Module):
    """A network from images to maps that takes multiples of a stride, made one for all sizes.

    Args:
        network: The network.
        stride: The stride.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        super().__init__()
        self.network, self.stride = network, stride

    def forward(self, x: Tensor) -> Tensor:
        """Pad an image with zeros at the right and at the bottom, and return the map of the image."""
        height, width = x.shape[2:]
        maps: Tensor = self.network(F.pad(x, (0, -width % self.stride, 0, -height % self.stride)))
        return maps[:, :, :height, :width]


def required(module: str) -> Any:
    """Import a library.

    Raises:
        ImportError: It is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is missing ({error}); run pip install 'wavenets[models]'") from None


@contextmanager
def named(key: str, value: Any) -> Iterator[None]:
    """Raise errors of a library as a ``ValueError`` that names the key of the configuration."""
    try:
        yield
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        line = " ".join(str(error.args[0] if isinstance(error, KeyError) else error).split())
        raise ValueError(f"model.{key}={value}: {line}") from error
