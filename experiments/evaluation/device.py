"""Where and how precisely a network is run, in every command alike."""

import platform
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from lightning import Fabric
from torch import nn

from experiments.card import Card

SRUN = "The `srun` command is available.*"  # Lightning's hint where Slurm is; a command may be started without it
NOT_FINITE = "the network's outputs are NaN or infinite, so there is no result"


def as_run(asked: Mapping[str, Any], card: Card) -> dict[str, Any]:
    """Return the arguments of `place` from the ``trainer`` of a command; null means the value of the run."""
    run = card.config["trainer"]
    return {key: run[key] if value is None else value for key, value in asked.items()}


def has_bfloat16() -> bool:
    """Return whether the CPU has instructions for bfloat16; without them a convolution takes 2 to 30 times as long."""
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return False
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    # oneDNN takes all CPUs with AVX-512, of which the older ones have no such instructions
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def precision_of(trainer: Mapping[str, Any]) -> Any:
    """Return the precision to calculate in: single precision for bfloat16 on a CPU that can only emulate it.

    Mixed precision keeps the weights in single precision, so that a run may change between the two.

    Args:
        trainer: ``accelerator`` and ``precision``, as for Lightning's ``Trainer``.

    Example:
        >>> precision_of({"accelerator": "cpu", "precision": "32-true"})
        '32-true'
    """
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    on_cpu = trainer.get("accelerator") == "cpu" or not accelerated
    emulated = trainer.get("precision") in ("bf16", "bf16-mixed") and on_cpu and not has_bfloat16()
    return "32-true" if emulated else trainer.get("precision")


def place(network: nn.Module, trainer: Mapping[str, Any]) -> nn.Module:
    """Move a network to one device, on which it calculates in a precision, as in the trainer.

    Args:
        network: The network.
        trainer: ``accelerator``, ``precision``, and a list of ``devices`` if the first device is not the one wanted;
            the values are those of Lightning's ``Trainer``.

    Returns:
        The network in eval mode; its inputs must be on its device, its outputs are in single precision.

    Raises:
        ValueError: The device or the precision does not exist.

    Example:
        >>> place(nn.Linear(3, 2), {"accelerator": "cpu", "precision": "bf16-mixed"})(torch.ones(1, 3)).dtype
        torch.float32
    """
    devices = trainer.get("devices")
    first = 1 if devices is None or isinstance(devices, int | str) else list(devices)[:1]
    warnings.filterwarnings("ignore", SRUN)
    fabric = Fabric(accelerator=trainer["accelerator"], devices=first, precision=precision_of(trainer))
    placed: nn.Module = fabric.setup_module(network).eval()
    return placed
