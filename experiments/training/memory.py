"""Memory in training: freed blocks kept for the next step; activation checkpointing, less memory for more time."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from wavenets.models import Encoder, Network
from wavenets.models.unet import Decoder

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let the C allocator keep freed large blocks for the next step, rather than return them to the system.

    The kernel zeroes new pages one by one, which takes a tenth of a step or more on a CPU. This works on Linux with
    glibc; on other systems nothing happens.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_TRIM_THRESHOLD, LARGEST)


def checkpoint_activations(network: nn.Module) -> nn.Module:
    """Keep only the input of each block in training, and compute the block a second time in the backward pass.

    Args:
        network: Network, changed in place; its parameters and their names stay.

    Returns:
        The network.

    Raises:
        ValueError: The network does not consist of blocks, as the networks of wavenets.models are.
    """
    if not isinstance(network, Network):
        raise ValueError(f"checkpointing=true is for the networks of wavenets.models, not for {type(network).__name__}")
    for block in blocks(network):
        norms = [module for module in block.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        block.forward = partial(_run, block, block.forward, norms)
    return network


def blocks(network: Network) -> list[nn.Module]:
    """Return the parts of a network that are recalculated one by one."""
    encoder, decoder = network.encoder, network.decoder
    if not isinstance(encoder, Encoder):  # such as one of timm, whose parts are unknown
        return []
    steps = decoder.steps.children() if isinstance(decoder, Decoder) else []
    return [encoder.stem, *(block for stage in encoder.body.children() for block in stage.children()), *steps]


def _run(block: nn.Module, forward: Any, norms: list[Any], *args: Any) -> Any:
    if not block.training:
        return forward(*args)

    def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), _without_statistics(norms)

    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts)


@contextmanager
def _without_statistics(norms: list[Any]) -> Iterator[None]:
    """Let batch norms count a batch once, although they see it twice."""
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)
