"""Training that starts from the weights of another run."""

import logging
from collections.abc import Iterable
from pathlib import Path

from torch import nn

from experiments.card import find_checkpoint, from_pretrained, read_checkpoint
from wavenets.models.pretrained import WEIGHTS

log = logging.getLogger(__name__)


def start_from(network: nn.Module, path: Path | str) -> None:
    """Copy the weights of a trained network. A layer stays new if a shape in it differs, as that of another head does.

    Args:
        network: The network that receives the weights.
        path: The folder of a run, a checkpoint, or a folder that ``save_pretrained`` wrote.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The checkpoint is damaged, or no layer of it fits.
    """
    try:
        file = find_checkpoint(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"weights={path}: {error}") from None
    pretrained = file.name == WEIGHTS
    theirs = from_pretrained(file.parent).state_dict() if pretrained else read_checkpoint(file)[0]
    ours = network.state_dict()
    shared = [key for key in ours if key in theirs]
    new = _layers(key for key in shared if ours[key].shape != theirs[key].shape)
    fits = {key: theirs[key] for key in shared if _layer(key) not in new}
    if not any(name in fits for name, _ in network.named_parameters()):
        raise ValueError(f"weights={path}: no layer of this network has a shape that fits; train the same model=…")
    network.load_state_dict(fits, strict=False)
    log.info("weights of %s%s", path, f"; new, as their shapes differ: {', '.join(new)}" if new else "")
    missing, unused = _layers(ours.keys() - theirs.keys()), _layers(theirs.keys() - ours.keys())
    if missing or unused:
        parts = [f"{what}: {', '.join(some)}" for what, some in (("not in it", missing), ("not used", unused)) if some]
        log.warning("weights of %s do not fit everywhere; layers %s", path, "; ".join(parts))


def _layers(keys: Iterable[str]) -> list[str]:
    return sorted({_layer(key) for key in keys})


def _layer(key: str) -> str:
    return key.rpartition(".")[0] or key
