"""Options that every net takes beside its own arguments, and the settings of its layers that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypedDict, get_args

from wavenets.grid import Grid
from wavenets.nn.readout import Positions

Form = Literal["published", "shared"]
ReadoutMode = Literal["finest", "mean", "max", "logsumexp", "confident", "gated"]


class Options(TypedDict, total=False):
    """The group of a net, and how the net uses it.

    A net is plain unless it is given a group: ``grid``, or any of ``base``, ``rotations`` and ``mirrored``. Every
    option may be None, which is its default.

    Args:
        grid: The group. In a configuration file ``base``, ``rotations`` and ``mirrored`` stand for it.
        base: Ratio of neighbouring scales; 2 by default.
        rotations: Number of rotations, for images; 1 by default.
        mirrored: If True, the group contains reflections as well, for images.
        form: "published": kernels over neighbouring scales, at the published width. "shared": all weights shared over
            scales, the head too, with the plain net's width, stride, parameters and weights (``load_plain``). By
            default "published" where scales are asked for (by ``base``, ``grid`` or a number of scales above 1), and
            "shared" for rotations and reflections alone.
        num_scales: Number of scales to lift to; or
        out_scales: number of scales that are left at the readout. Give one of them. By default the net's own number
            where scales are asked for, and otherwise 1.
        scale_extent: Number of neighbouring scales that the spanning convolutions see, one for all or one for each; by
            default that of the form. "shared" with 2 in some of them is between the two forms.
        readout: "finest", "mean", "max", "logsumexp" or "confident" (``Readout``; ``MapReadout`` for maps), or "gated"
            (``GatedReadout``; ``GatedMapReadout``). By default "max" in the published form and "mean" in the shared
            one.
        positions: "mean" or "max" over the positions of each level; "mean" by default. Maps keep all positions.
        dropout: Probability with which scales are left out in training, see ``Readout``; 0 by default.
        spline_spacing: Distance in taps of the quadratic B-splines that kernels are made of
            (``wavenets.kernels.BSpline``), which turn with less error between quarter turns; by default the learned
            numbers are the samples.
    """

    grid: Grid | None
    base: float | str | Fraction | None
    rotations: int | None
    mirrored: bool | None
    form: Form | None
    num_scales: int | None
    out_scales: int | None
    scale_extent: int | Sequence[int] | None
    readout: ReadoutMode | None
    positions: Positions | None
    dropout: float | None
    spline_spacing: float | None


@dataclass(frozen=True)
class Defaults:
    """The defaults of a net, where options are not given.

    Attributes:
        out_scales: Number of scales that are left at the readout of the published form.
        extents: Scale extents of the published form's spanning convolutions.
        classifier_extent: Scale extent of the published form's classifier.
        spare: Number of scales that are left at the readout in addition to ``out_scales``.
        base: Ratio of neighbouring scales.
        form: The form where scales are asked for.
        shared_scales: Number of scales of the shared form where scales are asked for.
        readout: The readout of the published form.
    """

    out_scales: int
    extents: tuple[int, ...]
    classifier_extent: int = 1
    spare: int = 0
    base: float = 2
    form: Form = "published"
    shared_scales: int = 5
    readout: ReadoutMode = "max"


@dataclass(frozen=True)
class Choice:
    """The settings of a net on a group, which follow from its options and its defaults."""

    grid: Grid
    shared: bool
    num_scales: int
    extents: tuple[int, ...]
    classifier_extent: int
    readout: ReadoutMode
    positions: Positions | None
    dropout: float
    spline_spacing: float | None


def choose(ndim: int, defaults: Defaults, options: Options) -> Choice | None:
    """Return the settings that follow from the options of a net, or None if it has no group and so is plain.

    Raises:
        TypeError: If an option does not exist.
        ValueError: If a value is out of range, options contradict each other, or there are some without a group.
    """
    if unknown := sorted(options.keys() - Options.__annotations__.keys()):
        raise TypeError(f"unknown option {', '.join(unknown)}; there are {', '.join(Options.__annotations__)}")
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if not given.get("mirrored", True):
        del given["mirrored"]
    if not given.keys() & {"grid", "base", "rotations", "mirrored"}:
        if given:
            raise ValueError(f"{', '.join(given)}: give a group as well (grid, base, rotations or mirrored)")
        return None
    scales = given.keys() & {"grid", "base", "num_scales", "out_scales"} or given.get("form") == "published"
    several = bool(scales) and given.get("num_scales") != 1
    form = given.get("form", defaults.form if several else "shared")
    if form not in get_args(Form):
        raise ValueError(f"form must be published or shared, got {form!r}")
    shared = form == "shared"
    readout: ReadoutMode = given.get("readout", "mean" if shared else defaults.readout)
    classifier_extent = 1 if shared or readout == "gated" else defaults.classifier_extent
    extents = _extents(given.get("scale_extent"), (1,) * len(defaults.extents) if shared else defaults.extents)
    consumed = sum(extents) - len(extents) + classifier_extent - 1 + (0 if shared else defaults.spare)
    left = defaults.out_scales if not shared else defaults.shared_scales if several else 1
    return Choice(
        _grid(ndim, defaults.base if several else 2, given),
        shared,
        _num_scales(given.get("num_scales"), given.get("out_scales"), left, consumed),
        extents,
        classifier_extent,
        readout,
        given.get("positions"),
        given.get("dropout", 0.0),
        given.get("spline_spacing"),
    )


def narrowed(width: int, grid: Grid | None) -> int:
    """Return the width at which a net on a group has the plain net's parameters.

    A kernel over N orientations has N times the parameters, and their number grows with the square of the width.
    """
    return width if grid is None else round(width / grid.orientations**0.5)


def _grid(ndim: int, base: float, given: dict[str, Any]) -> Grid:
    parts = {name: given[name] for name in ("base", "rotations", "mirrored") if name in given}
    if "grid" not in given:
        return Grid(ndim, **{"base": base, **parts})
    if parts:
        text = ", ".join(f"{name}={value}" for name, value in parts.items())
        raise ValueError(f"give either grid={given['grid']} or {text}")
    if given["grid"].ndim != ndim:
        raise ValueError(f"expected a grid with ndim={ndim}, got {given['grid']}")
    return given["grid"]


def _extents(given: int | Sequence[int] | None, default: tuple[int, ...]) -> tuple[int, ...]:
    extents = default if given is None else (given,) * len(default) if isinstance(given, int) else tuple(given)
    if len(extents) != len(default) or min(extents, default=1) < 1:
        raise ValueError(f"scale_extent must be a number or {len(default)} of them, each at least 1, got {given}")
    return extents


def _num_scales(num_scales: int | None, out_scales: int | None, default: int, consumed: int) -> int:
    if num_scales is not None and out_scales is not None:
        raise ValueError(f"give either num_scales={num_scales} or out_scales={out_scales}")
    if out_scales is not None and out_scales < 1:
        raise ValueError(f"out_scales must be at least 1, got {out_scales}")
    if num_scales is not None and num_scales <= consumed:
        raise ValueError(f"num_scales must be at least {consumed + 1}, as {consumed} are consumed, got {num_scales}")
    return num_scales if num_scales is not None else (out_scales or default) + consumed
