"""A row of metrics per epoch: on the screen, in a CSV file, and in the checkpoints."""

import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd

log = logging.getLogger(__name__)

METRICS = "train_loss", "train_accuracy", "val_loss", "val_accuracy"


class EpochLog(L.Callback):
    """Writes metrics.csv anew after every epoch, and prints a line with the time left.

    Unlike Lightning's CSVLogger it keeps the rows in the checkpoint: a resumed run has all of them, each once.

    Args:
        file: the CSV file.

    Attributes:
        rows: the metrics, one dict per epoch; epochs count from 1.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.rows, self.start = file, list[dict[str, float]](), 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a row. Validation is over at this point."""
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1}
        row |= {name: trainer.callback_metrics[name].item() for name in METRICS}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["seconds"] = round(time.monotonic() - self.start, 3)
        self.rows.append(row)
        if trainer.is_global_zero:
            unfinished = self.file.with_suffix(".partial")
            pd.DataFrame(self.rows).to_csv(unfinished, index=False)
            unfinished.replace(self.file)
            log.info(self._line(trainer.max_epochs or 0))

    def _line(self, epochs: int) -> str:
        row = self.rows[-1]
        recent = [row["seconds"] for row in self.rows[-10:]]
        left = timedelta(seconds=round((epochs - row["epoch"]) * sum(recent) / len(recent)))
        return (
            f"epoch {row['epoch']:3}/{epochs}"
            f"   train loss {row['train_loss']:.3f}  accuracy {row['train_accuracy']:.1%}"
            f"   val loss {row['val_loss']:.3f}  accuracy {row['val_accuracy']:.1%}   {left} left"
        )

    def state_dict(self) -> dict[str, Any]:
        """Give the rows to the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows from a checkpoint."""
        self.rows = state_dict["rows"]
