"""Trainings in processes of their own, several at a time."""

import multiprocessing
import os
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.run import Run


@dataclass(frozen=True)
class Job:
    """A training: its folder, the overrides of ``experiments.train``, the epochs that it takes at most."""

    name: str
    folder: Path
    overrides: tuple[str, ...]
    epochs: int
    test: bool = True

    @property
    def file(self) -> Path:
        """What is there when it is finished."""
        return Run(self.folder).results if self.test else Run(self.folder).validation

    @property
    def arguments(self) -> list[str]:
        """The command line; a run that was interrupted goes on."""
        test = f"test={str(self.test).lower()}"
        if Run(self.folder).started:
            return [f"resume={self.folder}", test]
        return [*self.overrides, f"folder={self.folder}", test]


def devices() -> list[str]:
    """Gives the GPUs that may be used."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]


def run(jobs: Sequence[Job], processes: int, tell: Callable[[Job, bool], None] = lambda job, well: None) -> list[Job]:
    """Runs what is not finished, and gives what failed; Ctrl-C ends all.

    Args:
        jobs: The trainings.
        processes: How many at a time, each with one thread; they take turns on the GPUs.
        tell: Is called with every training that has ended, and whether it went well.
    """
    waiting = list({job.folder: job for job in jobs if not job.file.exists()}.values())  # each once
    gpus, running, failed = devices(), dict[int, tuple[Any, Job]](), []
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


def start(job: Job, gpu: str | None) -> Any:
    """Starts a training, on one thread and one GPU."""
    changes = {"OMP_NUM_THREADS": "1"} | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
    before = {key: os.environ.get(key) for key in changes}
    os.environ.update(changes)  # the process has them from its very beginning
    try:
        process = multiprocessing.get_context("spawn").Process(target=work, args=(job,))
        process.start()
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
    return process


def work(job: Job) -> None:
    """Trains, in a process of its own; what it would print goes to log.txt."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / "log.txt").open("a") as file:
        for stream in sys.stdout, sys.stderr:
            os.dup2(file.fileno(), stream.fileno())
    from experiments import train

    sys.argv = ["experiments.train", *_config_dir(sys.argv), *job.arguments]
    train.main()


def _config_dir(arguments: Sequence[str]) -> list[str]:
    """The folder of configurations of one's own, of the command line that a new process has of the one before."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    given = parser.parse_known_args(arguments)[0].config_dir
    return [] if given is None else ["--config-dir", given]


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])  # else trainings would outlive a study that was killed, and be in the way of the next
    os._exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[Sequence[Job]], None]]:
    """Shows a bar for each training at work: the epochs, which it counts in metrics.csv."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
    )
    bars: dict[Job, Any] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def show(jobs: Sequence[Job]) -> None:
            for job in set(bars) - set(jobs):
                progress.remove_task(bars.pop(job))
            for job in jobs:
                if job not in bars:
                    bars[job] = progress.add_task(job.name, total=job.epochs)
                metrics = Run(job.folder).metrics
                progress.update(
                    bars[job], completed=len(metrics.read_text().splitlines()) - 1 if metrics.exists() else 0
                )

        yield show
