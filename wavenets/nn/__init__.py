"""Layers on the group of translations, scales and quarter turns."""

from wavenets.nn.canonical import Canonicalize, equivariant
from wavenets.nn.conv import (
    GroupConv,
    GroupConv1d,
    GroupConv2d,
    LiftingConv,
    LiftingConv1d,
    LiftingConv2d,
)
from wavenets.nn.norm import BatchNorm
from wavenets.nn.pool import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from wavenets.nn.readout import GatedMapReadout, GatedReadout, MapReadout, OrientationPool, Readout
from wavenets.nn.views import PerLevel, Views

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "Canonicalize",
    "GatedMapReadout",
    "GatedReadout",
    "GroupConv",
    "GroupConv1d",
    "GroupConv2d",
    "LiftingConv",
    "LiftingConv1d",
    "LiftingConv2d",
    "MapReadout",
    "MaxPool1d",
    "MaxPool2d",
    "OrientationPool",
    "PerLevel",
    "Readout",
    "Views",
    "equivariant",
]
