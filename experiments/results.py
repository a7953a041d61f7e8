"""What results.json of a run holds."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import nan
from pathlib import Path
from typing import Any

from experiments.data.source import Fold
from experiments.files import write_json


@dataclass(frozen=True)
class Results:
    """What results.json holds.

    Attributes:
        name: Name of the run.
        seed: Seed of the run.
        monitor: Metric that results are reported by, such as ``"accuracy"``.
        classes: Names of the classes.
        test: Metrics on the test examples by name, ``"loss"`` among them; in JSON their names begin with ``test_``,
            and NaN is null.
        val: The same on the validation examples; in JSON their names begin with ``val_``.
        test_examples: Number of test examples.
        transformed: Amount → the monitored metric on test examples that are transformed by it.
        moved: Amount → how far the logits move when inputs are transformed by it, see `evaluation.measure.distance`.
        transformation: What the amounts are, such as ``"playback speed"``, see `data.transformation.named`.
        test_fold: The fold that was tested. ``None``: the set has no folds.
        folds: All folds of the set.
        parameters: Number of learned parameters.
        best_epoch: The epoch of the network, from 1.
        views: The views of each input that were tested, by the keys of conf/views.yaml. Empty: each input as it is.
        details: What the task reports class by class: ``confusion`` (counts; rows are the truth, columns the
            prediction), ``class_average_precision`` and others.
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
    test_examples: int
    transformed: dict[str, float] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)
    transformation: str = ""
    test_fold: Fold | None = None
    folds: list[Fold] = field(default_factory=list)
    parameters: int = 0
    best_epoch: int = 0
    views: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    epochs: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON: the metrics are ``test_accuracy``, ``val_accuracy``, …."""
        values = {f"{stage}_{name}": value for stage in ("test", "val") for name, value in getattr(self, stage).items()}
        return values | {key: value for key, value in asdict(self).items() if key not in ("test", "val")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Results":
        """Return the results of the values in JSON.

        Raises:
            TypeError: A value is missing or unknown.
        """
        names = {f.name for f in fields(cls)}
        metrics: dict[str, dict[str, float]] = {"test": {}, "val": {}}
        others = dict(values)
        for key in values:
            stage, _, name = key.partition("_")
            if key not in names and stage in metrics:
                metrics[stage][name] = number(others.pop(key))
        amounts = others.get("transformed", {}).items()
        others["transformed"] = {f"{float(key):g}": number(value) for key, value in amounts}
        return cls(**metrics, **others)  # type: ignore[arg-type]

    @classmethod
    def load(cls, file: Path) -> "Results":
        """Read a results.json.

        Raises:
            ValueError: It is something else.
        """
        try:
            return cls.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is not the results.json of experiments.train ({error})") from error

    def save(self, file: Path) -> None:
        """Write a JSON file, whole or not at all."""
        write_json(file, self.to_dict())


def number(value: Any) -> float:
    """Return a number that was read from JSON, where null stands for NaN."""
    return nan if value is None else float(value)
