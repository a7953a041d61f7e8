"""Networks in folders: model.safetensors holds the weights, and card.json the class and the arguments of the network.

A card is data. Its class is looked up among the networks of this package, and its values are plain.
"""

import importlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

import wavenets
from wavenets.grid import Grid
from wavenets.kernels import BSpline, Samples, ZeroMean

WEIGHTS, CARD = "model.safetensors", "card.json"
POSITIONAL = "*"  # the key in a card of arguments that have no name, or cannot be passed by it


class Pretrained(nn.Module):
    """A module that records its arguments, so that it can be saved in a folder and loaded from it.

    Attributes:
        arguments: Arguments of the constructor, by name.
        about: Further entries of the card from which it was loaded, such as the classes.
    """

    arguments: dict[str, Any]
    about: dict[str, Any]
    kinds: ClassVar[dict[str, type["Pretrained"]]] = {}  # those that cards may name: the networks of this package

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith(f"{__package__}.") and cls.__name__ != "Network":
            Pretrained.kinds[cls.__name__] = cls

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments, from which ``from_pretrained`` makes the network, so that no subclass has to do it."""
        network = super().__new__(cls)
        network.arguments = _named(cls, args) | kwargs
        network.about = {}
        return network

    def save_pretrained(self, folder: str | Path, about: Mapping[str, Any] | None = None) -> None:
        """Write model.safetensors, and card.json: class, arguments, version of wavenets, and ``about``.

        ``huggingface_hub.upload_folder`` puts such a folder on the hub.

        Args:
            folder: Folder for the files. It is created if it does not exist.
            about: Further entries of the card, plain values such as the classes; None is ``about`` of the network.

        Raises:
            ImportError: If safetensors is missing.
            ValueError: If the card cannot describe the network: an argument is not a plain value, or the network was
                changed after it had been made.

        Example:
            >>> import tempfile
            >>> from wavenets.models import CNN, Network
            >>> folder = tempfile.mkdtemp()
            >>> CNN(2, rotations=4).save_pretrained(folder, {"classes": ["cat", "dog"]})
            >>> net = Network.from_pretrained(folder)
            >>> type(net).__name__, net.arguments["rotations"], net.about["classes"]
            ('CNN', 4, ['cat', 'dog'])
        """
        about = self.about if about is None else about
        card = {**_described(self), "wavenets": wavenets.__version__, "about": dict(about)}
        text = json.dumps(card, indent=2, allow_nan=False) + "\n"
        safetensors = _imported("safetensors.torch")
        _check_described(self, json.loads(text))
        weights = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = {name: folder / f"{name}.partial" for name in (WEIGHTS, CARD)}
        unfinished[WEIGHTS].write_bytes(safetensors.save(weights, {"format": "pt"}))
        unfinished[CARD].write_text(text)
        for name, file in unfinished.items():
            file.replace(folder / name)

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> Self:
        """Make the network that ``save_pretrained`` wrote, in eval mode. The files are data, and run nothing.

        Args:
            name: A folder, or a name on the Hugging Face hub, such as ``"user/network"``.
            revision: Branch, tag or commit on the hub. None is the newest of the main branch.

        Returns:
            The network, of the class that its card names: one of ``wavenets.models``, or the one this is called on.

        Raises:
            FileNotFoundError: If the folder does not exist, or a file is missing in it.
            ImportError: If safetensors is missing, or huggingface_hub where the name is not a folder.
            ValueError: If a file is damaged or of another kind, the card names another class, or a folder is to have a
                revision.
        """
        folder = Path(name)
        if not folder.is_dir():
            folder = _from_hub(str(name), revision)
        elif revision is not None:
            raise ValueError(f"revision={revision} is for names on the Hugging Face hub, and {name} is a folder here")
        card = read_card(folder)
        network = _build(cls, card, str(folder / CARD))
        safetensors = _imported("safetensors.torch")
        try:
            weights = safetensors.load_file(folder / WEIGHTS)
            kinds = (value.dtype for key, value in weights.items() if not key.endswith("_extra_state"))
            network.to(next((dtype for dtype in kinds if dtype.is_floating_point), None)).load_state_dict(weights)
        except FileNotFoundError:
            raise FileNotFoundError(f"{folder / WEIGHTS} not found, beside {CARD}") from None
        except Exception as error:  # safetensors raises its own exception class
            line = " ".join(str(error).split())
            raise ValueError(f"{folder / WEIGHTS} is damaged, or does not fit its {CARD} ({line})") from error
        network.about = card["about"]
        return network.eval()


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of a folder.

    Raises:
        FileNotFoundError: If the folder has no card.
        ValueError: If the file is not a card.
    """
    file = folder / CARD
    if not file.is_file():
        raise FileNotFoundError(f"{folder} holds no {CARD}: it is not what save_pretrained writes")
    try:
        card = json.loads(file.read_text())
        kinds = {"class": str, "arguments": dict, "about": dict}
        if not isinstance(card, dict) or not all(isinstance(card.get(key), kind) for key, kind in kinds.items()):
            raise ValueError(f"it lacks {', '.join(kinds)}")
    except ValueError as error:
        raise ValueError(f"{file} is not a card that save_pretrained writes ({error})") from error
    return card


def _named(cls: type, args: tuple[Any, ...]) -> dict[str, Any]:
    """Return positional arguments by name, or as they are where a parameter takes them by position only."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    names = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    by_position = any(p.kind is inspect.Parameter.POSITIONAL_ONLY for p in parameters) or len(args) > len(names)
    return ({POSITIONAL: args} if args else {}) if by_position else dict(zip(names, args, strict=False))


def _described(network: Pretrained) -> dict[str, Any]:
    """Return what a card says of a network, or of a network among the arguments of another."""
    arguments = {key: _plain(key, value) for key, value in network.arguments.items()}
    return {"class": type(network).__name__, "arguments": arguments}


def _plain(key: str, value: Any) -> Any:
    """Return an argument as JSON has it."""
    if isinstance(value, Grid):
        parts = {"ndim": value.ndim, "base": value.base, "rotations": value.rotations, "mirrored": value.mirrored}
        return {name: _plain(key, part) for name, part in parts.items()}
    if isinstance(value, Pretrained):
        return _described(value)
    if isinstance(value, Fraction):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Sequence):
        return [_plain(key, part) for part in value]
    raise ValueError(
        f"{key} is of type {type(value).__name__}, where a card has numbers, text, lists of them, a grid and networks"
    )


def _build(kind: type[Any], card: Mapping[str, Any], file: str) -> Any:
    """Make the network that a card describes, without its weights."""
    name, kinds = card["class"], {kind.__name__: kind, **Pretrained.kinds}
    if name not in kinds or name == "Network":
        raise ValueError(f"{file} names {name}, which is not a network of wavenets.models")
    if not issubclass(kinds[name], kind):
        raise ValueError(f"{file} names {name}, which is not a {kind.__name__}: use Network.from_pretrained")
    try:
        arguments = {key: _made(key, value, file) for key, value in card["arguments"].items()}
        return kinds[name](*arguments.pop(POSITIONAL, ()), **arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {name} cannot be made ({error})") from error


def _made(key: str, value: Any, file: str) -> Any:
    """Return an argument of a card as a network takes it."""
    if isinstance(value, dict) and value.keys() == {"class", "arguments"}:
        return _build(Pretrained, value, file)
    if key == "grid" and value is not None:
        return Grid(**value)
    return _plain(key, value)


def _check_described(network: Pretrained, card: Mapping[str, Any]) -> None:
    """Raise a ValueError if the network that a card describes is another than this one."""
    with torch.device("meta"):  # shapes alone
        twin = _build(type(network), card, "the card")
    state, expected = ({key: tuple(x.shape) for key, x in net.state_dict().items()} for net in (network, twin))
    for key in sorted(state.keys() | expected.keys()):
        if state.get(key) != expected.get(key):
            what = f"{key} has shape {state.get(key)} in place of {expected.get(key)}"
            raise ValueError(f"the network was changed after it was created, and its card cannot describe this: {what}")
    for (name, ours), theirs in zip(network.named_modules(), twin.modules(), strict=False):
        for key, value, other in _differences(ours, theirs):
            what = f"{f'{name}.' if name else ''}{key} is {value} in place of {other}"
            raise ValueError(f"the network was changed after it was created, and its card cannot describe this: {what}")


def _differences(ours: nn.Module, theirs: nn.Module) -> list[tuple[str, Any, Any]]:
    """Return the attributes that differ: the class, and those with plain values."""
    kinds = [type(module) for module in (ours, theirs)]
    norms = nn.modules.batchnorm._BatchNorm  # all of one function in eval mode, synchronised ones too
    if kinds[0] is not kinds[1] and not all(issubclass(kind, norms) for kind in kinds):
        return [("class", kinds[0].__name__, kinds[1].__name__)]
    plain = (bool, int, float, str, tuple, list, Grid, Samples, ZeroMean, BSpline, type(None))
    shared = [key for key in vars(ours).keys() & vars(theirs).keys() if not key.startswith("_")]
    shared = [key for key in sorted(shared) if key not in ("training", "arguments", "about")]
    pairs = [(key, getattr(ours, key), getattr(theirs, key)) for key in shared]
    return [(key, a, b) for key, a, b in pairs if isinstance(a, plain) and isinstance(b, plain) and a != b]


def _from_hub(name: str, revision: str | None) -> Path:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise FileNotFoundError(f"{name} is not a folder, nor a name on the Hugging Face hub, such as user/network")
    try:
        hub = _imported("huggingface_hub")
    except ImportError as error:
        raise ImportError(f"{name} is not a folder here; to look for it on the Hugging Face hub, {error}") from None
    try:
        which = {} if revision is None else {"revision": revision}
        return Path(hub.snapshot_download(name, allow_patterns=[WEIGHTS, CARD], **which))
    except (OSError, hub.errors.HfHubHTTPError) as error:
        line = " ".join(str(error).split())
        message = f"{name} is not a folder, and could not be loaded from the Hugging Face hub: {line}"
        raise FileNotFoundError(message) from error


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"{module.split('.')[0]} is missing: pip install 'wavenets[pretrained]'") from None
