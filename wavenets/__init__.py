"""Wavelet networks: CNNs that are exactly equivariant to translation and scale."""

from wavenets.grid import ScaleGrid

__all__ = ["ScaleGrid"]
__version__ = "0.1.0"
