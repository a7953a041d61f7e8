"""Runs a grid of trainings and draws their results: `python -m experiments.study --help`."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import hydra
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.errors import one_line_errors
from experiments.launch.job import Job
from experiments.report.figures import draw
from experiments.report.gathered import cell_of, gathered
from experiments.report.grid import Arm, Study, table
from experiments.report.tables import show
from experiments.results import Results
from experiments.training.tasks.task import shown
from experiments.trust import as_list

KEYS = {"title", "about", "arms", "overrides", "choose", "fractions", "seeds", "folds"}  # of conf/study/NAME.yaml


class Grid:
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
        if unknown := sorted(study.keys() - KEYS):
            raise ValueError(f"study.{unknown[0]} is unknown; a study has {', '.join(sorted(KEYS))}")
        if missing := sorted(KEYS - study.keys()):
            raise ValueError(f"study.{missing[0]} is missing; a study has {', '.join(sorted(KEYS))}")
        if not all(study[key] for key in ("arms", "fractions", "seeds", "folds")):
            raise ValueError(
                "study.arms, fractions, seeds and folds need an entry each; a fold of null is that of the data"
            )
        for key in "arms", "fractions", "seeds", "folds":
            if not isinstance(study[key], dict if key == "arms" else list):
                raise ValueError(f"study.{key}={study[key]} is not a {'mapping' if key == 'arms' else 'list'}")
        if wrong := [arm for arm, given in study["arms"].items() if not isinstance(given, list)]:
            raise ValueError(f"the arm {wrong[0]!r} is not a list of overrides")
        self.folder, self.arms = (
            Path(cfg.folder).expanduser(),
            {str(arm): list(given) for arm, given in study["arms"].items()},
        )
        self.common, self.values = list(study["overrides"]), study["choose"]
        self.first = max(study["fractions"]), study["seeds"][0], study["folds"][0]  # where values are chosen
        self.keys = list(product(self.arms, study["fractions"], study["seeds"], study["folds"]))

    def job(self, key: tuple[str, float, int, Any], chosen: dict[str, Any], test: bool = True) -> Job:
        """Return a training.

        Args:
            key: Arm, fraction, seed and fold.
            chosen: Further overrides, key by key.
            test: Whether it is tested.
        """
        arm, fraction, seed, fold = key
        overrides = [
            *(*self.common, *self.arms[arm]),
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

    def candidates(self, arm: str) -> list[tuple[dict[str, Any], Job]]:
        """Return all combinations of the values that an arm may take, with their trainings, which are not tested."""
        combinations = [dict(zip(self.values, values, strict=True)) for values in product(*self.values.values())]
        if len(combinations) == 1:
            return [(combinations[0], self.job((arm, *self.first), combinations[0]))]
        return [(values, self.job((arm, *self.first), values, test=False)) for values in combinations]


@cache
def composed(overrides: tuple[str, ...]) -> tuple[int, str]:
    """Return the number of epochs of a training, and a digest of its configuration, by which runs are distinguished."""
    cfg = compose("train", list(overrides))
    values = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(values, dict)
    for key in "folder", "test", "hydra":
        values.pop(key, None)
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return cfg.trainer.max_epochs, digest


def choose(grid: Grid, arm: str) -> Arm:
    """Choose the values that were best on the validation examples; of equal ones, those of the least loss.

    Raises:
        ValueError: No training succeeded.
    """
    candidates = grid.candidates(arm)
    if len(candidates) == 1:
        return Arm([*grid.common, *grid.arms[arm]], chosen=candidates[0][0])
    cards = [(values, json.loads(job.file.read_text())) for values, job in candidates if job.file.exists()]
    if not cards:
        raise ValueError(f"no training of {arm} succeeded; see the log.txt in the folders of {grid.folder}")
    if any(card["value"] is None for _, card in cards):
        raise ValueError("study.choose needs validation examples, and the data have none; leave it out")
    sign = -1 if cards[0][1]["config"]["task"]["mode"] == "min" else 1
    best, _ = max(cards, key=lambda pair: (sign * pair[1]["value"], -pair[1]["validation"]["loss"]))
    tried = {", ".join(f"{key}={value}" for key, value in values.items()): card["value"] for values, card in cards}
    return Arm([*grid.common, *grid.arms[arm]], chosen=best, tried=tried)


def study(cfg: DictConfig) -> tuple[Study, list[Job]]:
    """Run a study, or continue it.

    Args:
        cfg: The composed configuration, see conf/study.yaml.

    Returns:
        The results, which are in study.json as well, and the trainings that failed.

    Raises:
        ValueError: No training succeeded.
    """
    grid = Grid(cfg)
    grid.folder.mkdir(parents=True, exist_ok=True)
    launch = instantiate(cfg.launcher, _partial_=True)
    tries = [job for arm in grid.arms for _, job in grid.candidates(arm) if not job.test]
    failed = _run(tries, launch)
    arms = {arm: choose(grid, arm) for arm in grid.arms}
    jobs = {key: grid.job(key, arms[key[0]].chosen) for key in grid.keys}
    failed += _run(list(jobs.values()), launch)
    result = summary(cfg, arms, jobs)
    result.save(grid.folder / "study.json")
    return result, failed


def summary(cfg: DictConfig, arms: dict[str, Arm], jobs: dict[tuple[str, float, int, Any], Job]) -> Study:
    """Gather the results of the finished trainings.

    Raises:
        ValueError: No training is finished.
    """
    results = {key: Results.load(job.file) for key, job in jobs.items() if job.file.exists()}
    if not results:
        raise ValueError(f"no training of {cfg.name} succeeded; see the log.txt in the folders of {cfg.folder}")
    first = next(iter(results.values()))
    metric = first.monitor
    parameters = {arm: r.parameters for (arm, *_), r in results.items()}
    return Study(
        name=cfg.name,
        title=cfg.study.title,
        about=cfg.study.about,
        metric=metric,
        transformation=first.transformation,
        test_examples=first.test_examples,
        chance=1 / len(first.classes) if metric == "accuracy" else None,
        missing=len(jobs) - len(results),
        arms={name: Arm(arm.overrides, parameters.get(name, 0), arm.chosen, arm.tried) for name, arm in arms.items()},
        cells=[cell_of(result, key[0], key[1], key[3]) for key, result in results.items()],
    )


def _run(jobs: Sequence[Job], launch: Callable[..., list[Job]]) -> list[Job]:
    done = sum(job.file.exists() for job in jobs)
    if done:
        print(f"{done} of {len(jobs)} runs are finished already")

    def tell(job: Job, well: bool) -> None:
        nonlocal done
        done += well
        print(
            f"{done}/{len(jobs)}  {job.name}: {_outcome(job) if well else f'failed, see {job.folder}/log.txt'}",
            flush=True,
        )

    return launch(jobs, tell=tell)


def _outcome(job: Job) -> str:
    values = json.loads(job.file.read_text())
    if not job.test:
        if values["value"] is None:
            return "not validated"
        return f"{values['monitor'].replace('_', ' ')} {shown(values['monitor'], values['value'])}"
    return f"test {values['monitor'].replace('_', ' ')} {shown(values['monitor'], values['test_' + values['monitor']])}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="study")
def main(cfg: DictConfig) -> None:
    """Run the command."""
    with one_line_errors():
        if cfg.runs:
            result, failed = gathered(cfg.name, as_list(cfg.runs)), list[Job]()
            Path(cfg.folder).expanduser().mkdir(parents=True, exist_ok=True)
            result.save(Path(cfg.folder).expanduser() / "study.json")
        else:
            result, failed = study(cfg)
        columns, rows = table(result)
        if len(rows) < len(columns):  # a screen has more rows than columns
            columns, *rows = map(list, zip(columns, *rows, strict=True))
        show(f"{result.title}, in percent", columns, rows, heads=["training share"])
        print(result.spread)
        for title, file in draw(result, Path(cfg.folder).expanduser()).items():
            print(f"{file}: {title}")
        if failed:
            raise ValueError(f"{len(failed)} runs failed, such as {failed[0].name}; see {failed[0].folder}/log.txt")


if __name__ == "__main__":
    main()
