"""The two checkpoints of a run: its best epoch and its last. Each is complete, whatever ends the run."""

import logging
import os
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from experiments.card import read_checkpoint
from experiments.files import whole
from experiments.run import Run
from experiments.training.classifier import Classifier
from experiments.training.tasks.task import Task

log = logging.getLogger(__name__)


class WholeFiles(TorchCheckpointIO):
    """A writer of checkpoints that replaces the old one at the end: a kill or a full disk leaves the old one.

    Lightning writes to a file in ``$TMPDIR``, which is copied over the old one if it is on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: The file cannot be written.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole(path) as unfinished, unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:
            why, kept = getattr(error, "strerror", None) or error, any(Path(path).parent.glob("*.ckpt"))
            how = "the checkpoints before it are untouched: make room, and continue with resume=…"
            raise OSError(f"{path} cannot be written ({why}); {how if kept else 'make room'}") from error


class Checkpoints(ModelCheckpoint):
    """A callback that keeps one checkpoint, and finds it again if the folder of the run was moved."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save a checkpoint, unless the metric that chooses it is NaN."""
        if self.monitor not in cast(Classifier, pl_module).unmeasured:
            super().on_train_epoch_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the best score and its file. Lightning would forget both if the folder was moved."""

        def here(path: str) -> str:
            return path and str(Path(self.dirpath or "") / Path(path).name)

        paths = {key: here(value) for key, value in state_dict.items() if key.endswith("_path")}
        scores = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": self.dirpath})


def checkpoints(run: Run, task: Task) -> list[ModelCheckpoint]:
    """Return the callbacks that write the checkpoints.

    Args:
        run: The run, for its folder.
        task: Says which epoch is the best.
    """
    # At the end of epochs only: from within an epoch, a run cannot continue to the same result.
    always: dict[str, Any] = {"enable_version_counter": False, "save_on_train_epoch_end": True}
    best = Checkpoints(run.checkpoints, run.best.stem, monitor=task.monitor, mode=task.mode, **always)
    last = Checkpoints(run.checkpoints, run.last.stem, **always)
    return [best, last]


def newest(run: Run) -> Path | None:
    """Return the checkpoint to continue from: the last, or the best if the last is damaged. ``None``: there is none.

    Raises:
        ValueError: All checkpoints are damaged.
    """
    damaged = []
    for file in run.last, run.best:
        if not file.is_file():
            continue
        try:
            read_checkpoint(file)
        except ValueError as error:
            damaged.append(str(error))
            continue
        if file != run.last:
            log.warning("%s; continuing from the best epoch, %s", damaged or f"{run.last} is missing", file)
        return file
    if damaged:
        raise ValueError(f"{damaged[0]}; there is no other checkpoint; start the run again in another folder")
    return None
