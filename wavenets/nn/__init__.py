"""Layers on the group of translations, scales, turns and reflections. Names are those of ``torch.nn``.

=====================  =============================================================================================
From the signal        ``LiftingConv1d``, ``LiftingConv2d``: the first convolution. ``Views``: the signal itself.
On the group           ``GroupConv1d``, ``GroupConv2d``, ``BatchNorm``, ``MaxPool1d``, ``MaxPool2d``, ``AvgPool1d``,
                       ``AvgPool2d``. ``PerLevel(module)`` applies any other module to each level.
To a vector            ``Readout``, ``GatedReadout``
To a map               ``MapReadout``, ``GatedMapReadout``
To upright levels      ``OrientationPool``
Any network            ``equivariant`` on all views, ``Canonicalize`` on the view that a small network chooses,
                       ``CanonicalizeThickness`` on the one that the network's own map chooses, by ``mean_thickness``
Any dimension          ``LiftingConv``, ``GroupConv``
=====================  =============================================================================================
"""

from wavenets.nn.canonical import Canonicalize, equivariant
from wavenets.nn.conv import (
    GroupConv,
    GroupConv1d,
    GroupConv2d,
    LiftingConv,
    LiftingConv1d,
    LiftingConv2d,
)
from wavenets.nn.map_readout import GatedMapReadout, MapReadout
from wavenets.nn.norm import BatchNorm
from wavenets.nn.pool import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d, OrientationPool
from wavenets.nn.readout import GatedReadout, Readout
from wavenets.nn.thickness import CanonicalizeThickness, mean_thickness
from wavenets.nn.views import PerLevel, Views

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "Canonicalize",
    "CanonicalizeThickness",
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
    "mean_thickness",
]
