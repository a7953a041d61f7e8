"""Layers on the group of translations, scales and quarter turns."""

from wavenets.nn.conv import (
    GroupConv,
    GroupConv1d,
    GroupConv2d,
    LiftingConv,
    LiftingConv1d,
    LiftingConv2d,
)
from wavenets.nn.levels import (
    PerScale,
    ScaleAvgPool1d,
    ScaleAvgPool2d,
    ScaleBatchNorm,
    ScaleMaxPool1d,
    ScaleMaxPool2d,
    Views,
)
from wavenets.nn.readout import GatedReadout, RotationPool, ScaleReadout

__all__ = [
    "GatedReadout",
    "GroupConv",
    "GroupConv1d",
    "GroupConv2d",
    "LiftingConv",
    "LiftingConv1d",
    "LiftingConv2d",
    "PerScale",
    "RotationPool",
    "ScaleAvgPool1d",
    "ScaleAvgPool2d",
    "ScaleBatchNorm",
    "ScaleMaxPool1d",
    "ScaleMaxPool2d",
    "ScaleReadout",
    "Views",
]
