"""What a run leaves behind: the paths of its folder, the card in its checkpoints, its results, and its network."""

import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from math import isfinite, nan
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from experiments.data.source import Fold
from experiments.training.task import Task
from experiments.trust import build
from wavenets.models import Network
from wavenets.models.pretrained import CARD, WEIGHTS

PATIENCE = 10.0  # seconds


@dataclass(frozen=True)
class Run:
    """The folder of a run and the files in it."""

    folder: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.folder / "config.yaml"

    @property
    def metrics(self) -> Path:
        """A row of metrics per epoch."""
        return self.folder / "metrics.csv"

    @property
    def results(self) -> Path:
        """The results of the test."""
        return self.folder / "results.json"

    @property
    def validation(self) -> Path:
        """The card of the best checkpoint of a run that was not tested."""
        return self.folder / "validation.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch that was best on the validation examples."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch, from which a run goes on."""
        return self.checkpoints / "last.ckpt"

    @property
    def trained(self) -> Path:
        """The checkpoint to use: the best, or the last if no epoch was validated."""
        return self.best if self.best.is_file() else self.last

    @property
    def started(self) -> bool:
        """Whether there is a checkpoint."""
        return self.last.is_file() or self.best.is_file()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from training in the folder.

        Raises:
            ValueError: One does already.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            # The loading processes of a run that was killed hold it for some seconds more.
            with FileLock(self.folder / "run.lock", timeout=PATIENCE):
                yield
        except Timeout:
            raise ValueError(f"another run is at work in {self.folder}; choose another place with folder=…") from None

    def picture(self, name: str) -> Path:
        """Gives the file of a picture."""
        return self.folder / f"{name}.png"


@dataclass(frozen=True)
class Card:
    """What a checkpoint says of its network, so that it can be made again and used.

    Attributes:
        config: The run's resolved configuration.
        classes: Names of the classes.
        sample_rate: Rate of the waveforms, in Hz; None: not sound.
        num_samples: Length of the waveforms, in samples; None: not sound, or of any length.
        epoch: The epoch of the checkpoint, from 1.
        monitor: The validation metric by which the best checkpoint was chosen.
        value: Its value at this epoch; None: it was not measured.
        validation: All validation metrics of this epoch, by name without ``val_``.
    """

    config: dict[str, Any]
    classes: list[str]
    sample_rate: int | None = None
    num_samples: int | None = None
    epoch: int = 0
    monitor: str = ""
    value: float | None = None
    validation: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Gives plain values, for the checkpoint."""
        return asdict(self)

    def task(self, trust: Sequence[str] = ()) -> Task:
        """Makes the task that the network was trained for.

        Args:
            trust: Modules beside `trust.ROOMS` whose classes the card may name.
        """
        task: Task = build(self.config["task"], trust, num_classes=len(self.classes))
        return task

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Card":
        """Makes a card of the values in a checkpoint.

        Raises:
            TypeError: One is missing, or unknown.
        """
        return cls(**values)


@dataclass(frozen=True)
class Results:
    """What results.json holds.

    Attributes:
        name: Name of the run.
        seed: Seed of the run.
        monitor: Metric by which the task is told, such as ``"accuracy"``.
        classes: Names of the classes.
        test: Metrics on the test examples by name, ``"loss"`` among them; in JSON their names begin with ``test_``,
            and one that is not a number is null.
        val: The same on the validation examples; in JSON their names begin with ``val_``.
        test_clips: Number of test examples.
        rescaled: Factor → the monitored metric on test examples that are rescaled by it.
        moved: Factor → how far the logits move when inputs are rescaled by it, see `report.measure.distance`.
        quantity: What the factors change, such as ``"playback speed"``.
        test_fold: The fold that was tested; None: the set has no folds.
        folds: All folds of the set.
        parameters: Number of learned numbers.
        best_epoch: The epoch of the network, from 1.
        confusion: Counts; rows are the truth, columns the prediction. None: the task has no such matrix.
        class_average_precision: For each class; None: the task is another.
        overrides: The command line.
        epochs: Number of epochs.
        seconds: Time that the run took, in seconds.
    """

    name: str
    seed: int
    monitor: str
    classes: list[str]
    test: dict[str, float]
    val: dict[str, float]
    test_clips: int
    rescaled: dict[str, float] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)
    quantity: str = ""
    test_fold: Fold | None = None
    folds: list[Fold] = field(default_factory=list)
    parameters: int = 0
    best_epoch: int = 0
    confusion: list[list[int]] | None = None
    class_average_precision: list[float | None] | None = None
    overrides: list[str] = field(default_factory=list)
    epochs: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Gives plain values, for JSON: the metrics are ``test_accuracy``, ``val_accuracy``, …."""
        values = {f"{stage}_{name}": value for stage in ("test", "val") for name, value in getattr(self, stage).items()}
        return values | {key: value for key, value in asdict(self).items() if key not in ("test", "val")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Results":
        """Makes results of the values in JSON.

        Raises:
            TypeError: One is missing, or unknown.
        """
        names = {f.name for f in fields(cls)}
        metrics: dict[str, dict[str, float]] = {"test": {}, "val": {}}
        others = dict(values)
        for key in values:
            stage, _, name = key.partition("_")
            if key not in names and stage in metrics:
                metrics[stage][name] = _number(others.pop(key))
        others["rescaled"] = {f"{float(key):g}": _number(value) for key, value in others.get("rescaled", {}).items()}
        return cls(**metrics, **others)  # type: ignore[arg-type]

    @classmethod
    def load(cls, file: Path) -> "Results":
        """Reads a results.json.

        Raises:
            ValueError: It is something else.
        """
        try:
            return cls.from_dict(json.loads(file.read_text()))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is not the results.json of experiments.train ({error})") from error

    def save(self, file: Path) -> None:
        """Writes a JSON file, whole or not at all."""
        write_json(file, self.to_dict())


def write_json(file: Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON file, whole or not at all. What is not a number, as JSON knows none, is null."""
    unfinished = file.with_suffix(".partial")
    unfinished.write_text(json.dumps(_finite(values), indent=2, allow_nan=False) + "\n")
    unfinished.replace(file)


def _finite(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not isfinite(values) else values


def _number(value: Any) -> float:
    return nan if value is None else float(value)


def find_checkpoint(path: Path | str | None) -> Path:
    """Gives the checkpoint file; of a run's folder the one to use, of ``save_pretrained``'s the weights.

    Raises:
        FileNotFoundError: There is none.
    """
    if path is None:
        raise FileNotFoundError("ckpt is null; it must be a checkpoint or the folder of a run")
    if (Path(path) / CARD).is_file():
        return Path(path) / WEIGHTS
    file = Run(Path(path)).trained if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file} not found: ckpt must be a checkpoint or the folder of a run")
    return file


def read_checkpoint(file: Path) -> tuple[dict[str, Tensor], Card]:
    """Reads the weights of the network and the card.

    Raises:
        ValueError: The file is damaged, or something else.
    """
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if bad := archive.testzip():  # torch does not look at the checksums
                    raise ValueError(f"{file} is damaged (in {bad})")
        elif file.open("rb").read(2) == b"PK":
            raise ValueError(f"{file} is damaged: its end is missing")
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
        raise ValueError(f"{file} is not a checkpoint of experiments.train ({type(error).__name__})") from error
    return weights, card


def load_network(file: Path, trust: Sequence[str] = ()) -> tuple[nn.Module, Card]:
    """Makes the network of a checkpoint. The file is data: nothing that it names is called but the network's class.

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
    network: nn.Module = build(card.config["model"], trust, num_classes=len(card.classes))
    network.load_state_dict(weights)
    return network.eval(), card


def load_pretrained(folder: Path) -> tuple[nn.Module, Card]:
    """Makes the network of a folder that `report.weights` wrote, and the card of the run that it comes from.

    Raises:
        ValueError: A file is damaged, or says nothing of a run.
    """
    network = Network.from_pretrained(folder)
    try:
        card = Card.from_dict({f.name: network.about[f.name] for f in fields(Card)})
    except KeyError as error:
        raise ValueError(
            f"{folder / CARD} comes from no run: it lacks {error} (see experiments.report.weights)"
        ) from None
    return network, card
