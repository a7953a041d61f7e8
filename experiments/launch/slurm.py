"""Trainings as a job array of Slurm, which requeues those that it interrupts."""

import os
import shutil
import subprocess
import sys
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from experiments.launch.job import Job, Test, config_dir, epochs_done, work

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

EVERY = 5.0  # seconds between two looks at the queue
MOST = 1000  # jobs in an array: below Slurm's MaxArraySize, which is 1001 unless a cluster sets it
ATTEMPTS = 3  # that may be interrupted one after the other before an epoch ends
ENDING = "ending"  # or about to be queued again: Slurm says COMPLETING of both


def run(
    jobs: Sequence[Job | Test],
    tell: Callable[[Job | Test, bool], None] = lambda job, well: None,
    *,
    partition: str | None = None,
    gpus: int = 0,
    cpus: int = 1,
    memory: str | None = None,
    time: int = 1440,
    parallel: int | None = None,
    sbatch: Mapping[str, Any] | None = None,
) -> list[Job | Test]:
    """Run the trainings or tests that are not finished, and return those that failed. Ctrl-C leaves them to Slurm.

    Those that an earlier call has submitted, and that are still queued or running, are not submitted again.

    Args:
        jobs: The trainings or tests, whose folders are in one folder.
        tell: Function that is called with each that has ended, and whether it succeeded.
        partition: The partition. ``None``: that of the cluster.
        gpus: Number of GPUs of each training, which has one process for each of them.
        cpus: Number of cores of each process.
        memory: Memory of each training, such as ``"16G"``. ``None``: that of the cluster.
        time: Minutes after which a training is requeued.
        parallel: Number of trainings at a time, of each thousand. ``None``: as many as Slurm starts.
        sbatch: Further options of ``sbatch``.

    Raises:
        ValueError: A value is wrong, there is no Slurm, or it refuses the jobs.
    """
    unfinished = {_key(job): job for job in jobs if not job.file.exists()}
    if not unfinished:
        return []
    for name, value, what, least in (
        *(("time", time, "minutes", 1), ("gpus", gpus, "GPUs", 0)),
        *(("cpus", cpus, "cores", 1), ("parallel", parallel or 1, "runs", 1)),
    ):
        if type(value) is not int or value < least:
            raise ValueError(f"launcher.{name}={value} is not a number of {what}, at least {least}")
    if not isinstance(sbatch or {}, Mapping):
        raise ValueError(f"launcher.sbatch={sbatch} is not a mapping; write launcher.sbatch={{account:mine}}")
    _check_slurm()
    folder = next(iter(unfinished.values())).folder.parent / "slurm"
    queued = {key: id for key, id in _submitted(folder).items() if key in unfinished}
    ids = {unfinished[key]: id for key, id in queued.items()}
    if ids:
        print(f"{len(ids)} runs are queued or running in Slurm already", flush=True)
    if new := [job for key, job in unfinished.items() if key not in queued]:
        options = {
            **{"partition": partition, "gpus_per_node": gpus or None, "ntasks_per_node": max(gpus, 1)},
            **{"cpus_per_task": cpus, "mem": memory, "time": time, "array_parallelism": parallel or len(new)},
            # srun does not take the cores from sbatch, and torch would take all cores of the machine.
            **{"srun_args": [f"--cpus-per-task={cpus}"], "setup": [f"export OMP_NUM_THREADS={cpus}"]},
            **{"additional_parameters": {"requeue": True, **(sbatch or {})}, "job_name": folder.parent.name},
        }
        ids |= dict(zip(new, _submit(new, folder, options), strict=True))
        print(
            f"{len(new)} runs are in Slurm's queue, each with {gpus} GPUs and {cpus * max(gpus, 1)} cores", flush=True
        )
    try:
        return _wait(ids, folder, tell)
    except KeyboardInterrupt:
        numbers = " ".join(sorted({id.split("_")[0] for id in ids.values()}))
        print(
            f"interrupted; Slurm goes on with the runs. The same command waits for them, scancel {numbers} ends them",
            file=sys.stderr,
        )
        raise SystemExit(130) from None


@dataclass
class Submission:
    """A training or a test as Slurm starts it, each time that it is queued."""

    job: Job | Test
    config_dir: list[str]
    began: int = 0  # epochs that were done at the start
    attempts: int = 0  # that have completed no epoch, the last ones

    def __call__(self) -> None:
        """Train, or continue, or test; nothing if that was done elsewhere meanwhile."""
        self.began = epochs_done(self.job)
        one_of_several = os.environ.get("SLURM_PROCID", "0") != "0"
        if not self.job.file.exists() and not (one_of_several and isinstance(self.job, Test)):  # one process tests
            work(self.job, self.config_dir)

    def checkpoint(self) -> "DelayedSubmission":
        """Return what is queued again: submitit calls it shortly before the time is up.

        Raises:
            ValueError: Nothing advances.
        """
        from submitit.core.utils import DelayedSubmission

        self.attempts = 0 if epochs_done(self.job) > self.began else self.attempts + 1
        if self.attempts == ATTEMPTS:
            raise ValueError(f"no epoch ended in {ATTEMPTS} attempts; a higher launcher.time=… is needed")
        return DelayedSubmission(self)


def queue() -> dict[str, str]:
    """Return the state of all jobs of the user that are queued or running, and why those that are queued wait.

    Raises:
        OSError: Slurm does not answer.
    """
    command = ["squeue", "--me", "--array", "--noheader", "--format=%i %T %r"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"Slurm does not answer: {done.stderr.strip() or f'squeue ended with {done.returncode}'}")
    states = {}
    for line in done.stdout.splitlines():
        id, state, *reason = line.split(maxsplit=2)
        states[id] = {"PENDING": f"queued ({' '.join(reason)})", "COMPLETING": ENDING}.get(state, state.lower())
    return states


def _check_slurm() -> None:
    if shutil.which("sbatch") is None:
        raise ValueError("launcher=slurm needs sbatch, which this machine lacks; start the study where Slurm is")
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ImportError("launcher=slurm needs pip install 'wavenets[slurm]'") from None


def _key(job: Job | Test) -> tuple[str, ...]:
    return job.file.parts[-2:]  # from whatever folder the study is started


def _submitted(folder: Path) -> dict[tuple[str, ...], str]:
    """Return the ids of the jobs that are queued or running."""
    import submitit

    submitted = {}
    for job in [submitit.SlurmJob[None](folder, id) for id in queue()]:
        if job.paths.submitted_pickle.exists():
            submission: Any = job.submission().function
            submitted[_key(submission.job)] = job.job_id
    return submitted


def _submit(jobs: Sequence[Job | Test], folder: Path, options: Mapping[str, Any]) -> list[str]:
    """Submit jobs as job arrays, and return their ids."""
    import submitit

    executor = submitit.SlurmExecutor(folder, max_num_timeout=1000)  # Submission.checkpoint decides
    executor.update_parameters(**{key: value for key, value in options.items() if value is not None})
    try:
        with redirect_stderr(StringIO()):  # of sbatch, which is in the error
            submissions = [Submission(job, config_dir(sys.argv)) for job in jobs]
            arrays = [submissions[first : first + MOST] for first in range(0, len(submissions), MOST)]
            return [job.job_id for array in arrays for job in executor.submit_array(array)]
    except submitit.core.utils.FailedJobError as error:
        raise ValueError(f"Slurm refuses the runs: {' '.join(str(error).split())}") from error


def _wait(ids: dict[Job | Test, str], folder: Path, tell: Callable[[Job | Test, bool], None]) -> list[Job | Test]:
    """Wait until all jobs have ended, and return those that failed."""
    failed, gone, waiting = [], set[Job | Test](), dict(ids)
    with _view() as show:
        while waiting:
            clock.sleep(EVERY)
            try:
                states = queue()
            except OSError:
                continue  # Slurm is restarted now and then
            show({job: states.get(id, ENDING) for job, id in waiting.items()})
            left = {job for job, id in waiting.items() if id not in states}
            for job, id in list(waiting.items()):
                done = states.get(id, ENDING) == ENDING and _exists(job.file)
                if done or job in left & gone:  # the second look is for file systems that are slow
                    del waiting[job]
                    if not done:
                        failed.append(job)
                        _keep_log(job, id, folder)
                    tell(job, done)
            gone = left
    return failed


def _exists(file: Path) -> bool:
    """Return whether a file exists. Its folder is read, since network file systems remember files that do not."""
    return file.parent.is_dir() and file.name in os.listdir(file.parent)


def _keep_log(job: Job | Test, id: str, folder: Path) -> None:
    """Append Slurm's own log, which says what has ended the job, to log.txt."""
    import submitit

    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / "log.txt").open("a") as file:
        file.write(submitit.SlurmJob[None](folder, id).stderr() or f"Slurm's job {id} left no log\n")


@contextmanager
def _view() -> Iterator[Callable[[Mapping[Job | Test, str]], None]]:
    """Show what is running and what is queued: as a table in a terminal, and elsewhere line by line."""
    console, before = Console(stderr=True), dict[Job | Test, str]()
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(states: Mapping[Job | Test, str]) -> None:
            running_first = sorted(states, key=lambda job: states[job].startswith("queued"))
            table = Table("run", "in Slurm", "epochs")
            for job in running_first:
                table.add_row(job.name, states[job], f"{epochs_done(job)}/{job.epochs}")
                word = states[job].split()[0]
                if word not in (before.get(job), ENDING) and not console.is_terminal:
                    print(f"{job.name}: {word}", flush=True)
                before[job] = word
            live.update(table, refresh=console.is_terminal)

        yield show
