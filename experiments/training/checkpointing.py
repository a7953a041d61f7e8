"""The two checkpoints of a run: its best epoch and its last. Each is whole, whatever ends the run."""

import logging
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from experiments.run import Run, read_checkpoint
from experiments.training.task import Task

log = logging.getLogger(__name__)


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside the old one, and then in its place: a kill or a full disk leaves the old one.

    Lightning's own way is by a file in ``$TMPDIR``, and from another disk that is moved by copying over the old one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes a checkpoint.

        Raises:
            OSError: It cannot be written.
        """
        unfinished = Path(path).with_suffix(".partial")
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:
            unfinished.unlink(missing_ok=True)
            raise OSError(
                f"{path} cannot be written ({getattr(error, 'strerror', None) or error}); the checkpoints before it "
                "are untouched: make room, and go on with resume=…"
            ) from error
        unfinished.replace(path)


class Checkpoints(ModelCheckpoint):
    """Keeps one checkpoint, and finds it again if the run's folder was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the best score and the file that has it; Lightning would forget both if the folder is another."""

        def here(path: str) -> str:
            return path and str(Path(self.dirpath or "") / Path(path).name)

        paths = {key: here(value) for key, value in state_dict.items() if key.endswith("_path")}
        scores = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": self.dirpath})


def checkpoints(run: Run, task: Task) -> list[ModelCheckpoint]:
    """Makes the callbacks that write them.

    Args:
        run: The run, for its folder.
        task: Says which epoch is the best.
    """
    # At the end of epochs only: from within one, a run cannot go on to the same result.
    always: dict[str, Any] = {"enable_version_counter": False, "save_on_train_epoch_end": True}
    best = Checkpoints(run.checkpoints, run.best.stem, monitor=task.monitor, mode=task.mode, **always)
    last = Checkpoints(run.checkpoints, run.last.stem, **always)
    return [best, last]


def newest(run: Run) -> Path | None:
    """Gives the checkpoint to go on from: the last, or the best if the last is damaged; None if there is none.

    Raises:
        ValueError: There are some, and all are damaged.
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
            log.warning("%s; going on from the best epoch, %s", damaged or f"{run.last} is missing", file)
        return file
    if damaged:
        raise ValueError(f"{damaged[0]}; there is no other to go on from, so start the run anew in another folder")
    return None
