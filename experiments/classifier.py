"""The LightningModule: any network that gives logits, trained with cross-entropy."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import lightning as L
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics.classification import MulticlassAccuracy

from experiments.loading import epoch_seed
from wavenets.losses import admissibility


class Classifier(L.LightningModule):
    """Trains a network to tell classes apart.

    Args:
        network: maps (B, …) to logits (B, num_classes).
        num_classes: number of classes.
        optimizer: makes the optimizer of the parameters.
        scheduler: makes the plateau scheduler of the optimizer; it is given the validation accuracy.
        wavelet_loss: weight of the admissibility loss.
        seed: of dropout and all else that is random in training.
        card: what `experiments.checkpoint` needs to make the network again; it is kept in the checkpoints.
    """

    def __init__(
        self,
        network: nn.Module,
        num_classes: int,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., ReduceLROnPlateau],
        wavelet_loss: float = 0.0,
        seed: int = 0,
        card: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.network, self.wavelet_loss, self.seed, self.card = network, wavelet_loss, seed, card
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(num_classes, average="micro")

    def on_train_epoch_start(self) -> None:
        """Make the random numbers of an epoch depend on the seed and the epoch alone, so that runs can be resumed."""
        L.seed_everything(epoch_seed(self.seed, self.current_epoch, self.global_rank), verbose=False)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Give the loss of a batch."""
        x, label = batch
        logits = self.network(x)
        loss = F.cross_entropy(logits, label)
        self.train_accuracy(logits, label)
        self.log("loss", loss, prog_bar=True)
        self.log("train_loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        self.log("train_accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        return loss + self.wavelet_loss * admissibility(self.network) if self.wavelet_loss else loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Count a batch."""
        x, label = batch
        logits = self.network(x)
        self.val_accuracy(logits, label)
        self.log("val_loss", F.cross_entropy(logits, label), sync_dist=True)
        self.log("val_accuracy", self.val_accuracy, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Make the optimizer and its scheduler."""
        optimizer = self.make_optimizer(self.parameters())
        scheduler = self.make_scheduler(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_accuracy"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Do nothing. The trainer calls it after the checkpoint is saved, so a resumed run would lack the step."""

    def on_train_epoch_end(self) -> None:
        """Step the scheduler."""
        scheduler = self.lr_schedulers()
        assert isinstance(scheduler, ReduceLROnPlateau)
        scheduler.step(self.trainer.callback_metrics["val_accuracy"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the card, and how good the network is at this point."""
        accuracy = self.trainer.callback_metrics["val_accuracy"].item()
        checkpoint["card"] = {**self.card, "epoch": self.current_epoch + 1, "val_accuracy": accuracy}
