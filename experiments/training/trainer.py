"""The trainer of a run, with its callbacks and loggers."""

import logging
import sys
import warnings
from inspect import signature
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import BatchSizeFinder, EarlyStopping, LambdaCallback, LearningRateFinder
from omegaconf import DictConfig, OmegaConf
from torch.optim.lr_scheduler import ReduceLROnPlateau

from experiments.evaluation.device import SRUN, precision_of
from experiments.files import whole
from experiments.run import Run
from experiments.training.checkpointing import WholeFiles, checkpoints
from experiments.training.epoch_log import EpochLog
from experiments.training.tasks.task import Task, headline
from experiments.trust import as_list

log = logging.getLogger(__name__)

NOISE = (
    ".*does not have many workers.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*",
    "No (positive|negative) samples.*",
    ".*conditioned on metric.*",
    ".*recommended to use `self.log.*sync_dist.*",  # the metrics are of all devices already
    ".*could not find the monitored key.*",
    "Total length of `list` across ranks is zero.*",
    SRUN,
)


def quiet() -> None:
    """Silence warnings of Lightning and torchmetrics that a run cannot act on."""
    for noise in NOISE:
        warnings.filterwarnings("ignore", noise)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def make_trainer(cfg: DictConfig, run: Run, task: Task) -> tuple[L.Trainer, EpochLog]:
    """Return the trainer, with the callbacks and loggers of the configuration beside those that a run needs.

    Args:
        cfg: The composed configuration.
        run: The run, for its folder.
        task: Says which epoch is the best.

    Returns:
        The trainer, and the log of its epochs.

    Raises:
        ValueError: An argument is unknown or of a wrong kind, or a callback is not possible.
    """
    make = instantiate(cfg.trainer, _partial_=True)
    asked: dict[str, Any] = make.keywords
    ours: dict[str, Any] = {
        "enable_model_summary": False,
        "enable_progress_bar": sys.stdout.isatty(),
        "default_root_dir": run.folder,
    }
    precision = precision_of(asked)
    if precision != asked.get("precision"):
        log.info("this CPU has no instructions for bfloat16, so that it trains in single precision, which is faster")
    epochs = EpochLog(run.metrics, headline(task.monitor, [str(name) for name in task.metrics()]))
    # Not before training begins: with a value that the trainer refuses, a run could never be resumed.
    keep = LambdaCallback(on_train_start=lambda trainer, _: begin(trainer, cfg, run))
    callbacks = [*(instantiate(node) for node in (cfg.callbacks or {}).values()), *as_list(asked.get("callbacks"))]
    for finder in (callback for callback in callbacks if isinstance(callback, LearningRateFinder | BatchSizeFinder)):
        raise ValueError(
            f"callbacks: {type(finder).__name__} changes what config.yaml states, so that no run could be repeated or "
            "resumed; try several values instead: -m optimizer.lr=0.0003,0.001,0.003 or batch_size=16,32"
        )
    loggers = [instantiate(node, save_dir=str(run.folder / "logs")) for node in (cfg.logger or {}).values()]
    # true lets Lightning choose a logger, which it does only if no other is given.
    others = as_list(asked.get("logger") or None)
    logger = (loggers or True) if others == [True] else [*loggers, *others]
    on_gpu = torch.cuda.is_available() and asked.get("accelerator") != "cpu"
    if unknown := sorted(asked.keys() - signature(L.Trainer).parameters.keys()):
        raise ValueError(f"trainer.{unknown[0]} is unknown; see the arguments of Lightning's Trainer")
    try:
        trainer: L.Trainer = make(
            **{key: value for key, value in ours.items() if key not in asked},
            precision=precision,
            callbacks=[epochs, keep, *callbacks, *checkpoints(run, task)],
            plugins=[WholeFiles(), *as_list(asked.get("plugins"))],
            logger=logger or False,
            sync_batchnorm=bool(asked.get("sync_batchnorm")) and on_gpu,  # torch has it for GPUs only
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(f"a value of trainer.… has a wrong type: {error}") from error
    return trainer, epochs


def check_monitored(trainer: L.Trainer, scheduler: Any, validated: bool) -> None:
    """Check that early stopping has something to look at, and warn if a plateau scheduler has not.

    Raises:
        ValueError: Early stopping has nothing to look at.
    """
    if validated and trainer.limit_val_batches != 0:
        return
    for callback in trainer.early_stopping_callbacks:
        if str(getattr(callback, "monitor", "")).startswith("val_"):
            raise ValueError(
                "callbacks=early_stopping needs validation examples; leave it out, or set data.val_fold "
                "or data.val_share"
            )
    if getattr(scheduler, "func", None) is ReduceLROnPlateau:
        log.warning("scheduler=plateau keeps the learning rate, as there are no validation examples")


def begin(trainer: L.Trainer, cfg: DictConfig, run: Run) -> None:
    """Write config.yaml. If the run is resumed that early stopping had ended, end it before another epoch."""
    if trainer.is_global_zero:
        save_config(cfg, run)
    for callback in trainer.early_stopping_callbacks:
        if isinstance(callback, EarlyStopping) and callback.stopped_epoch:
            trainer.should_stop = True


def save_config(cfg: DictConfig, run: Run) -> None:
    """Write a run's config.yaml, whole or not at all."""
    with whole(run.config) as unfinished:
        OmegaConf.save(cfg, unfinished, resolve=True)
