"""The parts of ``wavenets.tiles``."""
