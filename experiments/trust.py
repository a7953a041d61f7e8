"""What a checkpoint or the config.yaml of a run may create: a file from elsewhere is data, and calls nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.utils import get_class

# Modules whose classes a checkpoint may name, and the config.yaml of a run for its training. The user must name others.
ROOMS = "wavenets.models", "experiments.data", "experiments.models", "experiments.training.tasks"
TRAINING_ROOMS = (
    *ROOMS,
    *("torch.optim", "lightning.Trainer", "lightning.pytorch.callbacks", "lightning.pytorch.loggers"),
)


def build(node: Mapping[str, Any], trust: Sequence[str] = (), **more: Any) -> Any:
    """Create the object that a checkpoint names: a class of `ROOMS` or of a trusted module, with plain values.

    Args:
        node: ``_target_`` and arguments. Hydra's ``instantiate`` would create nested objects as well, and call any
            function that a ``_target_`` names.
        trust: Modules beside `ROOMS`.
        **more: Further arguments.

    Raises:
        ValueError: The target is something else, another is nested in it, or it does not take the arguments.

    Example:
        >>> type(build({"_target_": "wavenets.models.MNet", "depth": 3}, num_classes=2))
        <class 'wavenets.models.mnet.MNet'>
        >>> build({"_target_": "subprocess.Popen", "args": "ls"})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: subprocess.Popen is not a class that a checkpoint may name; trust=subprocess allows its module, ...
    """
    if not isinstance(node, Mapping):
        raise ValueError(f"{node} is not a _target_ with arguments")
    arguments = {key: value for key, value in node.items() if key != "_target_"}
    if below := [target for value in arguments.values() for target in targets(value)]:
        raise ValueError(f"{below[0]} is nested in {node['_target_']}, which takes plain values only")
    make = allowed_class(node.get("_target_"), (*ROOMS, *trust))
    try:
        return make(**arguments, **more)
    except TypeError as error:  # an argument that it does not take
        raise ValueError(f"{node['_target_']}: {error}") from error


def allowed_class(target: Any, rooms: Sequence[str]) -> type:
    """Return a class by its name, if it belongs to one of some modules.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(target, str) and any(target == room or target.startswith(f"{room}.") for room in rooms):
        found = get_class(target)
        # A module also names what it imports: experiments.data.sound.workers.ProcessPoolExecutor is not of the data.
        if found.__module__.split(".")[0] == target.split(".")[0]:
            return found
    module = str(target).rpartition(".")[0]
    raise ValueError(
        f"{target} is not a class that a checkpoint may name; trust={module} allows its module, if you know who made "
        "the file"
    )


def targets(node: Any) -> Iterator[Any]:
    """Yield every ``_target_`` in a configuration, at any depth."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from targets(value)


def as_list(value: Any) -> list[Any]:
    """Return the value of a key of the configuration, which is nothing, one thing or several, as a list.

    Example:
        >>> as_list(None), as_list("one"), as_list(("one", "two"))
        ([], ['one'], ['one', 'two'])
    """
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
