"""The two checkpoints of a run: its best epoch and its last."""

from lightning.pytorch.callbacks import ModelCheckpoint

from experiments.run import Run
from experiments.training.task import Task


def checkpoints(run: Run, task: Task) -> list[ModelCheckpoint]:
    """Makes the callbacks that write them.

    Args:
        run: The run, for its folder.
        task: Says which epoch is the best.
    """
    best = ModelCheckpoint(
        run.checkpoints, run.best.stem, monitor=task.monitor, mode=task.mode, enable_version_counter=False
    )
    last = ModelCheckpoint(run.checkpoints, run.last.stem, enable_version_counter=False)
    return [best, last]
