"""Networks as a run has them: made, and their images normalised before the first layer."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from experiments.data.inputs import Image, Input
from experiments.models.log_mel import LogMelCNN
from wavenets.models import Encoder, Network

Own = Network | LogMelCNN  # the networks of this project: they have features, a head and a readout


@dataclass(frozen=True)
class Normalization:
    """What is done to an image before the first layer of its network: minus the mean, divided by the deviation.

    Attributes:
        mean: Mean of each channel.
        std: Standard deviation of each channel.

    Example:
        >>> Normalization((0.5,), (0.25,))(nn.Identity(), (torch.tensor([[[[0.0, 1.0]]]]),))
        tensor([[[[-2.,  2.]]]])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
        """Return the normalised input of a module, as a forward pre-hook does."""
        # Numbers rather than tensors: they need no device, and exported networks contain them.
        planes = zip(inputs[0].unbind(1), self.mean, self.std, strict=True)
        return torch.stack([(plane - mean) / std for plane, mean, std in planes], 1)


def normalize(network: nn.Module, input: Input | None) -> nn.Module:
    """Let a network that was just made normalise its input, if its images are normalised, and return it.

    The names of its weights stay. All that the network does begins with it, ``features`` included.
    """
    if isinstance(input, Image) and input.mean is not None and input.std is not None:
        encoder = network.encoder if isinstance(network, Network) else None
        first = encoder.stem if isinstance(encoder, Encoder) else network
        first.register_forward_pre_hook(Normalization(input.mean, input.std))
    return network
