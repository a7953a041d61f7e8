"""What a checkpoint states of its network, and how a network is made from a checkpoint."""

import logging
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from experiments.data import inputs
from experiments.data.inputs import Input
from experiments.models.log_mel import LogMelCNN
from experiments.networks import Own, normalize
from experiments.run import Run
from experiments.training.tasks.task import Task
from experiments.trust import build
from wavenets.models import Network
from wavenets.models.pretrained import CARD, WEIGHTS, read_card

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Card:
    """The card of a checkpoint: what is needed to make its network and to use it.

    Attributes:
        config: The run's resolved configuration.
        classes: Names of the classes, or of the numbers of a regression.
        input: Kind of input that the network takes. ``None``: another kind than waveforms and images.
        epoch: The epoch of the checkpoint, from 1.
        monitor: The validation metric that chose the best checkpoint.
        value: Its value at this epoch. ``None``: it was not measured.
        validation: All validation metrics of this epoch, by name without ``val_``.
    """

    config: dict[str, Any]
    classes: list[str]
    input: Input | None = None
    epoch: int = 0
    monitor: str = ""
    value: float | None = None
    validation: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the checkpoint."""
        return {**asdict(self), "input": inputs.to_dict(self.input)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Card":
        """Return the card of the values in a checkpoint.

        Raises:
            KeyError: The kind of input is unknown.
            TypeError: A value is missing or unknown.
        """
        return cls(**{**values, "input": inputs.from_dict(values.get("input"))})

    def task(self, trust: Sequence[str] = ()) -> Task:
        """Return the task that the network was trained for.

        Args:
            trust: Modules beside `trust.ROOMS` whose classes the card may name.
        """
        task: Task = build(self.config["task"], trust, num_classes=len(self.classes))
        return task


def find_checkpoint(path: Path | str | None) -> Path:
    """Return the checkpoint file: of a run's folder the one to use, of ``save_pretrained``'s folder the weights.

    Of a folder of runs, such as ``runs/mine`` with a run or a sweep for each date, it is that of the newest finished
    run.

    Raises:
        FileNotFoundError: There is no checkpoint.
    """
    if path is None:
        raise FileNotFoundError("ckpt is null; it must be a checkpoint or the folder of a run")
    path = Path(path).expanduser()
    if (path / CARD).is_file():
        return path / WEIGHTS
    run = Run(path)
    of_sweeps = (file for file in path.glob("*/*/results.json") if file.parent.name.isdigit())
    finished = [file.parent for file in (*path.glob("*/results.json"), *of_sweeps)]
    if path.is_dir() and not run.started and finished:
        run = Run(max(finished, key=lambda folder: (Run(folder).results.stat().st_mtime, folder.name)))
        log.info("ckpt: %s, the newest finished run in %s", run.folder, path)
    file = run.trained if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file} not found; it must be a checkpoint or the folder of a run")
    return file


def read_checkpoint(file: Path) -> tuple[dict[str, Tensor], Card]:
    """Read the weights of the network and the card.

    Raises:
        ValueError: The file is damaged, or something else.
    """
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if bad := archive.testzip():  # torch does not check the checksums
                    raise ValueError(f"{file} is damaged (in {bad})")
        else:
            damaged = file.open("rb").read(2) == b"PK"
            fault = "is damaged: its end is missing" if damaged else "is not a checkpoint of experiments.train"
            raise ValueError(f"{file} {fault}")
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        card = Card.from_dict(checkpoint["card"])
        prefix = "network."
        weights = {key.removeprefix(prefix): w for key, w in checkpoint["state_dict"].items() if key.startswith(prefix)}
    except (
        AttributeError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        RuntimeError,
        EOFError,
        LookupError,
        TypeError,
    ) as error:
        raise ValueError(f"{file} is not a checkpoint of experiments.train ({_reason(error)})") from error
    return weights, card


def load_network(file: Path, trust: Sequence[str] = ()) -> tuple[nn.Module, Card]:
    """Return the network of a checkpoint. The file is data: nothing that it names is called but the network's class.

    Args:
        file: Checkpoint that ``experiments.train`` wrote, or the model.safetensors of `report.weights`.
        trust: Modules beside `trust.ROOMS` whose classes it may name.

    Returns:
        The network, on the CPU and in eval mode, and the checkpoint's card.

    Raises:
        ValueError: The file is something else, or names a class of another module.
    """
    if file.name == WEIGHTS:
        return load_pretrained(file.parent)
    weights, card = read_checkpoint(file)
    try:
        network: nn.Module = build(card.config["model"], trust, num_classes=card.task(trust).num_outputs)
        network.load_state_dict(weights)
    except (ImportError, KeyError, RuntimeError) as error:
        raise ValueError(f"{file} is not of this version, or was changed ({_reason(error)}); train it again") from error
    return normalize(network, card.input).eval(), card


def _reason(error: Exception) -> str:
    return shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")


def from_pretrained(folder: Path) -> Own:
    """Return the network of a folder that ``save_pretrained`` wrote: of ``wavenets.models``, or of the experiments.

    Raises:
        ValueError: A file is damaged, or names another class.
    """
    kind = LogMelCNN if read_card(folder)["class"] == LogMelCNN.__name__ else Network
    return kind.from_pretrained(folder)


def load_pretrained(folder: Path) -> tuple[nn.Module, Card]:
    """Return the network of a folder that `report.weights` wrote, and the card of its run.

    Raises:
        ValueError: A file is damaged, or names no run.
    """
    network = from_pretrained(folder)
    try:
        card = Card.from_dict({f.name: network.about[f.name] for f in fields(Card)})
    except KeyError as error:
        raise ValueError(
            f"{folder / CARD} is not the card of a run: it lacks {error} (see experiments.report.weights)"
        ) from None
    return normalize(network, card.input), card
