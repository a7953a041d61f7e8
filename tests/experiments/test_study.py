"""A study runs its grid, chooses on validation, skips what is finished, and survives a kill."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from experiments.launch import local as pool
from experiments.launch.job import Job, Test, config_dir
from experiments.launch.plan import Plan, composed
from experiments.report.grid import Arm, Cell, Study
from experiments.report.study_table import table
from experiments.results import Results
from experiments.run import Run
from experiments.study import choose
from tests.experiments.runs import CONF, evaluated, tiny
from tests.experiments.studies import ARMS, arguments, in_this_process, run_study
from tests.slow import quickly

fork = multiprocessing.get_context("fork")
STUDIES = sorted(file.stem for file in (CONF / "study").glob("*.yaml"))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines of the trainings, which are done in this process."""
    seen: list[list[str]] = []

    def run(jobs: Sequence[Job | Test], processes: int, tell: Callable[[Job | Test, bool], None]) -> list[Job | Test]:
        seen.extend(job.arguments for job in {job.file: job for job in jobs if not job.file.exists()}.values())
        return in_this_process(jobs, processes, tell)

    monkeypatch.setattr(pool, "run", run)
    return seen


def test_a_new_key_that_is_null_does_not_start_new_runs() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        former, later, other = (composed((given,))[1] for given in ("seed=0", "+views.new=null", "+views.new=1"))
    assert former == later != other


def test_a_grid_chooses_on_validation_and_tests_no_other(
    sounds: Path, tmp_path: Path, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    grid: dict[str, Any] = {"choose": {"optimizer.lr": [0.001, 0.0]}, "fractions": [0.5, 1.0]}
    result, failed = run_study(*arguments(sounds, tmp_path, **grid))
    assert not failed and result.missing == 0
    assert {(c.arm, c.fraction, c.seed, c.fold) for c in result.cells} == {
        (arm, fraction, 3, 2) for arm in ("one", "other") for fraction in (0.5, 1.0)
    }
    tried = [json.loads(file.read_text()) for file in tmp_path.glob("*/validation.json")]
    assert len(tried) == 4 and len(list(tmp_path.glob("*/results.json"))) == 4
    for name, arm in result.arms.items():
        batch = 4 if name == "other" else 8
        cards = {card["config"]["optimizer"]["lr"]: card for card in tried if card["config"]["batch_size"] == batch}
        assert arm.tried == {f"optimizer.lr={lr}": card["value"] for lr, card in cards.items()}
        best = max(cards, key=lambda lr: (cards[lr]["value"], -cards[lr]["validation"]["loss"]))
        assert arm.chosen == {"optimizer.lr": best}
    assert sum("test=false" in command for command in commands) == 4
    assert sum(command[0].startswith("resume=") for command in commands) == 2  # what was chosen is not trained again
    assert len(commands) == 8
    assert Study.load(tmp_path / "study.json") == result
    test = {(cell.arm, cell.fraction): cell.test for cell in result.cells}
    assert {(one.arm, one.against, one.fraction, one.examples) for one in result.paired} == {
        ("other", "one", fraction, 3) for fraction in (0.5, 1.0)
    }
    for one in result.paired:  # the examples that both runs were tested on
        assert one.difference == pytest.approx(test["other", one.fraction] - test["one", one.fraction], abs=2e-5)
    assert "4/4" in capsys.readouterr().out

    commands.clear()  # again: nothing is left to do; a new name is no new run, another configuration is
    renamed = {"new" if name == "one" else name: arm for name, arm in ARMS.items()}
    again, _ = run_study(*arguments(sounds, tmp_path, **grid, arms=renamed))
    assert commands == [] and [c.test for c in again.cells] == [c.test for c in result.cells]
    run_study(*arguments(sounds, tmp_path, arms={"one": ["model=mnet", "model.depth=3", "batch_size=7"]}))
    assert len(commands) == 1


@pytest.mark.slow
def test_arms_on_views_share_a_training_and_all_are_tested_elsewhere(
    sounds: Path, tmp_path: Path, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    arms = {"plain": ["batch_size=4"], "on two": ["batch_size=4", "views.num_scales=2", "views.mode=max"]}
    tests = {"slow, or not": ["data.test_fold=3"]}
    grid: dict[str, Any] = {"arms": arms, "tests": tests, "metrics": ["balanced_accuracy"]}
    result, failed = run_study(*arguments(sounds, tmp_path, **grid))
    assert not failed and len(commands) == 4  # one training, two further tests, and one on views
    assert capsys.readouterr().out.startswith("1/1  plain, ")
    plain, views = result.cells
    (folder,) = tmp_path.glob("share*")
    assert plain.test == pytest.approx(Results.load(folder / "results.json").test["accuracy"], abs=1e-5)
    for cell, asked in (plain, []), (views, ["views.num_scales=2", "views.mode=max", "as_is=false"]):
        for fold, test in (2, cell.test), (3, cell.tests["slow, or not"]["accuracy"]):
            changes = [f"ckpt={folder}", f"++data.test_fold={fold}", f"output={tmp_path}/again", "rescale=[]", *asked]
            again = evaluated(*changes).test
            assert test == pytest.approx(again["accuracy"], abs=1e-5)
            further = cell.further if fold == 2 else cell.tests["slow, or not"]
            assert further["balanced_accuracy"] == pytest.approx(again["balanced_accuracy"], abs=1e-5)
    columns, rows = table(result)
    assert {"balanced accuracy", "slow, or not", "slow, or not balanced accuracy"} <= set(columns)
    with pytest.raises(ValueError, match=r"no metric dice for study\.metrics, but accuracy"):
        run_study(*arguments(sounds, tmp_path, **grid | {"metrics": ["dice"]}))
    assert [row[0] for row in rows] == ["plain", "on two"]
    assert Study.load(tmp_path / "study.json") == result
    assert [one.difference for one in result.paired] == pytest.approx([views.test - plain.test], abs=2e-5)
    (elsewhere,) = result.paired_tests["slow, or not"]
    places = [cell.tests["slow, or not"]["accuracy"] for cell in (views, plain)]
    assert elsewhere.difference == pytest.approx(places[0] - places[1], abs=2e-5)
    (predictions,) = folder.glob("views_*_predictions.csv")
    right = pd.read_csv(predictions)
    right.assign(predicted=right["truth"]).to_csv(predictions, index=False)
    commands.clear()
    resumed, _ = run_study(*arguments(sounds, tmp_path, **grid))
    assert commands == []
    assert [one.difference for one in resumed.paired] == pytest.approx([1 - plain.test], abs=2e-5)  # of the arm's views


@pytest.mark.slow
def test_a_study_without_validation(sounds: Path, tmp_path: Path, commands: list[list[str]]) -> None:
    settings = [
        *tiny(sounds, "model=mnet", "model.depth=3"),
        "trainer.max_epochs=1",
        "wavelet_loss=0",
        "data.val_fold=false",
    ]
    result, failed = run_study(*arguments(sounds, tmp_path, overrides=settings))
    assert not failed and [cell.val for cell in result.cells] == [None, None]
    assert Study.load(tmp_path / "study.json") == result
    with pytest.raises(ValueError, match="choose needs validation examples"):
        run_study(*arguments(sounds, tmp_path, overrides=settings, choose={"optimizer.lr": [0.001, 0.0]}))


@pytest.mark.slow
def test_a_killed_study_leaves_no_training_at_work_and_goes_on(
    sounds: Path, tmp_path: Path, commands: list[list[str]]
) -> None:
    command = arguments(sounds, tmp_path, epochs=5)
    start = [sys.executable, "-m", "experiments.study", *command, "processes=1"]
    process = subprocess.Popen(start, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("1/2  one, 100%, seed 3, fold 2: test accuracy ")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (finished,) = tmp_path.glob("*/results.json")
    before = finished.stat().st_mtime_ns
    for folder in tmp_path.glob("*_*"):
        with Run(folder).held():  # within seconds, or it is an error
            pass
    result, _ = run_study(*command)
    assert len(commands) == 1 and result.missing == 0
    assert finished.stat().st_mtime_ns == before


def job(folder: Path, name: str) -> Job:
    return Job(name, folder / name, ("model=mnet", "model.depth=3"), 3)


@pytest.mark.parametrize("processes", [0, -1, 1.5, "many"])
def test_a_wrong_number_of_processes(processes: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"processes={processes} is not a whole number above 0"):
        pool.run([job(tmp_path, "a")], processes)


def test_processes_take_turns_and_failures_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[Any] = []
    most, gpus, reported = [], [], {}

    def start(job: Job, gpu: str | None) -> Any:
        def work() -> None:
            if job.name == "bad":
                os._exit(1)
            job.folder.mkdir()
            job.file.touch()

        process = fork.Process(target=work)
        process.start()
        running.append(process)
        most.append(sum(p.exitcode is None for p in running))
        gpus.append(gpu)
        return process

    monkeypatch.setattr(pool, "start", start)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    jobs = [job(tmp_path, name) for name in ("a", "bad", "b", "c", "d", "done", "a")]
    jobs[5].folder.mkdir()
    jobs[5].file.touch()
    failed = pool.run(jobs, 2, lambda job, well: reported.update({job.name: well}))
    assert failed == [jobs[1]]
    assert reported == {"a": True, "bad": False, "b": True, "c": True, "d": True}
    assert max(most) == 2 and set(gpus) == {"4", "7"}


def test_what_another_process_finishes_meanwhile_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job(tmp_path, name) for name in "abc"]
    started, reported = [], []

    def start(job: Job, gpu: str | None) -> Any:
        def work() -> None:
            for finished in {job, jobs[1]}:  # the other process finishes b while this one is at a
                finished.folder.mkdir(exist_ok=True)
                finished.file.touch()

        started.append(job.name)
        process = fork.Process(target=work)
        process.start()
        return process

    monkeypatch.setattr(pool, "start", start)
    assert pool.run(jobs, 1, lambda job, well: reported.append((job.name, well))) == []
    assert started == ["a", "c"]
    assert reported == [("a", True), ("b", True), ("c", True)]


def test_a_training_that_another_process_has_begun_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, started = [job(tmp_path, name) for name in "ab"], []
    other = Run(jobs[0].folder).held()
    other.__enter__()

    def start(job: Job, gpu: str | None) -> Any:
        started.append(job.name)
        job.folder.mkdir(exist_ok=True)
        job.file.touch()
        if job.name == "b":  # the other process ends without having finished
            other.__exit__(None, None, None)
        process = fork.Process(target=int)
        process.start()
        return process

    monkeypatch.setattr(pool, "start", start)
    assert pool.run(jobs, 1) == []
    assert started == ["b", "a"]


def test_ctrl_c_ends_a_study_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(job: Job, gpu: str | None) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "start", start)
    with pytest.raises(SystemExit) as end:
        pool.run([job(tmp_path, "a")], 1)
    assert end.value.code == 130 and capsys.readouterr().err.strip() == "interrupted; the same command continues"


def test_a_training_has_one_thread_and_one_gpu_and_the_study_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Process:
        def __init__(self, target: object, args: object) -> None: ...

        def start(self) -> None:
            seen.append((os.environ["OMP_NUM_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"]))

    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Process", Process, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pool.start(job(tmp_path, "a"), "3")
    assert seen == [("1", "3")]
    assert os.environ["OMP_NUM_THREADS"] == "5" and "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x": 1}, "study.x is unknown"),
        ({"choose": None}, "study.choose is missing"),
        ({"seeds": []}, r"study.seeds=\[\] needs at least one entry"),
        ({"seeds": [0, "a"]}, r"study.seeds\[1\]=a is not a whole number"),
        ({"seeds": [-1]}, "seed=-1 is not a whole number of at least 0"),
        ({"fractions": ["a"]}, r"study.fractions\[0\]=a is not a number"),
        ({"folds": [1.5]}, r"study.folds\[0\]=1.5 is not a fold"),
        ({"overrides": 5}, "study.overrides=5 is not a list"),
        ({"choose": {"optimizer.lr": 0.1}}, "study.choose.optimizer.lr=0.1 is not a list"),
        ({"arms": {"one": ["model=mnet,cnn"]}}, "model=mnet,cnn has several values"),
        ({"fractions": 0.1}, "study.fractions=0.1 is not a list"),
        ({"arms": ["one"]}, r"study.arms=\['one'\] is not a mapping"),
        ({"arms": {"one": "model=mnet"}}, "study.arms.one=model=mnet is not a list"),
        ({"metrics": "auroc"}, "study.metrics=auroc is not a list"),
        ({"tests": {"one": "data=csv"}}, "study.tests.one=data=csv is not a list"),
    ],
)
def test_a_wrong_study_is_named(wrong: dict[str, Any], message: str, sounds: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        run_study(*arguments(sounds, tmp_path, **wrong))


def test_overrides_of_a_study_are_read_as_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert composed(("augment=null", "name=été", "data=csv", "data.root=~/x")) == composed(
            ("augment=[]", 'name="été"', "data=csv", "data.root=/home/me/x")
        )


def test_values_that_are_no_numbers_are_chosen_as_they_are() -> None:
    chosen = {"optimizer.lr": 0.003, "rescale": None, "test": False, "name": "a, b"}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("study", ["study=speeds"], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        plan = Plan(cfg)
        run = compose("train", list(plan.job(plan.keys[0], chosen).overrides))
    assert {key: OmegaConf.select(run, key) for key in chosen} == chosen
    arm = Arm([], 1, chosen)
    cells = [Cell("a", 1.0, 0, None, 1, 1.0, None, 0.5, {}, {})]
    columns, rows = table(Study("s", "", "", "accuracy", "size", 1, None, 0, {"a": arm}, cells))
    assert rows[0][columns.index("chosen on validation")] == "lr 0.003, rescale None, test False, name a, b"


def test_a_choice_among_some_of_the_values_says_so(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = arguments(sounds, tmp_path, choose={"optimizer.lr": [0.1, 0.2, 0.3]})
        cfg = compose("study", overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        plan = Plan(cfg)
        for (_, job), value in zip(plan.candidates("one"), (0.5, 0.7), strict=False):
            job.folder.mkdir()
            card = {"value": value, "validation": {"loss": 1.0}, "config": {"task": {"mode": "max"}}}
            job.file.write_text(json.dumps(card))
        assert choose(plan, "one").chosen == {"optimizer.lr": 0.2}
    assert capsys.readouterr().out == "one: the choice is among 2 of 3 runs; the others failed\n"


def test_a_training_has_the_configurations_of_the_user() -> None:
    for given in ["--config-dir", "mine"], ["--config-dir=mine"], ["-cd", "mine"]:
        assert config_dir([*given, "study=own"]) == ["--config-dir", "mine"]
    assert config_dir(["study=own", "processes=1"]) == []


@pytest.mark.parametrize("name", quickly(STUDIES, "speeds", "urbansound8k", "vessels"))
def test_every_study_composes(name: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("study", [f"study={name}", "study.seeds=[0]", "study.fractions=[1.0]"], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        plan = Plan(cfg)
        folders = [plan.job(key, {}).folder for key in plan.keys]
        folders += [job.folder for arm in plan.arms for _, job in plan.candidates(arm)]
        trainings = {(*(o for o in plan.arms[arm] if not o.startswith("views.")), *rest) for arm, *rest in plan.keys}
    assert len(set(folders)) >= len(trainings)
    assert cfg.name == name
