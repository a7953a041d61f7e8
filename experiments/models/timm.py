"""Networks of timm."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from experiments.models.on_views import OnViews, named, required


class Timm(OnViews):
    """A network of timm that classifies images.

    Args:
        name: Its name in timm.
        num_classes: Number of logits.
        in_channels: Number of channels.
        pretrained: True: timm's weights for this name. A text: a file of weights for it, or their name on the Hugging
            Face hub. ``None``: random weights.
        **group: See `OnViews`.

    Raises:
        ImportError: timm is missing.
        ValueError: timm has no such network.
    """

    def __init__(
        self, name: str, num_classes: int, in_channels: int = 3, pretrained: bool | str | None = None, **group: Any
    ) -> None:
        timm = required("timm")
        if not timm.is_model(name):
            near = ", ".join(get_close_matches(str(name), timm.list_models(), 3))
            remedy = f"did you mean {near}?" if near else "timm.list_models() returns their names"
            raise ValueError(f"model.name={name} is not a network of timm; {remedy}")
        self.options = {"model_name": name, "num_classes": num_classes, "in_chans": in_channels}
        with named("name", name):
            network = timm.create_model(**self.options)
        super().__init__(network, in_channels, **group)
        self.pretrained = pretrained

    def load_pretrained(self) -> None:
        """Load the weights that ``pretrained`` names. A head of another number of classes stays random.

        Raises:
            ValueError: They are missing, or do not fit.
        """
        if not self.pretrained:
            return
        overlay = None if self.pretrained is True else {source(self.pretrained): self.pretrained}
        with named("pretrained", self.pretrained):
            made = required("timm").create_model(**self.options, pretrained=True, pretrained_cfg_overlay=overlay)
        self.plain.load_state_dict(made.state_dict())


def source(pretrained: str) -> str:
    """Return which entry of timm's configuration a text is for: ``file`` or ``hf_hub_id``.

    Example:
        >>> source("timm/resnet18.a1_in1k")
        'hf_hub_id'
    """
    if Path(pretrained).is_file():
        return "file"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", pretrained):
        return "hf_hub_id"
    raise ValueError(f"model.pretrained={pretrained} is neither true, nor a file, nor a name on the hub, user/network")
