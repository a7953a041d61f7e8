"""Where and how precisely a network is run after its training, in every command alike."""

from collections.abc import Mapping
from typing import Any

from lightning import Fabric
from torch import nn

from experiments.run import Card


def as_run(asked: Mapping[str, Any], card: Card) -> dict[str, Any]:
    """Gives what `place` wants of a command's ``trainer``: where it says null, what the run was trained with."""
    run = card.config["trainer"]
    return {key: run[key] if value is None else value for key, value in asked.items()}


def place(network: nn.Module, trainer: Mapping[str, Any]) -> nn.Module:
    """Moves a network to one device, on which it calculates in a precision, as the trainer would have it.

    Args:
        network: The network.
        trainer: ``accelerator``, ``precision``, and if not the first device of it is wanted, a list of ``devices``;
            the values are those of Lightning's ``Trainer``.

    Returns:
        The network in eval mode; its inputs must be on its device, its outputs are in single precision.

    Raises:
        ValueError: There is no such device or precision.

    Example:
        >>> place(nn.Linear(3, 2), {"accelerator": "cpu", "precision": "bf16-mixed"})(torch.ones(1, 3)).dtype
        torch.float32
    """
    devices = trainer.get("devices")
    first = 1 if devices is None or isinstance(devices, int | str) else list(devices)[:1]
    fabric = Fabric(accelerator=trainer["accelerator"], devices=first, precision=trainer["precision"])
    placed: nn.Module = fabric.setup_module(network).eval()
    return placed
