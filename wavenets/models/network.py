"""The base class of all nets: a network of four parts."""

import bisect
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from wavenets.grid import Grid
from wavenets.levels import check_floating
from wavenets.models.kit import Features, Layers
from wavenets.models.pretrained import Pretrained


class Encoder(nn.Module):
    """An encoder from a signal to features, whose stages are declared, so that a decoder can be built on them.

    Args:
        layers: The kit that its parts are made with.
        in_channels: Channels of the signal.
        stem: Layers from the signal to the input of the first stage.
        body: The stages, each a sequence of blocks.
        channels: Channels at the end of each stage.
        strides: Samples of the signal for one sample of the features, at the end of each stage.

    Attributes:
        ndim: 1 (waveforms) or 2 (images).
        grid: The group; None if it is plain.
    """

    def __init__(
        self,
        layers: Layers,
        in_channels: int,
        stem: nn.Module,
        body: Sequence[nn.Module],
        channels: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        self.ndim, self.grid, self.in_channels = layers.ndim, layers.grid, in_channels
        self.channels, self.strides = list(channels), list(strides)
        self.stem = stem
        self.body = nn.Sequential(*body)

    def stages(self, x: Tensor) -> list[Any]:
        """Return the features at the end of each stage, finest first."""
        y, stages = self.stem(x), []
        for stage in self.body:
            y = stage(y)
            stages.append(y)
        return stages

    def forward(self, x: Tensor) -> Features:
        features: Features = self.body(self.stem(x))
        return features


class Network(Pretrained):
    """A network: encoder, for maps a decoder, head, readout.

    Args:
        encoder: From the signal to features.
        head: From features to logits, at every position of every level.
        readout: From these to one vector, or one map.
        decoder: From the features of all stages, and the sizes of the views, to features at the size of the signal.
        normalize: If True, each signal is divided by its root mean square first, so that loudness does not
            matter. Equivariance is then exact from there on: T removes the frequencies above the new Nyquist frequency
            from a signal, and so changes its root mean square.

    Shape:
        (B, C, L) or (B, C, H, W) -> logits (B, num_classes), or with a decoder (B, num_classes, L) or
        (B, num_classes, H, W). ``min_size`` is the least L, H and W.

    Attributes:
        grid: The group; None if the network is plain.
        in_channels: Channels of the signal.
        ndim: 1 (waveforms) or 2 (images).
        channels: Channels of the features at the end of each stage of the encoder.
        strides: Samples of the signal for one sample of these features.
        arguments: Arguments of the constructor, by name.
        about: Further entries of the card from which it was loaded, such as the classes.
    """

    grid: Grid | None

    def __init__(
        self,
        encoder: Any,
        head: nn.Module,
        readout: nn.Module,
        decoder: nn.Module | None = None,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.readout = readout
        self.grid, self.ndim, self.in_channels = encoder.grid, encoder.ndim, encoder.in_channels
        self.channels, self.strides = encoder.channels, encoder.strides
        self.normalize = normalize

    def features(self, x: Tensor) -> Any:
        """Return the features before the head: a tensor, or on a group ``Levels``.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).

        Raises:
            ValueError: If x has another shape, or is smaller than ``min_size``.
        """
        return self._checked(self._features, x)

    def stages(self, x: Tensor) -> list[Any]:
        """Return the features at the end of each stage of the encoder, finest first: C2 … C5 of a ResNet.

        They have the ``channels`` and ``strides`` that the network declares.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).

        Raises:
            ValueError: If x has another shape, or is smaller than ``min_size``.

        Example:
            >>> from wavenets.models import ResNet
            >>> net = ResNet(num_classes=5, base=2, form="shared", num_scales=2, width=8)
            >>> net.channels, net.strides
            ([8, 16, 32, 64], [4, 8, 16, 32])
            >>> [[tuple(level.shape[1:]) for level in stage] for stage in net.stages(torch.randn(1, 3, 64, 96))]
            [[(8, 16, 24), (8, 8, 12)], [(16, 8, 12), (16, 4, 6)], [(32, 4, 6), (32, 2, 3)], [(64, 2, 3), (64, 1, 2)]]
        """
        stages: list[Any] = self._checked(self.encoder.stages, x)
        return stages

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.head(self.features(x)))
        return logits

    def _features(self, x: Tensor) -> Any:
        return self.encoder(x) if self.decoder is None else self.decoder(self.encoder.stages(x), x.shape[2:])

    def _checked(self, run: Callable[[Tensor], Any], x: Tensor) -> Any:
        """Run a part of the network on the signal. Raise a ValueError if the signal does not fit or is too small."""
        check_signal(x, self.in_channels, self.ndim)
        try:
            return run(normalized(x) if self.normalize else x)
        except (RuntimeError, ValueError) as error:
            if self._fits(x.shape[2:]):
                raise
            size = " × ".join(map(str, x.shape[2:]))
            unit = ("samples", "pixels a side")[self.ndim - 1]
            message = f"{type(self).__name__} needs at least {self.min_size} {unit}, got {size}"
            raise ValueError(message) from error

    def load_plain(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the weights of the plain twin into a net of the shared form without orientations.

        The layers are the same in the same order; only their names differ, and by an axis of one scale their shapes.

        Args:
            state_dict: State of the plain twin.

        Raises:
            ValueError: If the shapes do not fit: the net is of another form, width or number of classes.
        """
        weights = reshaped(state_dict, self)
        if weights is None:
            raise ValueError(
                f"{type(self).__name__} does not take these weights: it must have form='shared', no scale extent, no "
                "orientations, and the plain twin's width and classes"
            )
        self.load_state_dict(weights)

    @functools.cached_property
    def min_size(self) -> int:
        """The least size of input that the network takes, found by running the network on shapes without data.

        Raises:
            ValueError: If it takes none of up to 2^24 samples.
        """
        large = 1
        while not self._fits([large] * self.ndim):
            large *= 2
            if large > 2**24:
                raise ValueError(f"{type(self).__name__} does not accept inputs of any size")
        return bisect.bisect_left(range(large), True, key=lambda size: self._fits([size] * self.ndim))

    @torch.no_grad()
    def _fits(self, size: Any) -> bool:
        """Return whether the network takes an input of this size."""
        trunk = _Trunk(self)
        state = {**dict(trunk.named_parameters()), **dict(trunk.named_buffers())}
        shapes = {name: torch.empty(x.shape, dtype=x.dtype, device="meta") for name, x in state.items()}
        dtype = next(iter(shapes.values())).dtype
        x = torch.empty(2, self.in_channels, *size, dtype=dtype, device="meta")
        try:
            with _Shapes():
                functional_call(trunk, shapes, x)
        except (RuntimeError, ValueError):
            return False
        return True


class _Shapes(TorchFunctionMode):
    """Skips batch norms and activations: they change no shape, and take milliseconds on the meta device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if args and function in (F.batch_norm, F.relu) else function(*args, **kwargs or {})


class _Trunk(nn.Module):
    """A network's features as a module."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        return self.network._features(x)


def check_signal(x: Tensor, in_channels: int, ndim: int) -> None:
    """Raise an error unless x is a batch of floating-point signals with so many channels."""
    if x.ndim != ndim + 2 or x.shape[1] != in_channels:
        shape = ("L", "H, W")[ndim - 1]
        raise ValueError(f"expected an input of shape (B, {in_channels}, {shape}), got {tuple(x.shape)}")
    check_floating(x)


def normalized(x: Tensor) -> Tensor:
    """Divide each signal by its root mean square, so that loudness does not matter. Silence stays silence."""
    precise = x if x.dtype == torch.float64 else x.float()  # in half precision squares overflow, and vanish
    # Clamped before the root, whose gradient at 0 is infinite.
    rms = precise.square().mean(tuple(range(1, x.ndim)), keepdim=True).clamp(min=1e-10).sqrt()
    return (precise / rms).to(x.dtype)


def reshaped(state_dict: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor] | None:
    """Return the weights of a twin under the names and in the shapes of the network, or None if they do not fit."""
    own = weights_of(network)
    if [value.numel() for value in own.values()] != [value.numel() for value in state_dict.values()]:
        return None
    pairs = zip(own.items(), state_dict.values(), strict=True)
    return {name: theirs.reshape(ours.shape) for (name, ours), theirs in pairs}


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the state of a network without the grids of its layers."""
    return {name: value for name, value in network.state_dict().items() if not name.endswith("_extra_state")}
