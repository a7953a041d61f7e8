"""Networks that are exactly equivariant to translation, scale, turns and reflections, for waveforms and images."""

from wavenets import functional, kernels, losses, models, nn, testing
from wavenets.grid import Grid
from wavenets.levels import Levels

__all__ = ["Grid", "Levels", "functional", "kernels", "losses", "models", "nn", "testing"]
__version__ = "0.1.0"
