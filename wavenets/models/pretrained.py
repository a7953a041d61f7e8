"""Networks in folders: model.safetensors, and card.json, which says how to make the network that they fit.

A card is data. What it names is looked up among the networks of this package, and its values are plain.
"""

import importlib
import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import wavenets
from wavenets.grid import Grid

if TYPE_CHECKING:
    from wavenets.models.network import Network

WEIGHTS, CARD = "model.safetensors", "card.json"
N = TypeVar("N", bound="Network")


def save(network: "Network", folder: Path, about: Mapping[str, Any]) -> None:
    """Writes weights and card, each whole or not at all. See ``Network.save_pretrained``."""
    card = {
        "class": type(network).__name__,
        "arguments": {key: _plain(key, value) for key, value in network.arguments.items()},
        "wavenets": wavenets.__version__,
        "about": dict(about),
    }
    text = json.dumps(card, indent=2, allow_nan=False) + "\n"
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    safetensors = _imported("safetensors.torch")
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = {name: folder / f"{name}.partial" for name in (WEIGHTS, CARD)}
    unfinished[WEIGHTS].write_bytes(safetensors.save(weights, {"format": "pt"}))
    unfinished[CARD].write_text(text)
    for name, file in unfinished.items():
        file.replace(folder / name)


def load(kind: type[N], name: str | Path) -> N:
    """Makes the network of a folder, or of a name on the Hugging Face hub. See ``Network.from_pretrained``."""
    folder = Path(name)
    if not folder.is_dir():
        folder = _from_hub(str(name))
    card = read_card(folder)
    network = _build(kind, card, folder / CARD)
    safetensors = _imported("safetensors.torch")
    try:
        weights = safetensors.load_file(folder / WEIGHTS)
        dtype = next((value.dtype for value in weights.values() if value.is_floating_point()), None)
        network.to(dtype).load_state_dict(weights)
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder / WEIGHTS} not found, beside {CARD}") from None
    except Exception as error:  # safetensors has an exception of its own
        line = " ".join(str(error).split())
        raise ValueError(f"{folder / WEIGHTS} is damaged, or does not fit its {CARD} ({line})") from error
    network.about = card["about"]
    return network.eval()


def read_card(folder: Path) -> dict[str, Any]:
    """Reads the card of a folder.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is something else.
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


def _build(kind: type[N], card: Mapping[str, Any], file: Path) -> N:
    from wavenets import models  # which imports this module

    name, arguments = card["class"], dict(card["arguments"])
    networks: dict[str, Any] = {kind.__name__: kind}
    networks |= {key: getattr(models, key) for key in models.__all__ if key not in ("Network", "Options")}
    if name not in networks or name == "Network":
        raise ValueError(f"{file} names {name}, which is no network of wavenets.models")
    if not issubclass(networks[name], kind):
        raise ValueError(f"{file} names {name}, which is no {kind.__name__}: use Network.from_pretrained")
    try:
        if arguments.get("grid") is not None:
            arguments["grid"] = Grid(**arguments["grid"])
        for key, value in arguments.items():
            if key != "grid":
                _plain(key, value)
        network: N = networks[name](**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {name} cannot be made ({error})") from error
    return network


def _plain(key: str, value: Any) -> Any:
    """Gives an argument as JSON has it."""
    if isinstance(value, Grid):
        return {key: _plain(key, part) for key, part in vars(value).items()}
    if isinstance(value, Fraction):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Sequence):
        return [_plain(key, part) for part in value]
    raise ValueError(
        f"{key} is of type {type(value).__name__}, where a card has numbers, text, lists of them and a grid"
    )


def _from_hub(name: str) -> Path:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise FileNotFoundError(f"{name} is no folder, nor a name on the Hugging Face hub, such as user/network")
    try:
        hub = _imported("huggingface_hub")
    except ImportError as error:
        raise ImportError(f"{name} is no folder here; to look for it on the Hugging Face hub, {error}") from None
    try:
        return Path(hub.snapshot_download(name, allow_patterns=[WEIGHTS, CARD]))
    except (OSError, hub.errors.HfHubHTTPError) as error:
        line = " ".join(str(error).split())
        raise FileNotFoundError(f"{name} is no folder, and not to be had from the Hugging Face hub: {line}") from error


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"{module.split('.')[0]} is missing: pip install 'wavenets[pretrained]'") from None
