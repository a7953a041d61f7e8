"""A training or a test as a job: a command line, and a file that proves that it is done."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from experiments.run import Run


@dataclass(frozen=True)
class Job:
    """A training: its folder, the overrides of ``experiments.train``, the epochs that it takes at most."""

    name: str
    folder: Path
    overrides: tuple[str, ...]
    epochs: int
    test: bool = True
    command: ClassVar[str] = "train"

    @property
    def file(self) -> Path:
        """The file that exists when the training is finished."""
        return Run(self.folder).results if self.test else Run(self.folder).validation

    @property
    def arguments(self) -> list[str]:
        """The command line; a run that was interrupted continues."""
        test = f"test={str(self.test).lower()}"
        if Run(self.folder).started:
            trust = [override for override in self.overrides if override.startswith("trust=")]  # no file grants it
            return [f"resume={self.folder}", *trust, test]
        return [*self.overrides, f"folder={self.folder}", test]


@dataclass(frozen=True)
class Test:
    """A further test of a run: its folder, the overrides of ``experiments.evaluate``, the name of its files."""

    name: str
    folder: Path
    overrides: tuple[str, ...]
    output: str
    epochs: ClassVar[int] = 0
    command: ClassVar[str] = "evaluate"
    __test__: ClassVar[bool] = False  # nothing for pytest

    @property
    def file(self) -> Path:
        """The file that exists when the test is finished."""
        return self.folder / f"{self.output}.json"

    @property
    def predictions(self) -> Path:
        """The predictions for the test examples, a row for each."""
        return self.folder / f"{self.output}_predictions.csv"

    @property
    def arguments(self) -> list[str]:
        """The command line. If views are asked for, the network is tested on these alone."""
        views = any(override.startswith("views.") for override in self.overrides)
        as_is = f"as_is={str(not views).lower()}"
        return [f"ckpt={self.folder}", *self.overrides, as_is, f"output={self.folder / self.output}"]


def work(job: Job | Test, config_dir: Sequence[str]) -> None:
    """Train or test in this process, whose output goes to log.txt.

    Args:
        job: The training or the test.
        config_dir: What ``config_dir`` returns.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / "log.txt").open("a") as file:
        for stream in sys.stdout, sys.stderr:
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = [f"experiments.{job.command}", *config_dir, *job.arguments]
    import_module(sys.argv[0]).main()


def config_dir(arguments: Sequence[str]) -> list[str]:
    """Return the ``--config-dir`` of a command line, as arguments of the command line of a new process."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    given = parser.parse_known_args(arguments)[0].config_dir
    return [] if given is None else ["--config-dir", given]


def epochs_done(job: Job | Test) -> int:
    """Return the number of epochs that are trained, which are rows of metrics.csv."""
    metrics = Run(job.folder).metrics
    return len(metrics.read_text().splitlines()) - 1 if metrics.exists() else 0
