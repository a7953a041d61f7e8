"""Trains a network, tests it once, and leaves everything in the run's folder: `python -m experiments.train --help`."""

import logging
import re
import sys
import time
import warnings
from contextlib import nullcontext
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path
from typing import Any

import hydra
import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.callbacks import LambdaCallback
from omegaconf import DictConfig, OmegaConf
from torch import nn
from yaml import YAMLError

from experiments.data.source import Extras, Source, checked, checked_factors
from experiments.errors import check_numbers, interruptible, is_first_process, one_line_errors
from experiments.report import plots
from experiments.report.results import draw, report
from experiments.report.tables import show_results
from experiments.run import Card, Results, Run, read_checkpoint, write_json
from experiments.training.checkpointing import WholeFiles, checkpoints, newest
from experiments.training.classifier import Classifier
from experiments.training.epoch_log import EpochLog
from experiments.training.loading import Batches
from experiments.training.memory import checkpoint_activations, keep_freed_memory
from experiments.training.place import place
from experiments.training.task import Task, headline
from experiments.trust import TRAINING_ROOMS, allowed_class, as_list, targets

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path) -> Results | None:
    """Trains and tests a network, or goes on with it if the folder holds checkpoints.

    Args:
        cfg: The composed configuration, see conf/train.yaml.
        folder: The run's folder.

    Returns:
        The contents of results.json; None with ``test=false``, and on all processes but the first.
    """
    for noise in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*",
        "No (positive|negative) samples.*",
        ".*conditioned on metric.*",
        ".*could not find the monitored key.*",
        "Total length of `list` across ranks is zero.*",
    ):
        warnings.filterwarnings("ignore", noise)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)

    check_numbers(cfg)
    keep_freed_memory()
    L.seed_everything(cfg.seed, verbose=False)
    run, source = Run(folder), checked(instantiate(cfg.data))
    factors = checked_factors(source, Extras.of(source).test_factors if cfg.rescale is None else cfg.rescale)
    network: nn.Module = instantiate(cfg.model, num_classes=len(source.classes))
    if cfg.checkpointing:
        checkpoint_activations(network)
    if cfg.compile:
        try:
            network.compile(mode=cfg.compile)  # in place, so that the weights keep their names
        except RuntimeError as error:
            raise ValueError(f"compile={cfg.compile}: {error}") from error
    task: Task = instantiate(cfg.task, num_classes=len(source.classes))
    trainer, epochs = make_trainer(cfg, run, task)
    if trainer.is_global_zero:
        parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
        device = trainer.strategy.root_device
        log.info("%s: %s parameters, on %s, in %s", cfg.name, f"{parameters:,}", device, folder)
    mine, before = card(cfg, source), newest(run)
    if before and (theirs := read_checkpoint(before)[1].classes) != mine.classes:
        raise ValueError(f"the classes have changed since the run began: {theirs} then, {mine.classes} now")
    module = Classifier(
        network, task, instantiate(cfg.optimizer), instantiate(cfg.scheduler), cfg.wavelet_loss, cfg.seed, mine
    )
    transforms = [instantiate(node) for node in (cfg.augment or {}).values()]
    batches = Batches(source, cfg.batch_size, cfg.num_workers, cfg.seed, cfg.fraction, transforms)
    with interruptible(run):
        trainer.fit(module, batches, ckpt_path=before)
        if not trainer.is_global_zero:
            return None
        if not cfg.test:
            write_json(run.validation, asdict(read_checkpoint(run.trained)[1]) | {"epochs": len(epochs.rows)})
            log.info("trained, not tested; resume=%s test=true does that", folder)
            return None
        return test(cfg, run, task, source, factors, epochs.rows)


def card(cfg: DictConfig, source: Source) -> Card:
    """Gives what the checkpoints of a run say of their network."""
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    extras = Extras.of(source)
    return Card(config, [str(name) for name in source.classes], extras.sample_rate, extras.num_samples)


def make_trainer(cfg: DictConfig, run: Run, task: Task) -> tuple[L.Trainer, EpochLog]:
    """Makes the trainer, with the callbacks and loggers of the configuration beside those that a run needs.

    Args:
        cfg: The composed configuration.
        run: The run, for its folder.
        task: Says which epoch is the best.

    Returns:
        The trainer, and the log of its epochs.
    """
    make = instantiate(cfg.trainer, _partial_=True)
    asked: dict[str, Any] = make.keywords
    ours: dict[str, Any] = {
        "enable_model_summary": False,
        "enable_progress_bar": sys.stdout.isatty(),
        "default_root_dir": run.folder,
    }
    epochs = EpochLog(run.metrics, headline(task.monitor, [str(name) for name in task.metrics()]))
    # Not before training begins: with a value that the trainer refuses, a run could not be resumed ever again.
    keep = LambdaCallback(on_train_start=lambda trainer, _: save_config(cfg, run) if trainer.is_global_zero else None)
    callbacks = [*(instantiate(node) for node in (cfg.callbacks or {}).values()), *as_list(asked.get("callbacks"))]
    loggers = [instantiate(node, save_dir=str(run.folder / "logs")) for node in (cfg.logger or {}).values()]
    # true is Lightning's own choice of a logger, which it makes only if no other is given.
    others = as_list(asked.get("logger") or None)
    logger = (loggers or True) if others == [True] else [*loggers, *others]
    on_gpu = torch.cuda.is_available() and asked.get("accelerator") != "cpu"
    if unknown := sorted(asked.keys() - signature(L.Trainer).parameters.keys()):
        raise ValueError(f"trainer.{unknown[0]} is unknown; Lightning's Trainer says which there are")
    trainer: L.Trainer = make(
        **{key: value for key, value in ours.items() if key not in asked},
        callbacks=[epochs, keep, *callbacks, *checkpoints(run, task)],
        plugins=[WholeFiles(), *as_list(asked.get("plugins"))],
        logger=logger or False,
        sync_batchnorm=bool(asked.get("sync_batchnorm")) and on_gpu,  # torch has it for GPUs only
    )
    return trainer, epochs


def save_config(cfg: DictConfig, run: Run) -> None:
    """Writes a run's config.yaml, whole or not at all."""
    unfinished = run.config.with_suffix(".partial")
    OmegaConf.save(cfg, unfinished, resolve=True)
    unfinished.replace(run.config)


def test(cfg: DictConfig, run: Run, task: Task, source: Source, factors: Any, rows: list[dict[str, float]]) -> Results:
    """Tests the best network, and writes the results and the pictures.

    The test examples are opened here, once. One process tests, so that each counts once on several devices too.

    Raises:
        ValueError: There is no network to test.
    """
    start = time.monotonic()
    if not run.started:
        raise ValueError("no epoch was trained, so there is nothing to test; look at the values of trainer.…")
    if not run.best.is_file():
        log.warning("%s was never measured, so the last network is tested, not the best", task.monitor)
    weights, best = read_checkpoint(run.trained)
    network: nn.Module = instantiate(cfg.model, num_classes=len(best.classes))
    network.load_state_dict(weights)
    results = report(place(network, cfg.trainer), best, task, source, factors)
    results = replace(
        results,
        overrides=list(cfg.overrides),
        epochs=len(rows),
        seconds=round(sum(row["seconds"] for row in rows) + time.monotonic() - start, 1),
    )
    results.save(run.results)
    draw(results, source.quantity, run.folder)
    plots.curves(run.picture("curves"), rows, best.epoch, results.monitor)
    if best.sample_rate:
        plots.kernels(run.picture("kernels"), network, best.sample_rate)
    return results


def resumed(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """Gives the configuration of the run to go on with; of the new command line only ``trainer.…`` and ``test`` count.

    Raises:
        FileNotFoundError: There is no run in the folder.
        ValueError: The command line asks for something that the run did not start with, or the folder's config.yaml
            is damaged or names a class of a module that is not trusted.
    """
    run = Run(Path(cfg.resume))
    if not run.started:
        raise FileNotFoundError(f"{cfg.resume} holds no run with checkpoints/last.ckpt to resume; start it anew")
    try:
        saved = OmegaConf.load(run.config)
    except YAMLError:
        saved = None
    if not isinstance(saved, DictConfig) or not saved.keys() >= {"model", "data", "trainer", "overrides"}:
        raise ValueError(
            f"{run.config} is damaged, so that the run cannot be resumed; start it anew, in another folder"
        )
    for target in targets(OmegaConf.to_container(saved)):
        allowed_class(target, (*TRAINING_ROOMS, *as_list(cfg.trust)))
    for override in overrides:
        key = override.split("=")[0]
        if key.startswith("trainer.") or key == "test":
            OmegaConf.update(saved, key, OmegaConf.select(cfg, key))
            saved.overrides = [o for o in saved.overrides if o.split("=")[0] != key] + [override]
        elif not key.startswith(("resume", "trust", "hydra.")) and override not in saved.overrides:
            raise ValueError(
                f"{override} is not what {cfg.resume} was started with; resume can change only trainer.… and test"
            )
    return saved


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="train")
def command(cfg: DictConfig) -> float | None:
    """Runs the command with a configuration."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    overrides = list(HydraConfig.get().overrides.task)
    # All processes of a run share its folder.
    with one_line_errors(), Run(folder).held() if is_first_process() else nullcontext():
        if HydraConfig.get().mode == RunMode.MULTIRUN and cfg.trainer.devices != 1:
            raise ValueError("-m needs trainer.devices=1; on several devices, start one run after the other")
        if not OmegaConf.is_missing(cfg, "resume"):
            cfg = resumed(cfg, overrides)
        elif Run(folder).started:
            raise ValueError(f"{folder} holds a run already; choose another folder, or resume={folder}")
        else:
            cfg.overrides = overrides
        results = train(cfg, folder)
        if results is None:
            return None
        show_results(results, folder)
    return results.val.get(cfg.task.monitor.removeprefix("val_"))


def main(cfg: DictConfig | None = None) -> Any:
    """Runs the command; a sweeper such as Optuna's is given the monitored validation metric of the best epoch."""
    # Hydra takes null for a value, but not for a group; there an empty list says the same.
    sys.argv = [re.sub(r"^(experiment|augment|scheduler|callbacks|logger)=null$", r"\1=[]", arg) for arg in sys.argv]
    return command(cfg)


if __name__ == "__main__":
    main()
