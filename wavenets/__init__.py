"""Networks that are exactly equivariant to translation, scale, turns and reflections, for waveforms and images."""

from wavenets import functional, kernels, losses, models, nn, testing
from wavenets.grid import Grid
from wavenets.levels import Levels
from wavenets.nn import equivariant

__all__ = ["Grid", "Levels", "equivariant", "functional", "kernels", "losses", "models", "nn", "testing"]
__version__ = "0.1.0"
