"""Trainings through a real Slurm are those of this machine, whatever interrupts them."""

import pickle
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only

from experiments.launch import local, slurm
from experiments.launch.job import Job, epochs_done
from experiments.report.grid import Study
from experiments.run import Run
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.trainer import make_trainer
from tests.experiments.launch.waiting import until
from tests.experiments.runs import assert_same_run, composed, run, short
from tests.experiments.studies import arguments, in_this_process, run_study


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "EVERY", 0.5)
    monkeypatch.setattr("sys.argv", ["experiments.study"])


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_study_that_is_interrupted_and_started_again(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*arguments(sounds, tmp_path / "study"), "name=mine", "launcher=slurm"]

    def interrupt(seconds: float) -> None:  # as Ctrl-C does, also where the process ignores its signal
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(slurm.clock, "sleep", interrupt)
        run_study(*command)
    assert end.value.code == 130 and len(slurm.queue()) == 2
    out, err = capsys.readouterr()
    assert "2 runs are in Slurm's queue" in out and "The same command waits for them, scancel " in err

    result, failed = run_study(*command)
    out = capsys.readouterr().out
    assert "2 runs are queued or running in Slurm already" in out and "one, 100%, seed 3, fold 2: running" in out
    assert not failed and result.missing == 0 and slurm.queue() == {}
    run_study(*command)
    assert len(list((tmp_path / "study" / "slurm").glob("*_submission.sh"))) == 1

    monkeypatch.setattr(local, "run", in_this_process)
    here, _ = run_study(*arguments(sounds, tmp_path / "here"), "name=mine")
    assert untimed(result) == untimed(here)


def untimed(result: Study) -> Study:
    return replace(result, cells=[replace(cell, seconds=0) for cell in result.cells])


def held(sounds: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Return a file, and the overrides of a training of four epochs that waits at the third while the file exists."""
    hold = folder / "hold"
    hold.touch()
    waits = "+callbacks.hold._target_=tests.experiments.launch.waiting.Hold", f"+callbacks.hold.file={hold}"
    return hold, (*short(sounds), "trainer.max_epochs=4", *waits, "trust=[tests.experiments.launch.waiting]")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_training_that_is_requeued_ends_with_the_same_weights(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "MOST", 1)  # so that the two jobs are two arrays
    hold, overrides = held(sounds, tmp_path)
    job = Job("good", tmp_path / "study" / "good", overrides, 4)
    bad = Job("bad", tmp_path / "study" / "bad", (*overrides, "optimizer.lr=-1"), 4)
    reported: dict[str, bool] = {}
    log = job.folder / "log.txt"

    def starts(count: int) -> bool:
        return log.exists() and log.read_text().count("parameters, on cpu") >= count

    with ThreadPoolExecutor() as pool:
        failed = pool.submit(slurm.run, [job, bad], lambda job, well: reported.update({job.name: well}))
        until(lambda: epochs_done(job) == 2)
        id = slurm._submitted(tmp_path / "study" / "slurm")[slurm._key(job)]
        subprocess.run(["scancel", "--signal=USR2", id], check=True)  # as before the time is up
        until(lambda: starts(2))
        preempting = ["sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap=true"]
        subprocess.run(preempting, check=True)
        until(lambda: starts(3))
        hold.unlink()
        assert failed.result(timeout=600) == [bad]
    assert reported == {"good": True, "bad": False}
    assert log.read_text().count("epoch   1/4") == 1  # it has continued, not begun again
    assert "error: optimizer.lr=-1 is not a number of at least 0" in (bad.folder / "log.txt").read_text()
    run(tmp_path / "undisturbed", *overrides)
    assert_same_run(tmp_path / "undisturbed", job.folder)


@pytest.mark.exhaustive  # Slurm counts in minutes
@pytest.mark.usefixtures("cluster")
def test_a_training_whose_time_is_up_is_requeued(sounds: Path, tmp_path: Path) -> None:
    hold, overrides = held(sounds, tmp_path)
    job = Job("a", tmp_path / "study" / "a", overrides, 4)
    log = job.folder / "log.txt"
    with ThreadPoolExecutor() as pool:
        failed = pool.submit(slurm.run, [job], time=2)
        until(lambda: log.exists() and log.read_text().count("parameters, on cpu") == 2)
        hold.unlink()
        assert failed.result(timeout=600) == []
    assert log.read_text().count("epoch   1/4") == 1


@pytest.mark.usefixtures("cluster")
def test_what_slurm_refuses_or_cancels(sounds: Path, tmp_path: Path) -> None:
    job = Job("a", tmp_path / "study" / "a", (), 1)
    with pytest.raises(ValueError, match="Slurm refuses the runs: sbatch: error: invalid partition specified: none"):
        slurm.run([job], partition="none")
    with ThreadPoolExecutor() as pool:
        failed = pool.submit(slurm.run, [job], sbatch={"begin": "now+1hour", "comment": "mine"}, memory="1M")
        until(lambda: "queued (BeginTime)" in slurm.queue().values())
        (id,) = (id for id, state in slurm.queue().items() if state == "queued (BeginTime)")
        subprocess.run(["scancel", id], check=True)
        assert failed.result(timeout=600) == [job]
    assert "left no log" in (job.folder / "log.txt").read_text()
    assert "--comment=mine" in (tmp_path / "study" / "slurm" / f"{id}_submission.sh").read_text()


def test_a_training_that_does_not_advance_is_given_up(tmp_path: Path) -> None:
    training = slurm.Submission(Job("a", tmp_path, (), 9), [])
    for epochs in 0, 0, 1, 0, 0:  # completed in each attempt; after one, two more attempts are allowed
        training.began = epochs_done(training.job)
        Run(tmp_path).metrics.write_text("epoch\n" + "0\n" * (training.began + epochs))
        training = pickle.loads(pickle.dumps(training.checkpoint().function))
    with pytest.raises(ValueError, match=r"no epoch ended in 3 attempts; a higher launcher.time"):
        training.began = epochs_done(training.job)
        training.checkpoint()


def test_a_training_that_is_finished_meanwhile_is_not_started(tmp_path: Path) -> None:
    job = Job("a", tmp_path, ("nonsense=1",), 9)
    job.file.touch()
    slurm.Submission(job, [])()
    assert slurm.run([job]) == [] and not (tmp_path / "log.txt").exists()


def test_a_machine_without_slurm(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="launcher=slurm needs sbatch, which this machine lacks"):
        run_study(*arguments(sounds, tmp_path), "launcher=slurm")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("time=1-00:00", "launcher.time=1-00:00 is not a number of minutes, at least 1"),
        ("gpus=-1", "launcher.gpus=-1 is not a number of GPUs, at least 0"),
        ("cpus=abc", "launcher.cpus=abc is not a number of cores, at least 1"),
        ("parallel=0.5", "launcher.parallel=0.5 is not a number of runs, at least 1"),
        ("sbatch=abc", r"launcher.sbatch=abc is not a mapping; write launcher.sbatch=\{account:mine\}"),
    ],
)
def test_a_wrong_value_is_named(wrong: str, message: str, sounds: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        run_study(*arguments(sounds, tmp_path), "launcher=slurm", f"launcher.{wrong}")


def test_one_training_on_several_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning takes from Slurm which of the processes this is."""
    monkeypatch.setattr(rank_zero_only, "rank", 0)  # which Lightning sets for good, and other tests need back
    environment = {"JOB_ID": 12, "JOB_NAME": "a", "NTASKS": 4, "NTASKS_PER_NODE": 2, "NNODES": 2, "NODEID": 1}
    environment |= {"PROCID": 3, "LOCALID": 1, "NODELIST": "n[1-2]"}
    for name, value in environment.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    cfg = composed("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.num_nodes=2")
    trainer, _ = make_trainer(cfg, Run(tmp_path), MultiClass(3))
    assert (trainer.world_size, trainer.num_nodes, trainer.global_rank, trainer.local_rank) == (4, 2, 3, 1)


def test_a_training_that_continues_trusts_what_the_study_trusts(tmp_path: Path) -> None:
    job = Job("a", tmp_path, ("callbacks.mine._target_=mine.Mine", "trust=[mine]"), 1)
    assert job.arguments == [*job.overrides, f"folder={tmp_path}", "test=true"]
    Run(tmp_path).last.parent.mkdir()
    for file in Run(tmp_path).last, Run(tmp_path).config:
        file.touch()
    assert job.arguments == [f"resume={tmp_path}", "trust=[mine]", "test=true"]
