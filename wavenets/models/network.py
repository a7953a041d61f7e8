"""A classifier of four parts, which all nets of the package are."""

import bisect
import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from wavenets.levels import check_floating
from wavenets.models import pretrained


class Network(nn.Module):
    """A classifier: stem (the lifting convolution, or a plain one), body, classifier, readout.

    Args:
        stem: From the signal to features.
        body: From features to features.
        classifier: From features to logits, at every position.
        readout: From these to (B, num_classes).
        in_channels: Channels of the signal.
        ndim: 1 (waveforms) or 2 (images).
        normalize: If True, each signal is divided by its root mean square first, so that loudness says nothing.
            Equivariance is then exact from there on: T takes what is above the new Nyquist frequency out of a signal,
            and so changes its root mean square.

    Shape:
        (B, C, L) or (B, C, H, W) -> logits (B, num_classes). ``min_size`` is the least L, H and W.

    Attributes:
        arguments: What the network was made with, by name.
        about: What is told of it in the card that it was loaded from, such as the classes.
    """

    arguments: dict[str, Any]
    about: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Notes the arguments, so that no network needs to: without them it could not be made again from its file."""
        network = super().__new__(cls)
        names = list(inspect.signature(cls.__init__).parameters)[1:]
        network.arguments = dict(zip(names, args, strict=False)) | kwargs
        network.about = {}
        return network

    def __init__(
        self,
        stem: nn.Module,
        body: nn.Module,
        classifier: nn.Module,
        readout: nn.Module,
        in_channels: int = 1,
        ndim: int = 1,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.body = body
        self.classifier = classifier
        self.readout = readout
        self.in_channels = in_channels
        self.ndim = ndim
        self.normalize = normalize

    def features(self, x: Tensor) -> Any:
        """The features before the classifier: a tensor, or of a wavelet network ``Levels``.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).

        Raises:
            ValueError: If x has another shape, or is smaller than ``min_size``.
        """
        return self._trunk(x, lambda y: self.body(y))

    def stages(self, x: Tensor) -> list[Any]:
        """The features at the end of each stage, finest first: C2 … C5 of a ResNet, as a detector takes them.

        A stage ends where the next layer makes the features smaller, and at the end.

        Args:
            x: Signal of shape (B, C, L) or (B, C, H, W).

        Raises:
            ValueError: If x has another shape, or is smaller than ``min_size``.

        Example:
            >>> from wavenets.models import WaveletResNet
            >>> net = WaveletResNet(num_classes=5, form="shared", num_scales=2, width=8)
            >>> [[tuple(level.shape[1:]) for level in stage] for stage in net.stages(torch.randn(1, 3, 64, 96))]
            [[(8, 16, 24), (8, 8, 12)], [(16, 8, 12), (16, 4, 6)], [(32, 4, 6), (32, 2, 3)], [(64, 2, 3), (64, 1, 2)]]
        """

        def ends(y: Any) -> list[Any]:
            stages = []
            for layer in self.body.children():
                before, y = y, layer(y)
                if _finest(y).shape[2:] != _finest(before).shape[2:]:
                    stages.append(before)
            return [*stages, y]

        return self._trunk(x, ends)

    def _trunk(self, x: Tensor, body: Callable[[Any], Any]) -> Any:
        """Looks at the signal, and runs a body after the stem."""
        if x.ndim != self.ndim + 2 or x.shape[1] != self.in_channels:
            shape = ("L", "H, W")[self.ndim - 1]
            raise ValueError(f"expected an input of shape (B, {self.in_channels}, {shape}), got {tuple(x.shape)}")
        check_floating(x)
        if self.normalize:
            x = normalized(x)
        try:
            return body(self.stem(x))
        except (RuntimeError, ValueError) as error:
            if self._fits(x.shape[2:]):
                raise
            size = " × ".join(map(str, x.shape[2:]))
            unit = ("samples", "pixels a side")[self.ndim - 1]
            message = f"{type(self).__name__} needs at least {self.min_size} {unit}, got {size}"
            raise ValueError(message) from error

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.classifier(self.features(x)))

    def save_pretrained(self, folder: str | Path, about: Mapping[str, Any] | None = None) -> None:
        """Writes model.safetensors, and card.json: class, arguments, version of wavenets, and what there is to tell.

        ``huggingface_hub.upload_folder`` puts such a folder on the hub.

        Args:
            folder: Where they go; it is made if need be.
            about: What there is to tell, in plain values, such as the classes; None is the network's own ``about``.

        Raises:
            ImportError: If safetensors is missing.
            ValueError: If an argument is no plain value, as of a network that was made of modules.

        Example:
            >>> import tempfile
            >>> from wavenets.models import WaveletDigitCNN
            >>> folder = tempfile.mkdtemp()
            >>> WaveletDigitCNN(2, rotations=4, num_scales=3).save_pretrained(folder, {"classes": ["cat", "dog"]})
            >>> net = Network.from_pretrained(folder)
            >>> type(net).__name__, net.arguments["rotations"], net.about["classes"]
            ('WaveletDigitCNN', 4, ['cat', 'dog'])
        """
        pretrained.save(self, Path(folder), self.about if about is None else about)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """Makes the network that ``save_pretrained`` wrote, in eval mode. The files are data, and run nothing.

        Args:
            name: A folder, or a name on the Hugging Face hub, such as ``"user/network"``.

        Returns:
            The network, of the class that its card names: one of ``wavenets.models``, or the one this is called on.

        Raises:
            FileNotFoundError: If there is no such folder, or a file is missing in it.
            ImportError: If safetensors is missing, or huggingface_hub where the name is no folder.
            ValueError: If a file is damaged or something else, or the card names another class.
        """
        return pretrained.load(cls, name)

    def load_plain(self, state_dict: Mapping[str, Tensor]) -> None:
        """Loads the weights of the plain twin into a net of the shared form without rotations.

        The layers are the same in the same order; only their names differ, and by an axis of one scale their shapes.

        Args:
            state_dict: Of the plain twin.

        Raises:
            ValueError: If the shapes do not fit: the net is of another form, width or number of classes.
        """
        weights = reshaped(state_dict, self)
        if weights is None:
            raise ValueError(
                f"{type(self).__name__} does not take these weights: it must have form='shared', no scale extent, no "
                "rotations, and the plain twin's width and classes"
            )
        self.load_state_dict(weights)

    @functools.cached_property
    def min_size(self) -> int:
        """The least size of input that the network takes, found by running its shapes without data.

        Raises:
            ValueError: If it takes none of up to 2^24 samples.
        """
        large = 1
        while not self._fits([large] * self.ndim):
            large *= 2
            if large > 2**24:
                raise ValueError(f"{type(self).__name__} takes no input, of whatever size")
        return bisect.bisect_left(range(large), True, key=lambda size: self._fits([size] * self.ndim))

    @torch.no_grad()
    def _fits(self, size: Any) -> bool:
        """Whether the network takes an input of this size."""
        trunk = nn.Sequential(self.stem, self.body)
        state = {**dict(trunk.named_parameters()), **dict(trunk.named_buffers())}
        shapes = {name: torch.empty(x.shape, dtype=x.dtype, device="meta") for name, x in state.items()}
        dtype = next(iter(shapes.values())).dtype
        x = torch.empty(2, self.in_channels, *size, dtype=dtype, device="meta")
        try:
            functional_call(trunk, shapes, x)
        except (RuntimeError, ValueError):
            return False
        return True


def normalized(x: Tensor) -> Tensor:
    """Divides each signal by its root mean square, so that loudness says nothing; silence stays silence."""
    precise = x if x.dtype == torch.float64 else x.float()  # in half precision squares overflow, and vanish
    rms = precise.square().mean(tuple(range(1, x.ndim)), keepdim=True).sqrt().clamp(min=1e-5)
    return (precise / rms).to(x.dtype)


def reshaped(state_dict: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor] | None:
    """Gives the weights of a network's twin under its own names and in its own shapes; None: they do not fit."""
    own = weights_of(network)
    if [value.numel() for value in own.values()] != [value.numel() for value in state_dict.values()]:
        return None
    pairs = zip(own.items(), state_dict.values(), strict=True)
    return {name: theirs.reshape(ours.shape) for (name, ours), theirs in pairs}


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Gives a network's state without what its layers say of their grids."""
    return {name: value for name, value in network.state_dict().items() if not name.endswith("_extra_state")}


def _finest(features: Any) -> Tensor:
    return features if isinstance(features, Tensor) else features[0]
