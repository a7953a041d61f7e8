"""A row of metrics for each epoch: on the screen, in a CSV file, and in the checkpoints."""

import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lightning as L
import pandas as pd

from experiments.files import whole
from experiments.training.classifier import Classifier
from experiments.training.tasks.task import shown

log = logging.getLogger(__name__)


class EpochLog(L.Callback):
    """A callback that writes metrics.csv after each epoch, and prints a line with the time left.

    Unlike Lightning's CSVLogger it keeps the rows in the checkpoint: a resumed run has all of them, each once.

    Args:
        file: The CSV file.
        metric: Name of the metric that is printed beside the loss, such as ``"accuracy"``.

    Attributes:
        rows: The metrics, a dict for each epoch; epochs count from 1.
    """

    def __init__(self, file: Path, metric: str) -> None:
        self.file, self.metric = file, metric
        self.rows, self.start = list[dict[str, float]](), 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a row. Validation is over at this point."""
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1}
        metrics = cast(Classifier, pl_module).measured
        for stage in "train_", "val_":
            row |= {name: v.item() for name, v in metrics.items() if name.startswith(stage)}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["seconds"] = round(time.monotonic() - self.start, 3)
        self.rows.append(row)
        if trainer.is_global_zero:
            with whole(self.file) as unfinished:
                pd.DataFrame(self.rows).to_csv(unfinished, index=False)
            log.info(self._line(trainer.max_epochs or 0))

    def _line(self, epochs: int) -> str:
        row = self.rows[-1]
        parts = [f"epoch {row['epoch']:3}" + f"/{epochs}" * (epochs > 0)]
        for stage in "train", "val":
            values = {name: row[f"{stage}_{name}"] for name in ("loss", self.metric) if f"{stage}_{name}" in row}
            if values:
                texts = (f"{name.replace('_', ' ')} {shown(name, value)}" for name, value in values.items())
                parts.append(f"{stage} {'  '.join(texts)}")
        if epochs > 0:  # -1: no limit
            recent = [row["seconds"] for row in self.rows[-10:]]
            left = timedelta(seconds=round((epochs - row["epoch"]) * sum(recent) / len(recent)))
            parts.append(f"{left} left")
        return "   ".join(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows from a checkpoint."""
        self.rows = state_dict["rows"]
