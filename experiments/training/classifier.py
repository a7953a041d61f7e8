"""The LightningModule: any network, trained for a task."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from math import isfinite
from typing import Any

import lightning as L
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric

from experiments.card import Card
from experiments.data.source import unpacked
from experiments.training.loading import epoch_seed
from experiments.training.tasks.task import Task
from wavenets.losses import admissibility


class Classifier(L.LightningModule):
    """A network that is trained for a task.

    Args:
        network: Maps (B, …) to (B, num_outputs), or to maps (B, num_outputs, …).
        task: The loss and the metrics.
        optimizer: Makes the optimizer of the parameters.
        scheduler: Makes the scheduler of the optimizer. ``None``: the learning rate stays. A plateau scheduler receives
            the task's monitored metric. One that takes ``total_steps`` receives them and steps with each batch, any
            other with each epoch.
        wavelet_loss: Weight of the admissibility loss.
        seed: Seed of dropout and everything else that is random in training.
        card: What `experiments.card` needs to make the network again; it is kept in the checkpoints.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., Any] | None = None,
        wavelet_loss: float = 0.0,
        seed: int = 0,
        card: Card | None = None,
    ) -> None:
        super().__init__()
        self.network, self.task, self.wavelet_loss, self.seed, self.card = network, task, wavelet_loss, seed, card
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.per_batch = scheduler is not None and "total_steps" in signature(scheduler).parameters
        self.train_metrics, self.val_metrics = task.training_metrics("train_"), task.metrics("val_")
        self.val_loss = MeanMetric()
        self._validated: int | None = None
        self.unmeasured = set[str]()  # validation metrics that are NaN

    @property
    def measured(self) -> dict[str, Tensor]:
        """The metrics of this epoch; without validation in it the trainer still has those of an earlier one."""
        validated = self._validated == self.current_epoch
        metrics: Mapping[str, Tensor] = self.trainer.callback_metrics
        known = {name: value for name, value in metrics.items() if not value.isnan()}  # NaN: no example to measure on
        return {name: value for name, value in known.items() if validated or not name.startswith("val_")}

    def on_train_epoch_start(self) -> None:
        """Make the random numbers of an epoch depend on the seed and the epoch alone, so that runs can be resumed."""
        L.seed_everything(epoch_seed(self.seed, self.current_epoch, self.global_rank), verbose=False)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Return the loss of a batch."""
        x, target = unpacked(batch)
        logits = self.network(x)
        loss = self.task.loss(logits, target)
        self.train_metrics.update(logits.detach(), target)
        self.log("loss", loss, prog_bar=True)
        self.log("train_loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        self.log_dict(self.train_metrics, on_step=False, on_epoch=True)
        return loss + self.wavelet_loss * admissibility(self.network) if self.wavelet_loss else loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """Update the metrics with a batch."""
        x, target = unpacked(batch)
        logits = self.network(x)
        self.val_loss.update(self.task.loss(logits, target), self.task.weight(target))  # checks the targets
        self.val_metrics.update(logits, target)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics but those that are NaN, so that checkpoints, early stopping and plateau pass over them."""
        self._validated = self.current_epoch
        self.log("val_loss", self.val_loss.compute())
        self.val_loss.reset()
        metrics = self.val_metrics.compute()
        self.unmeasured = {name for name, value in metrics.items() if value.isnan()}
        for name in self.unmeasured:
            self.trainer.callback_metrics.pop(name, None)  # that of an earlier epoch
        self.log_dict({name: x for name, x in metrics.items() if name not in self.unmeasured}, prog_bar=True)
        self.val_metrics.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and its scheduler.

        Raises:
            ValueError: The scheduler needs the end of the run, which has none.
        """
        optimizer = self.make_optimizer(self.parameters())
        if self.make_scheduler is None:
            return optimizer
        steps = {"total_steps": self._total_steps()} if self.per_batch else {}
        scheduler = self.make_scheduler(optimizer, **steps)
        if getattr(scheduler, "T_max", 1) < 1:
            raise ValueError("scheduler=cosine needs an end: set trainer.max_epochs")
        interval = "step" if self.per_batch else "epoch"
        # Not strict: an epoch without validation has no metric.
        how: Any = {"monitor": self.task.monitor, "interval": interval, "strict": False}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **how}}

    def _total_steps(self) -> int:
        if not isfinite(steps := self.trainer.estimated_stepping_batches):
            raise ValueError("scheduler=one_cycle needs an end: set trainer.max_epochs or trainer.max_steps")
        # To count them the trainer has begun to load the first epoch; a resumed run must load its current epoch.
        self.trainer.fit_loop._combined_loader = None
        return int(steps)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step after a batch. After an epoch the trainer would step too late: the checkpoint is saved before."""
        if self.per_batch:
            scheduler.step()

    def on_train_epoch_end(self) -> None:
        """Step after an epoch, so that the checkpoint holds the step.

        Raises:
            ValueError: The loss is NaN or infinite. Such a network is kept in no checkpoint.
        """
        for name in "train_loss", "val_loss":
            if not isfinite(loss := float(self.trainer.callback_metrics.get(name, 0.0))):
                epoch = self.current_epoch + 1
                raise ValueError(f"{name} is {loss} in epoch {epoch}: training diverged; try a lower optimizer.lr")
        scheduler: Any = self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau):
            if (value := self.measured.get(self.task.monitor)) is not None:
                scheduler.step(value)
        elif scheduler is not None and not self.per_batch:
            scheduler.step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the card, and the metrics at this point."""
        if self.card is None:
            return
        metrics = self.measured
        validation = {key.removeprefix("val_"): metrics[key].item() for key in metrics if key.startswith("val_")}
        value = metrics[self.task.monitor].item() if self.task.monitor in metrics else None
        card = replace(
            self.card, epoch=self.current_epoch + 1, monitor=self.task.monitor, value=value, validation=validation
        )
        checkpoint["card"] = card.to_dict()
