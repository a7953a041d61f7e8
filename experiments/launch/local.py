"""Trainings in separate processes, several at a time."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.cores import cores
from experiments.launch.job import Job, Test, config_dir, epochs_done, work
from experiments.run import Run


def devices() -> list[str]:
    """Return the GPUs that may be used."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]


def run(
    jobs: Sequence[Job | Test],
    processes: int | None = None,
    tell: Callable[[Job | Test, bool], None] = lambda job, well: None,
) -> list[Job | Test]:
    """Run the trainings or tests that are not finished, and return those that failed. Ctrl-C ends all.

    Args:
        jobs: The trainings or tests.
        processes: Number of them at a time, each with one thread; they share the GPUs. ``None``: as many as there are
            GPUs or, without GPUs, cores.
        tell: Function that is called with each that has ended, and whether it succeeded.

    Raises:
        ValueError: The number of processes is none.
    """
    if processes is not None and not (type(processes) is int and processes > 0):
        raise ValueError(f"processes={processes} is not a whole number above 0")
    waiting = list({job.file: job for job in jobs if not job.file.exists()}.values())  # each once
    gpus, running, failed = devices(), dict[int, tuple[Any, Job | Test]](), []
    processes = processes or len(gpus) or cores()
    with _progress() as show:
        try:
            while waiting or running:
                for slot in sorted(set(range(processes)) - set(running)):
                    for job in filter(lambda job: job.file.exists(), list(waiting)):  # finished by another process
                        waiting.remove(job)
                        tell(job, True)
                    # A folder in which another process trains has its turn when that has ended.
                    if free := next((job for job in waiting if not Run(job.folder).busy), None):
                        waiting.remove(free)
                        running[slot] = start(free, gpus[slot % len(gpus)] if gpus else None), free
                wait([process.sentinel for process, _ in running.values()], timeout=1)
                show([job for _, job in running.values()])
                for slot, (process, job) in list(running.items()):
                    if not process.is_alive():
                        del running[slot]
                        if not job.file.exists():
                            failed.append(job)
                        tell(job, job.file.exists())
        except KeyboardInterrupt:
            print("interrupted; the same command continues", file=sys.stderr)
            raise SystemExit(128 + signal.SIGINT) from None
        finally:
            for process, _ in running.values():
                process.terminate()
            for process, _ in running.values():
                process.join()
    return failed


def start(job: Job | Test, gpu: str | None) -> Any:
    """Start a training or a test on one thread and one GPU."""
    changes = {"OMP_NUM_THREADS": "1"} | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
    before = {key: os.environ.get(key) for key in changes}
    os.environ.update(changes)  # the process has them from its start
    try:
        process = multiprocessing.get_context("spawn").Process(target=child, args=(job,))
        process.start()
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
    return process


def child(job: Job | Test) -> None:
    """Train or test in a separate process, whose output goes to log.txt."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(job, config_dir(sys.argv))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])  # otherwise trainings would outlive a killed study
    os._exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[Sequence[Job | Test]], None]]:
    """Show a progress bar for each job that runs; the epochs of a training are counted in metrics.csv."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
    )
    bars: dict[Job | Test, Any] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def show(jobs: Sequence[Job | Test]) -> None:
            for job in set(bars) - set(jobs):
                progress.remove_task(bars.pop(job))
            for job in jobs:
                if job not in bars:
                    bars[job] = progress.add_task(job.name, total=job.epochs or None)
                progress.update(bars[job], completed=epochs_done(job))

        yield show
