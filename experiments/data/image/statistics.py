"""Mean and standard deviation of the channels of images, by which networks normalise them."""

from collections.abc import Sequence

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

Statistics = tuple[float, ...]


def statistics(
    mean: Sequence[float] | str | None, std: Sequence[float] | str | None, channels: int
) -> tuple[Statistics, Statistics] | tuple[None, None]:
    """Return the mean and the standard deviation of each channel, or none of them if images are not normalised.

    Args:
        mean: A number for each channel, "imagenet", or ``None``.
        std: The same.
        channels: Number of channels.

    Raises:
        ValueError: Only one of them is given, or one is something else.

    Example:
        >>> statistics("imagenet", [1, 1, 1], 3)
        ((0.485, 0.456, 0.406), (1.0, 1.0, 1.0))
    """
    if mean is None and std is None:
        return None, None
    for key, value, other in ("mean", mean, "std"), ("std", std, "mean"):
        if value is None:
            raise ValueError(f"data.{other} is set and data.{key} is not; images are normalised by both")
    return _numbers("mean", mean, channels), _numbers("std", std, channels)


def _numbers(key: str, value: Sequence[float] | str | None, channels: int) -> Statistics:
    given = IMAGENET[key] if value == "imagenet" else value
    numbers = isinstance(given, Sequence) and all(isinstance(x, int | float) for x in given)
    if not numbers or len(given) != channels:  # type: ignore[arg-type]
        what = f"a list of {channels} numbers, one for each channel" + ", or imagenet" * (channels == 3)
        raise ValueError(f"data.{key}={value if isinstance(value, str) else list(value or [])} is not {what}")
    if key == "std" and not all(x > 0 for x in given):  # type: ignore[union-attr, operator]
        raise ValueError(f"data.std={list(value or [])} has a number that is not above 0")
    return tuple(float(x) for x in given)  # type: ignore[union-attr]
