"""Waiting for other programs, and programs that wait."""

import time
from collections.abc import Callable
from pathlib import Path

import lightning as L


def until(true: Callable[[], object], seconds: float = 600) -> None:
    """Wait until a condition is met.

    Raises:
        TimeoutError: It was not in time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("what the test waits for has not happened")
        time.sleep(0.05)


class Hold(L.Callback):
    """A training that waits at its third epoch as long as a file exists."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 2:
            until(lambda: not self.file.exists())
