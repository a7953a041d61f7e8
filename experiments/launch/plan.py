"""The trainings of a study, and their further tests."""

import hashlib
import json
import re
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from experiments.answers import mistake
from experiments.launch.job import Job, Test

KEYS = {"title", "about", "arms", "overrides", "choose", "fractions", "seeds", "folds"}  # of conf/study/NAME.yaml
OPTIONAL = {"tests", "metrics"}


class Plan:
    """The trainings of a study.

    Args:
        cfg: The composed configuration, see conf/study.yaml.

    Attributes:
        keys: (arm, fraction, seed, fold) of every training.

    Raises:
        ValueError: The study lacks a key, or has one that is unknown.
    """

    def __init__(self, cfg: DictConfig) -> None:
        study = OmegaConf.to_container(cfg.study, resolve=True)
        assert isinstance(study, dict)
        if unknown := sorted(study.keys() - KEYS - OPTIONAL):
            raise ValueError(f"study.{unknown[0]} is unknown; a study has {', '.join(sorted(KEYS | OPTIONAL))}")
        if missing := sorted(KEYS - study.keys()):
            raise ValueError(f"study.{missing[0]} is missing; a study has {', '.join(sorted(KEYS))}")
        if not all(study[key] for key in ("arms", "fractions", "seeds", "folds")):
            raise ValueError(
                "study.arms, fractions, seeds and folds need at least one entry each; [null] is the data's own fold"
            )
        for key in "arms", "fractions", "seeds", "folds", "metrics":
            if not isinstance(study.get(key, []), dict if key == "arms" else list):
                raise ValueError(f"study.{key}={study[key]} is not a {'mapping' if key == 'arms' else 'list'}")
        self.tests: dict[str, list[str]] = study.get("tests") or {}
        for what, entries in ("arm", study["arms"]), ("test", self.tests):
            if wrong := [name for name, given in entries.items() if not isinstance(given, list)]:
                raise ValueError(f"the {what} {wrong[0]!r} is not a list of overrides")
        self.folder, self.arms = (
            Path(cfg.folder).expanduser(),
            {str(arm): list(given) for arm, given in study["arms"].items()},
        )
        self.common, self.values = list(study["overrides"]), study["choose"]
        self.first = max(study["fractions"]), study["seeds"][0], study["folds"][0]  # where values are chosen
        self.keys = list(product(self.arms, study["fractions"], study["seeds"], study["folds"]))

    def job(self, key: tuple[str, float, int, Any], chosen: dict[str, Any], test: bool = True) -> Job:
        """Return a training. Arms that differ in their views alone share it.

        Args:
            key: Arm, fraction, seed and fold.
            chosen: Further overrides, key by key.
            test: Whether it is tested.
        """
        arm, fraction, seed, fold = key
        overrides = [
            *self._parts(arm)[0],
            *(f"{name}={json.dumps(value)}" for name, value in chosen.items()),  # null, true, and texts in quotes
            *(f"fraction={fraction}", f"seed={seed}"),
            *([] if fold is None else [f"data.test_fold={fold}"]),
        ]
        epochs, digest = composed(tuple(overrides))
        # The name of an arm is not in the name of the folder: a new name does not start a new run.
        parts = [f"share{fraction:g}", f"seed{seed}", *([] if fold is None else [f"fold{_slug(str(fold))}"]), digest]
        label = ", ".join([arm, f"{fraction:.0%}", f"seed {seed}", *([] if fold is None else [f"fold {fold}"])])
        values = "".join(f", {name}={value}" for name, value in chosen.items())
        return Job(label + values, self.folder / "_".join(parts), tuple(overrides), epochs, test)

    def tested(self, key: tuple[str, float, int, Any], job: Job) -> dict[str, Test]:
        """Return the tests of a training beside its own: on the views of the arm, named "", and the further tests."""
        _, views = self._parts(key[0])
        tests = {name: (*views, *overrides, "rescale=[]") for name, overrides in self.tests.items()}
        if views:
            tests[""] = tuple(views)
        return {
            name: Test(
                f"{job.name}, {name or 'on views'}",
                job.folder,
                overrides,
                f"{_slug(name or 'views')}_{_digest(overrides)}",
            )
            for name, overrides in tests.items()
        }

    def candidates(self, arm: str) -> list[tuple[dict[str, Any], Job]]:
        """Return all combinations of the values that an arm may take, with their trainings, which are not tested."""
        combinations = [dict(zip(self.values, values, strict=True)) for values in product(*self.values.values())]
        if len(combinations) == 1:
            return [(combinations[0], self.job((arm, *self.first), combinations[0]))]
        return [(values, self.job((arm, *self.first), values, test=False)) for values in combinations]

    def _parts(self, arm: str) -> tuple[list[str], list[str]]:
        """Return the overrides by which an arm is trained, and the views that it is tested on."""
        overrides = [*self.common, *self.arms[arm]]
        views = [override for override in overrides if override.startswith("views.")]
        return [override for override in overrides if override not in views], views


@cache
def composed(overrides: tuple[str, ...]) -> tuple[int, str]:
    """Return the number of epochs of a training, and a digest of its configuration, by which runs are distinguished.

    Raises:
        ValueError: The overrides do not compose.
    """
    try:
        cfg = compose("train", list(overrides))
    except HydraException as error:
        raise ValueError(mistake("train", list(overrides))) from error
    values = _without_nulls(OmegaConf.to_container(cfg, resolve=False))
    for key in "folder", "test", "hydra":
        values.pop(key, None)
    return cfg.trainer.max_epochs, _digest(values)


def _without_nulls(values: Any) -> Any:
    """Return values without keys that are null, so that a new key of a later version does not start new runs."""
    if isinstance(values, dict):
        return {key: _without_nulls(value) for key, value in values.items() if value is not None}
    return values


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")
