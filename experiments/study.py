"""Runs a grid of trainings and draws their results: `python -m experiments.study --help`."""

from experiments.answers import CONF, answer

if __name__ == "__main__":
    answer("study")  # help and mistyped keys, before the imports that take seconds

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.errors import one_line_errors
from experiments.launch.job import Job, Test
from experiments.launch.plan import Plan
from experiments.report.figures import draw
from experiments.report.gathered import cell_of, gathered
from experiments.report.grid import Arm, Study
from experiments.report.paired import against_first
from experiments.report.study_table import table
from experiments.report.tables import show
from experiments.results import Results
from experiments.run import Run
from experiments.training.tasks.task import is_share, shown
from experiments.trust import as_list


def choose(plan: Plan, arm: str) -> Arm:
    """Choose the values that were best on the validation examples; of equal ones, those of the least loss.

    Raises:
        ValueError: No training succeeded.
    """
    candidates = plan.candidates(arm)
    if len(candidates) == 1:
        return Arm([*plan.common, *plan.arms[arm]], chosen=candidates[0][0])
    cards = [(values, json.loads(job.file.read_text())) for values, job in candidates if job.file.exists()]
    if not cards:
        raise ValueError(f"no training of {arm} succeeded; see the log.txt in the folders of {plan.folder}")
    if len(cards) < len(candidates):
        print(f"{arm}: the choice is among {len(cards)} of {len(candidates)} runs; the others failed")
    if any(card["value"] is None for _, card in cards):
        raise ValueError("study.choose needs validation examples, and the data have none; leave it out")
    sign = -1 if cards[0][1]["config"]["task"]["mode"] == "min" else 1
    best, _ = max(cards, key=lambda pair: (sign * pair[1]["value"], -pair[1]["validation"]["loss"]))
    tried = {", ".join(f"{key}={value}" for key, value in values.items()): card["value"] for values, card in cards}
    return Arm([*plan.common, *plan.arms[arm]], chosen=best, tried=tried)


def study(cfg: DictConfig) -> tuple[Study, list[Job | Test]]:
    """Run a study, or continue it.

    Args:
        cfg: The composed configuration, see conf/study.yaml.

    Returns:
        The results, which are in study.json as well, and the trainings and tests that failed.

    Raises:
        ValueError: No training succeeded.
    """
    plan = Plan(cfg)
    plan.folder.mkdir(parents=True, exist_ok=True)
    launch = instantiate(cfg.launcher, _partial_=True)
    tries = [job for arm in plan.arms for _, job in plan.candidates(arm) if not job.test]
    failed = _run(tries, launch)
    arms = {arm: choose(plan, arm) for arm in plan.arms}
    jobs = {key: plan.job(key, arms[key[0]].chosen) for key in plan.keys}
    failed += _run(list(jobs.values()), launch)
    tests = {key: plan.tested(key, job) for key, job in jobs.items() if job.file.exists()}
    failed += _run([test for some in tests.values() for test in some.values()], launch)
    result = summary(cfg, arms, jobs, tests)
    result.save(plan.folder / "study.json")
    return result, failed


def summary(
    cfg: DictConfig,
    arms: dict[str, Arm],
    jobs: dict[tuple[str, float, int, Any], Job],
    tests: dict[tuple[str, float, int, Any], dict[str, Test]],
) -> Study:
    """Gather the results of the finished trainings and tests.

    Raises:
        ValueError: No training is finished.
    """
    others = {
        key: {name: Results.load(test.file) for name, test in tests[key].items() if test.file.exists()} for key in tests
    }
    results = {
        key: replace(Results.load(jobs[key].file), **_tested(others[key].pop("", None)))
        for key in tests
        if "" not in tests[key] or "" in others[key]
    }
    if not results:
        raise ValueError(f"no training of {cfg.name} succeeded; see the log.txt in the folders of {cfg.folder}")
    first = next(iter(results.values()))
    metric = first.monitor
    predictions = {
        key: tests[key][""].predictions if "" in tests[key] else Run(jobs[key].folder).predictions for key in results
    }
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
        cells=[
            cell_of(result, key[0], key[1], key[3], others[key], cfg.study.get("metrics") or ())
            for key, result in results.items()
        ],
        paired=against_first(list(arms), predictions, metric),
        paired_tests={
            name: against_first(list(arms), {key: tests[key][name].predictions for key in done}, metric)
            for name in cfg.study.get("tests") or {}
            if (done := [key for key in results if name in others[key]])
        },
    )


def _tested(results: Results | None) -> dict[str, Any]:
    """Return what a test on views replaces of the results of a training."""
    return {key: getattr(results, key) for key in ("test", "transformed", "moved", "views")} if results else {}


def _run(jobs: Sequence[Job | Test], launch: Callable[..., list[Job | Test]]) -> list[Job | Test]:
    first = {job.file: job for job in reversed(jobs)}
    jobs = [job for job in jobs if first[job.file] is job]  # arms that differ in views share the training of the first
    done = sum(job.file.exists() for job in jobs)
    if done:
        kind = "runs" if isinstance(jobs[0], Job) else "further tests"
        print(f"{done} of {len(jobs)} {kind} are finished already")

    def tell(job: Job | Test, well: bool) -> None:
        nonlocal done
        done += well
        print(
            f"{done}/{len(jobs)}  {job.name}: {_outcome(job) if well else f'failed, see {job.folder}/log.txt'}",
            flush=True,
        )

    return launch(jobs, tell=tell)


def _outcome(job: Job | Test) -> str:
    values = json.loads(job.file.read_text())
    if isinstance(job, Job) and not job.test:
        if values["value"] is None:
            return "not validated"
        return f"{values['monitor'].replace('_', ' ')} {shown(values['monitor'], values['value'])}"
    return f"test {values['monitor'].replace('_', ' ')} {shown(values['monitor'], values['test_' + values['monitor']])}"


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="study")
def main(cfg: DictConfig) -> None:
    """Run the command."""
    with one_line_errors():
        if cfg.runs:
            result, failed = gathered(cfg.name, as_list(cfg.runs)), list[Job | Test]()
            Path(cfg.folder).expanduser().mkdir(parents=True, exist_ok=True)
            result.save(Path(cfg.folder).expanduser() / "study.json")
        else:
            result, failed = study(cfg)
        columns, rows = table(result)
        if len(rows) < len(columns):  # a screen has more rows than columns
            columns, *rows = map(list, zip(columns, *rows, strict=True))
        unit = ", in percent" if is_share(result.metric) else ""
        show(f"{result.title}{unit}", columns, rows, heads=["training share"])
        print(result.spread)
        if result.paired:
            print(result.pairing)
        for title, file in draw(result, Path(cfg.folder).expanduser()).items():
            print(f"{file}: {title}")
        if failed:
            raise ValueError(f"{len(failed)} runs failed, such as {failed[0].name}; see {failed[0].folder}/log.txt")


if __name__ == "__main__":
    main()
