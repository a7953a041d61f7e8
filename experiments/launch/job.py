"""A training as a job: a command line, and a file that proves that it is done."""

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
