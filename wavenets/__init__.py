"""Wavelet networks: CNNs that are exactly equivariant to translation and scale."""

from wavenets import functional, losses, models, nn, testing
from wavenets.grid import ScaleGrid

__all__ = ["ScaleGrid", "functional", "losses", "models", "nn", "testing"]
__version__ = "0.1.0"
