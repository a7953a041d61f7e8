"""Layers on the scale-translation group."""

from wavenets.nn.conv import GroupConv1d, GroupConv2d, LiftingConv1d, LiftingConv2d
from wavenets.nn.levels import (
    PerScale,
    ScaleAvgPool1d,
    ScaleAvgPool2d,
    ScaleBatchNorm,
    ScaleMaxPool1d,
    ScaleMaxPool2d,
    ScaleReadout,
)

__all__ = [
    "GroupConv1d",
    "GroupConv2d",
    "LiftingConv1d",
    "LiftingConv2d",
    "PerScale",
    "ScaleAvgPool1d",
    "ScaleAvgPool2d",
    "ScaleBatchNorm",
    "ScaleMaxPool1d",
    "ScaleMaxPool2d",
    "ScaleReadout",
]
