"""The folder of a run and the files in it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from filelock import FileLock, Timeout

PATIENCE = 10.0  # seconds
OF_A_START = "run.lock", "train.log", "config.yaml"  # what is there before the first epoch


@dataclass(frozen=True)
class Run:
    """The folder of a run and the files in it."""

    folder: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.folder / "config.yaml"

    @property
    def metrics(self) -> Path:
        """A row of metrics per epoch."""
        return self.folder / "metrics.csv"

    @property
    def results(self) -> Path:
        """The results of the test."""
        return self.folder / "results.json"

    @property
    def predictions(self) -> Path:
        """The predictions for the test examples, a row for each."""
        return self.folder / "predictions.csv"

    @property
    def validation(self) -> Path:
        """The card of the best checkpoint of a run that was not tested."""
        return self.folder / "validation.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch that was best on the validation examples."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch, from which a run continues."""
        return self.checkpoints / "last.ckpt"

    @property
    def trained(self) -> Path:
        """The checkpoint to use: the best, or the last if no epoch was validated."""
        return self.best if self.best.is_file() else self.last

    @property
    def started(self) -> bool:
        """Whether there is a checkpoint."""
        return self.last.is_file() or self.best.is_file()

    @property
    def busy(self) -> bool:
        """Whether a process trains in the folder now."""
        lock = self.folder / "run.lock"
        try:
            with FileLock(lock, timeout=0) if lock.is_file() else nullcontext():
                return False
        except Timeout:
            return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Prevent other processes from training in the folder. A start that fails leaves no folder.

        Raises:
            ValueError: Another process trains in it already.
        """
        new = not self.folder.is_dir() or self._holds_only("train.log")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            # The loading processes of a run that was killed hold it for some seconds more.
            with FileLock(self.folder / "run.lock", timeout=PATIENCE):
                try:
                    yield
                except BaseException:
                    if new and self._holds_only(*OF_A_START):
                        rmtree(self.folder, ignore_errors=True)
                    raise
        except Timeout:
            raise ValueError(f"another run is training in {self.folder}; choose another place with folder=…") from None

    def _holds_only(self, *names: str) -> bool:
        return {file.name for file in self.folder.iterdir()} <= set(names)

    def picture(self, name: str) -> Path:
        """Return the file of a picture."""
        return self.folder / f"{name}.png"
