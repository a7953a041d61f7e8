"""Trains a network, tests it once, and leaves everything in the run's folder: `python -m experiments.train --help`."""

from experiments.answers import CONF, answer

if __name__ == "__main__":
    answer("train")  # help and mistyped keys, before the imports that take seconds

import json
import logging
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn

from experiments.arguments import readable
from experiments.card import Card, read_checkpoint
from experiments.config import check_numbers, resumed
from experiments.data.inputs import Image, Waveform
from experiments.data.source import Source, checked, checked_factors
from experiments.data.splits import log_counts
from experiments.errors import interruptible, is_first_process, one_line_errors
from experiments.evaluation.device import place
from experiments.evaluation.report import draw, report
from experiments.evaluation.views import asked_views, on_views
from experiments.files import write_json
from experiments.models.on_views import OnViews
from experiments.networks import normalize
from experiments.report import plots
from experiments.report.tables import show_results
from experiments.results import Results
from experiments.run import Run
from experiments.training.checkpointing import newest
from experiments.training.classifier import Classifier
from experiments.training.loading import Batches
from experiments.training.memory import checkpoint_activations, keep_freed_memory
from experiments.training.start import start_from
from experiments.training.tasks.task import Task
from experiments.training.trainer import check_monitored, make_trainer, quiet

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path) -> Results | None:
    """Train and test a network, or continue with it if the folder holds checkpoints.

    Args:
        cfg: The composed configuration, see conf/train.yaml.
        folder: The run's folder.

    Returns:
        The contents of results.json. ``None`` with ``test=false``, and on all processes but the first.
    """
    quiet()
    check_numbers(cfg)
    keep_freed_memory()
    L.seed_everything(cfg.seed, verbose=False)
    run, source = Run(folder), checked(instantiate(cfg.data))
    factors = checked_factors(source, source.test_factors if cfg.rescale is None else cfg.rescale)
    task = make_task(cfg, source)
    network = make_network(cfg, source, task)
    on_views(network, task, cfg.get("views"))  # a wrong value is an error before the training, not after it
    trainer, epochs = make_trainer(cfg, run, task)
    if trainer.is_global_zero:
        parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
        log.info("%s: %s parameters, on %s, in %s", cfg.name, f"{parameters:,}", trainer.strategy.root_device, folder)
        log_counts(source, ["train", "val"])
    card, before = make_card(cfg, source), newest(run)
    began = read_checkpoint(before)[1] if before else card
    if began.classes != card.classes:
        raise ValueError(f"the classes have changed since the run began: {began.classes} then, {card.classes} now")
    optimizer, scheduler = instantiate(cfg.optimizer), instantiate(cfg.scheduler)
    if isinstance(network, OnViews) and before is None:
        network.load_pretrained()
    if cfg.weights is not None and before is None:
        start_from(network, cfg.weights)
    module = Classifier(network, task, optimizer, scheduler, cfg.wavelet_loss, cfg.seed, card)
    transforms = [instantiate(node) for node in (cfg.augment or {}).values() if node is not None]
    batches = Batches(source, cfg.batch_size, cfg.num_workers, cfg.seed, cfg.fraction, transforms)
    if trainer.is_global_zero and cfg.fraction != 1:
        used: Any = batches.train_examples
        log.info("training on %d of these examples (fraction=%g)", len(used), cfg.fraction)
    check_monitored(trainer, scheduler, source.validated)
    trainer.fit(module, batches, ckpt_path=before)
    if not trainer.is_global_zero:
        return None
    if before and len(epochs.rows) == began.epoch:
        log.info("nothing was left to train; a higher trainer.max_epochs=… or trainer.max_time=… goes on")
    if not cfg.test:
        write_json(run.validation, read_checkpoint(run.trained)[1].to_dict() | {"epochs": len(epochs.rows)})
        log.info("trained, not tested; resume=%s test=true tests it", folder)
        return None
    return test(cfg, run, task, source, factors, epochs.rows)


def make_task(cfg: DictConfig, source: Source) -> Task:
    """Return the task. What the training examples decide of it becomes part of the configuration.

    Raises:
        ValueError: The metric to monitor does not exist.
    """
    task: Task = instantiate(cfg.task, num_classes=len(source.classes))
    with open_dict(cfg):
        cfg.task.update(task.prepare(source))
    if "mode" in cfg.task:
        cfg.task.mode = task.mode
    measured = ["val_loss", *(f"val_{name}" for name in task.metrics())]
    if task.monitor not in measured:
        raise ValueError(f"task.monitor={task.monitor} is not measured; choose {', '.join(measured)}")
    made: Task = instantiate(cfg.task, num_classes=len(source.classes))
    return made


def make_network(cfg: DictConfig, source: Source, task: Task) -> nn.Module:
    """Return the network. Its ``in_channels`` are those of the data, unless the configuration sets them."""
    if "in_channels" in cfg.model and cfg.model.in_channels is None:
        cfg.model.in_channels = source.input.channels if isinstance(source.input, Waveform | Image) else 1
    network = new_network(cfg, source, task)
    if cfg.checkpointing:
        checkpoint_activations(network)
    if cfg.compile:
        try:
            network.compile(mode=cfg.compile)  # in place, so that the weights keep their names
        except RuntimeError as error:
            raise ValueError(f"compile={cfg.compile}: {error}") from error
    return network


def new_network(cfg: DictConfig, source: Source, task: Task) -> nn.Module:
    """Return the network of a configuration, untrained. It normalises images as the data ask for."""
    return normalize(instantiate(cfg.model, num_classes=task.num_outputs), source.input)


def make_card(cfg: DictConfig, source: Source) -> Card:
    """Return what the checkpoints of a run say of their network."""
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    return Card(config, [str(name) for name in source.classes], source.input)


def test(cfg: DictConfig, run: Run, task: Task, source: Source, factors: Any, rows: list[dict[str, float]]) -> Results:
    """Test the best network, and write the results and the pictures.

    The test examples are opened here, once. One process tests, so that each counts once on several devices too.

    Raises:
        ValueError: There is no network to test.
    """
    start = time.monotonic()
    if not run.started:
        raise ValueError("no epoch was trained, so that there is nothing to test; check the values of trainer.…")
    if not run.best.is_file():
        log.warning("%s was never measured, so the last network is tested, not the best", task.monitor)
    weights, best = read_checkpoint(run.trained)
    network = new_network(cfg, source, task)
    network.load_state_dict(weights)
    views = cfg.get("views")
    tested = place(on_views(network, task, views), cfg.trainer)
    results, measured = report(tested, best, task, source, factors, run.predictions)
    results = replace(
        results,
        views=asked_views(views),
        overrides=list(cfg.overrides),
        epochs=len(rows),
        seconds=round(sum(row["seconds"] for row in rows) + time.monotonic() - start, 1),
    )
    results.save(run.results)
    draw(results, measured, task, source, run.folder)
    plots.curves(run.picture("curves"), rows, best.epoch, results.monitor)
    if isinstance(best.input, Waveform):
        plots.kernels(run.picture("kernels"), network, best.input.sample_rate)
    return results


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def command(cfg: DictConfig) -> float | None:
    """Run the command with a configuration."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    overrides = list(HydraConfig.get().overrides.task)
    run = Run(folder)
    # All processes of a run share its folder.
    with one_line_errors(), interruptible(run), run.held() if is_first_process() else nullcontext():
        if HydraConfig.get().mode == RunMode.MULTIRUN and cfg.trainer.devices != 1:
            raise ValueError("-m needs trainer.devices=1; on several devices, start one run after the other")
        if HydraConfig.get().mode == RunMode.MULTIRUN and not OmegaConf.is_missing(cfg, "resume"):
            raise ValueError(f"resume={cfg.resume} does not go with -m; resume one run after the other")
        if not OmegaConf.is_missing(cfg, "resume"):
            cfg = resumed(cfg, overrides)
        elif run.started:
            raise ValueError(f"{folder} contains a run already; choose another folder, or resume={folder}")
        else:
            cfg.overrides = overrides
        results = train(cfg, folder)
        if not is_first_process():
            return None
        if results is None:  # not tested: train has written what was validated
            value: float | None = json.loads(run.validation.read_text())["value"]
            return value
        show_results(results, folder)
    return results.val.get(cfg.task.monitor.removeprefix("val_"))


def main(cfg: DictConfig | None = None) -> Any:
    """Run the command, and return the monitored validation metric of the best epoch to a sweeper such as Optuna."""
    sys.argv = readable(sys.argv)
    return command(cfg)


if __name__ == "__main__":
    main()
