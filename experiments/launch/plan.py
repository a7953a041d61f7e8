"""The trainings of a study, and their further tests."""

import hashlib
import json
import re
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NotRequired, TypedDict, get_args, get_origin, get_type_hints

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from experiments.answers import mistake
from experiments.arguments import readable
from experiments.config import check_numbers
from experiments.launch.job import Job, Test

WORDS = {str: "a text", int: "a whole number", int | float: "a number", int | str | None: "a fold"}


class Asked(TypedDict):
    """What conf/study/NAME.yaml says."""

    title: str
    about: str
    arms: dict[str, list[str]]
    overrides: list[str]
    choose: dict[str, list[Any]]
    fractions: list[int | float]
    seeds: list[int]
    folds: list[int | str | None]
    tests: NotRequired[dict[str, list[str]]]
    metrics: NotRequired[list[str]]


class Plan:
    """The trainings of a study.

    Args:
        cfg: The composed configuration, see conf/study.yaml.

    Attributes:
        keys: (arm, fraction, seed, fold) of every training.

    Raises:
        ValueError: The study lacks a key, has one that is unknown, or has a value of another form.
    """

    def __init__(self, cfg: DictConfig) -> None:
        study = asked(cfg)
        self.folder = Path(cfg.folder).expanduser()
        self.arms = {str(arm): given for arm, given in study["arms"].items()}
        self.tests = {str(name): given for name, given in study.get("tests", {}).items()}
        self.common, self.values = study["overrides"], study["choose"]
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


def asked(cfg: DictConfig) -> Asked:
    """Return what a study asks for, of which every value has its form.

    Raises:
        ValueError: A key is missing or unknown, or a value has another form.
    """
    study: Any = OmegaConf.to_container(cfg.study, resolve=True)
    study = {key: value for key, value in study.items() if value is not None}
    forms = get_type_hints(Asked)
    unknown = [f"{key} is unknown" for key in study if key not in forms]
    missing = [f"{key} is missing" for key in forms if key in Asked.__required_keys__ and key not in study]
    for wrong in unknown + missing:
        raise ValueError(f"study.{wrong}; a study has {', '.join(forms)}")
    for key, form in forms.items():
        if key in study and (line := mismatch(f"study.{key}", study[key], form)):
            raise ValueError(line)
    for key in "arms", "fractions", "seeds", "folds":
        if not study[key]:
            raise ValueError(f"study.{key}={study[key]} needs at least one entry; see --help")
    return study


def mismatch(key: str, value: Any, form: Any) -> str | None:
    """Return in one line which part of a value has not the form of a type annotation. ``None``: it has that form.

    Example:
        >>> mismatch("seeds", [0, "a"], list[int])
        'seeds[1]=a is not a whole number'
    """
    kind = get_origin(form)
    if kind in (list, dict):
        if not isinstance(value, kind):
            return f"{key}={value} is not a {'list' if kind is list else 'mapping'}"
        items = value.items() if kind is dict else ((f"[{place}]", item) for place, item in enumerate(value))
        parts = (
            mismatch(key + (name if kind is list else f".{name}"), item, get_args(form)[-1]) for name, item in items
        )
        return next(filter(None, parts), None)
    return None if form is Any or isinstance(value, form) else f"{key}={value} is not {WORDS[form]}"


@cache
def composed(overrides: tuple[str, ...]) -> tuple[int, str]:
    """Return the number of epochs of a training, and a digest of its configuration, by which runs are distinguished.

    Raises:
        ValueError: The overrides do not compose, or one has a wrong value.
    """
    read = readable(overrides)
    try:
        cfg = compose("train", read)
    except HydraException as error:
        raise ValueError(mistake("train", read)) from error
    check_numbers(cfg)
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
