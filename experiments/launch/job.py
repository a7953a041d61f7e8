"""A training as a job: a command line, and a file that proves that it is done."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
        """The file that exists when the training is finished."""
        return Run(self.folder).results if self.test else Run(self.folder).validation

    @property
    def arguments(self) -> list[str]:
        """The command line; a run that was interrupted continues."""
        test = f"test={str(self.test).lower()}"
        if Run(self.folder).started:
            return [f"resume={self.folder}", test]
        return [*self.overrides, f"folder={self.folder}", test]

    @property
    def epochs_done(self) -> int:
        """The number of epochs so far, which are rows of metrics.csv."""
        metrics = Run(self.folder).metrics
        return len(metrics.read_text().splitlines()) - 1 if metrics.exists() else 0

    def work(self, config_dir: Sequence[str]) -> None:
        """Train in this process, whose output goes to log.txt.

        Args:
            config_dir: What ``config_dir`` returns.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.txt").open("a") as file:
            for stream in sys.stdout, sys.stderr:
                os.dup2(file.fileno(), stream.fileno())
        from experiments import train

        sys.argv = ["experiments.train", *config_dir, *self.arguments]
        train.main()


def config_dir(arguments: Sequence[str]) -> list[str]:
    """Return the ``--config-dir`` of a command line, as arguments of the command line of a new process."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    given = parser.parse_known_args(arguments)[0].config_dir
    return [] if given is None else ["--config-dir", given]
