"""What kind of input a network takes, as its checkpoints keep it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

INSTANCE = 256  # a target that is a map is the class number, plus this times the number of the object
IGNORED = 255  # class number of positions that do not count: in no class, or outside the region of interest


@dataclass(frozen=True)
class Waveform:
    """Waveforms (channels, num_samples) within [-1, 1].

    Attributes:
        sample_rate: Sampling rate, in Hz.
        num_samples: Length, in samples. ``None``: any length.
        channels: Number of channels.
    """

    sample_rate: int
    num_samples: int | None = None
    channels: int = 1


@dataclass(frozen=True)
class Image:
    """Images (channels, H, W) within [0, 1].

    Attributes:
        channels: Number of channels.
        size: Height and width, in pixels. ``None``: any size.
        mpp: Side of a pixel, in microns. ``None``: unknown.
        mean: Mean of each channel, which the network subtracts first. ``None``: it takes images as they are.
        std: Standard deviation of each channel, by which the network then divides.
    """

    channels: int
    size: tuple[int, int] | None = None
    mpp: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


Input = Waveform | Image
KINDS: dict[str, type[Input]] = {"waveform": Waveform, "image": Image}


def to_dict(input: Input | None) -> dict[str, Any] | None:
    """Return plain values of an input, for a checkpoint."""
    if input is None:
        return None
    return {"kind": type(input).__name__.lower(), **asdict(input)}


def from_dict(values: Mapping[str, Any] | None) -> Input | None:
    """Return the input of the values in a checkpoint.

    Raises:
        KeyError: The kind is missing or unknown.
        TypeError: A value is missing or unknown.

    Example:
        >>> from_dict(to_dict(Image(3, (64, 48), mpp=0.25)))
        Image(channels=3, size=(64, 48), mpp=0.25, mean=None, std=None)
    """
    if values is None:
        return None
    rest: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    return KINDS[rest.pop("kind")](**rest)
