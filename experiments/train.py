"""Train a network, test it once, and leave everything in the run's folder: `python -m experiments.train --help`."""

import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import hydra
import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig, OmegaConf
from torch import nn

from experiments import plots
from experiments.checkpoint import load_network
from experiments.classifier import Classifier
from experiments.epoch_log import EpochLog
from experiments.errors import one_line_errors
from experiments.loading import Batches
from experiments.memory import checkpoint_activations
from experiments.results import report, write_json
from experiments.tables import show_results

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    """Train and test a network, or go on with it if the folder holds checkpoints.

    Args:
        cfg: the composed configuration, see conf/train.yaml.
        folder: the run's folder.

    Returns:
        The contents of results.json; empty on all processes but the first.
    """
    for noise in ".*does not have many workers.*", ".*exists and is not empty.*", ".*LeafSpec.*":
        warnings.filterwarnings("ignore", noise)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)

    L.seed_everything(cfg.seed, verbose=False)
    dataset = instantiate(cfg.data)
    for factor in cfg.rescale:
        dataset.check_factor(factor)
    network: nn.Module = instantiate(cfg.model, num_classes=len(dataset.classes))
    if cfg.checkpointing:
        checkpoint_activations(network)
    if cfg.compile:
        network.compile(mode=cfg.compile)  # in place, so that the weights keep their names
    card = {
        "config": OmegaConf.to_container(cfg, resolve=True),
        "classes": list(dataset.classes),
        "sample_rate": getattr(dataset, "sample_rate", None),
        "num_samples": getattr(dataset, "num_samples", None),
    }
    optimizer, scheduler = instantiate(cfg.optimizer), instantiate(cfg.scheduler)
    module = Classifier(network, len(dataset.classes), optimizer, scheduler, cfg.wavelet_loss, cfg.seed, card)
    batches = Batches(dataset, cfg.batch_size, cfg.num_workers, cfg.seed)

    epochs = EpochLog(folder / "metrics.csv")
    keep: dict[str, Any] = {"dirpath": folder / "checkpoints", "enable_version_counter": False}
    best = ModelCheckpoint(filename="best", monitor="val_accuracy", mode="max", **keep)
    last = ModelCheckpoint(filename="last", **keep)
    trainer: L.Trainer = instantiate(cfg.trainer, _partial_=True)(
        callbacks=[epochs, best, last],
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stdout.isatty(),
        default_root_dir=folder,
    )
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if trainer.is_global_zero:
        OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
        parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
        device = trainer.strategy.root_device
        log.info("%s: %s parameters, on %s, in %s", cfg.name, f"{parameters:,}", device, folder)
    trainer.fit(module, batches, ckpt_path=checkpoint if checkpoint.exists() else None)
    if not trainer.is_global_zero:
        return {}

    # The test fold is opened here, once. One process tests, so that each clip counts once on several devices too.
    start = time.monotonic()
    network, card = load_network(folder / "checkpoints" / "best.ckpt")
    network.to(trainer.strategy.root_device)
    results = report(network, card, dataset, cfg.rescale, folder)
    results["overrides"] = list(cfg.overrides)
    results["epochs"] = len(epochs.rows)
    results["seconds"] = round(sum(row["seconds"] for row in epochs.rows) + time.monotonic() - start, 1)
    write_json(folder / "results.json", results)
    plots.curves(folder / "curves.png", epochs.rows, card["epoch"])
    if card["sample_rate"]:
        plots.kernels(folder / "kernels.png", network, card["sample_rate"])
    return results


def resumed(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """Give the configuration of the run to go on with; of the new command line only `trainer.…` counts.

    Raises:
        FileNotFoundError: there is no run in the folder.
        ValueError: the command line asks for something that the run did not start with.
    """
    file = Path(cfg.resume) / "config.yaml"
    if not (Path(cfg.resume) / "checkpoints" / "last.ckpt").is_file():
        raise FileNotFoundError(f"{cfg.resume} holds no run with checkpoints/last.ckpt to resume; start it anew")
    saved = OmegaConf.load(file)
    assert isinstance(saved, DictConfig)
    for override in overrides:
        key = override.split("=")[0]
        if key.startswith("trainer."):
            OmegaConf.update(saved, key, OmegaConf.select(cfg, key))
            saved.overrides = [o for o in saved.overrides if o.split("=")[0] != key] + [override]
        elif not key.startswith(("resume", "hydra.")) and override not in saved.overrides:
            raise ValueError(f"{override} is not what {cfg.resume} was started with; resume can change only trainer.…")
    return saved


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="train")
def main(cfg: DictConfig) -> None:
    """Run the command."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    overrides = list(HydraConfig.get().overrides.task)
    with one_line_errors():
        if HydraConfig.get().mode == RunMode.MULTIRUN and cfg.trainer.devices != 1:
            raise ValueError("-m needs trainer.devices=1; on several devices, start one run after the other")
        if not OmegaConf.is_missing(cfg, "resume"):
            cfg = resumed(cfg, overrides)
        elif (folder / "checkpoints" / "last.ckpt").exists():
            raise ValueError(f"{folder} holds a run already; choose another folder, or resume={folder}")
        else:
            cfg.overrides = overrides
        if results := train(cfg, folder):
            show_results(results, folder)


if __name__ == "__main__":
    main()
