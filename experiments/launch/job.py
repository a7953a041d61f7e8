"""A training or a test as a job: a command line, and a file that proves that it is done."""

from dataclasses import dataclass
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
            return [f"resume={self.folder}", test]
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
    def arguments(self) -> list[str]:
        """The command line. If views are asked for, the network is tested on these alone."""
        views = any(override.startswith("views.") for override in self.overrides)
        as_is = f"as_is={str(not views).lower()}"
        return [f"ckpt={self.folder}", *self.overrides, as_is, f"output={self.folder / self.output}"]
