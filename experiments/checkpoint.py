"""A trained network, made again from its checkpoint alone."""

import pickle
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import nn


def find_checkpoint(path: Path | str) -> Path:
    """Give the checkpoint file; of a run's folder, the best one.

    Raises:
        FileNotFoundError: there is none.
    """
    file = Path(path) / "checkpoints" / "best.ckpt" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file} not found: ckpt must be a checkpoint or the folder of a run")
    return file


def load_network(file: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Make the network of a checkpoint.

    Args:
        file: checkpoint that `experiments.train` wrote.

    Returns:
        The network on the CPU, in eval mode; and the checkpoint's card: the run's `config`, the `classes`, the
        `sample_rate` (Hz) and `num_samples` of a clip (None: not sound), the `epoch`, from 1, and the `val_accuracy`.

    Raises:
        ValueError: the file is something else.
    """
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        card = checkpoint["card"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a checkpoint of experiments.train ({type(error).__name__})") from error
    network: nn.Module = instantiate(card["config"]["model"], num_classes=len(card["classes"]))
    prefix = "network."
    weights = {key.removeprefix(prefix): w for key, w in checkpoint["state_dict"].items() if key.startswith(prefix)}
    network.load_state_dict(weights)
    return network.eval(), card
