"""Networks of segmentation_models_pytorch."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from experiments.models.on_views import OnViews, Padded, named, required


class Smp(OnViews):
    """A network of segmentation_models_pytorch, for images of any size.

    Args:
        name: Its class, such as Unet or FPN.
        num_classes: Number of logits.
        encoder: The name of its encoder.
        in_channels: Number of channels.
        pretrained: Weights of the encoder. True: those for ImageNet. A text: a file of them, or another name that the
            library knows for this encoder. ``None``: random weights.
        **group: See `OnViews`.

    Raises:
        ImportError: segmentation_models_pytorch is missing.
        ValueError: It has no such network or encoder.
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        encoder: str = "resnet34",
        in_channels: int = 3,
        pretrained: bool | str | None = None,
        **group: Any,
    ) -> None:
        smp = required("segmentation_models_pytorch")
        known = {kind.__name__: kind for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()}
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
            raise ValueError(f"model.name={name} is not a network of segmentation_models_pytorch; {remedy}")
        self.kind, self.options = known[name], {"encoder_name": encoder, "classes": num_classes}
        with named("encoder", encoder):
            network = self.kind(**self.options, in_channels=in_channels, encoder_weights=None)
        network.requires_divisible_input_shape = False  # as it is padded
        super().__init__(Padded(network, network.encoder.output_stride), in_channels, maps=True, **group)
        self.pretrained = pretrained

    def load_pretrained(self) -> None:
        """Load the weights of the encoder that ``pretrained`` names.

        Raises:
            ValueError: They are missing, or do not fit.
        """
        if not self.pretrained:
            return
        encoder = self.plain.network.encoder
        with named("pretrained", self.pretrained):
            if Path(str(self.pretrained)).is_file():
                made = self.kind(**self.options, encoder_weights=None).encoder
                made.load_state_dict(_of_encoder(str(self.pretrained)))
                made.set_in_channels(self.in_channels, pretrained=True)
            else:
                weights = "imagenet" if self.pretrained is True else self.pretrained
                made = self.kind(**self.options, in_channels=self.in_channels, encoder_weights=weights).encoder
            encoder.load_state_dict(made.state_dict())


def _of_encoder(file: str) -> dict[str, Any]:
    """Read the weights of an encoder, from a file of these alone or of a whole network."""
    if file.endswith(".safetensors"):
        weights = required("safetensors.torch").load_file(file)
    else:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    whole = any(key.startswith("encoder.") for key in weights)
    return {key.removeprefix("encoder."): w for key, w in weights.items() if not whole or key.startswith("encoder.")}
