"""Trainings in separate processes, several at a time."""

import multiprocessing
import os
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import wait
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.launch.job import Job, Test
from experiments.run import Run


def devices() -> list[str]:
    """Return the GPUs that may be used."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]


def run(
    jobs: Sequence[Job | Test], processes: int, tell: Callable[[Job | Test, bool], None] = lambda job, well: None
) -> list[Job | Test]:
    """Run the trainings or tests that are not finished, and return those that failed. Ctrl-C ends all.

    Args:
        jobs: The trainings or tests.
        processes: Number of them at a time, each with one thread; they share the GPUs.
        tell: Function that is called with each that has ended, and whether it succeeded.
    """
    waiting = list({job.file: job for job in jobs if not job.file.exists()}.values())  # each once
    gpus, running, failed = devices(), dict[int, tuple[Any, Job | Test]](), []
    with _progress() as show:
        try:
            while waiting or running:
                for slot in sorted(set(range(processes)) - set(running))[: len(waiting)]:
                    running[slot] = start(job := waiting.pop(0), gpus[slot % len(gpus)] if gpus else None), job
                wait([process.sentinel for process, _ in running.values()], timeout=1)
                show([job for _, job in running.values()])
                for slot, (process, job) in list(running.items()):
                    if not process.is_alive():
                        del running[slot]
                        if not job.file.exists():
                            failed.append(job)
                        tell(job, job.file.exists())
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
        process = multiprocessing.get_context("spawn").Process(target=work, args=(job,))
        process.start()
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
    return process


def work(job: Job | Test) -> None:
    """Train or test in a separate process, whose output goes to log.txt."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / "log.txt").open("a") as file:
        for stream in sys.stdout, sys.stderr:
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = [f"experiments.{job.command}", *_config_dir(sys.argv), *job.arguments]
    import_module(sys.argv[0]).main()


def _config_dir(arguments: Sequence[str]) -> list[str]:
    """Return the ``--config-dir`` of a command line, as arguments of the command line of a new process."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    given = parser.parse_known_args(arguments)[0].config_dir
    return [] if given is None else ["--config-dir", given]


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
                metrics = Run(job.folder).metrics
                progress.update(
                    bars[job], completed=len(metrics.read_text().splitlines()) - 1 if metrics.exists() else 0
                )

        yield show
