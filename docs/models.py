"""Write docs/models.md, a table of all networks: part of ``make results``.

Multiply-adds are those of convolutions and linear layers for one input, counted on shapes alone; rescaling, norms and
pooling are not among them. Accuracies are those of the studies in docs/results that train a network as it stands here.

    python -m docs.models
"""

from pathlib import Path
from statistics import mean
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from benchmarks.limits import GROUP, LIFTING, PLAIN, multiply_adds
from experiments.networks import Own
from experiments.report.grid import Study

ROOT = Path(__file__).parents[1]
SIZES = {
    "SampleCNN": (59049,),
    "OneDCNN": (50999,),
    "MNet": (88200,),
    "ScalogramNet": (88200,),
    "LogMelCNN": (32000,),
    "CNN": (28, 28),
    "ResNet": (224, 224),
    "UNet": (256, 256),
}
NETS = (
    *(f"model=mnet model.depth={depth}" for depth in (3, 5, 11, 18, 34)),
    *(f"model=mnet model.depth={depth} model.base=2" for depth in (3, 5, 11, 18, 34)),
    "model=mnet model.base=2 model.form=shared model.num_scales=5",
    *("model=one_d_cnn", "model=one_d_cnn model.base=2", "model=sample_cnn", "model=sample_cnn model.base=2"),
    "model=scalogram",
    "model=log_mel data.sample_rate=8000",
    "model=log_mel data.sample_rate=8000 model.base=3/2 model.num_scales=4 model.finer=1 model.dropout=0.2",
    *("model=cnn", "model=cnn model.rotations=4", "model=cnn model.rotations=4 model.mirrored=true"),
    "model=cnn model.base=1.4142135623730951 model.form=shared model.num_scales=5 model.dropout=0.3",
    *("model=resnet", "model=resnet model.base=2", "model=resnet model.rotations=4"),
    "model=resnet model.rotations=4 model.mirrored=true",
    *("model=unet model.width=34", "model=unet model.width=17 model.rotations=4"),
    "model=unet model.width=12 model.rotations=4 model.mirrored=true",
)
HEAD = """# Models

Written by `make results`. Each row is a choice of `train`; `model.base`, `model.rotations`, `model.form` and
the [other options](api/models.md#wavenets.models.Options) change it. Multiply-adds are those of convolutions and linear
layers for one input of the size given. Accuracy is in percent, with the study of [the results](results.md) that trains
the network with these options. The classes are those of `wavenets.models`, `LogMelCNN` of `experiments.models.log_mel`.

| choice | class | parameters | input | multiply-adds | accuracy |
|---|---|--:|---|--:|---|
"""


def composed(*overrides: str) -> DictConfig:
    """Return the configuration of a training."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return compose("train", overrides=list(overrides))


def accuracies() -> list[tuple[DictConfig, str]]:
    """Return the configuration and the accuracy of every network that the studies have trained."""
    found = []
    for file in sorted((ROOT / "docs" / "results").glob("*.json")):
        study = Study.load(file)
        for name, arm in study.arms.items():
            cells = [cell.test for cell in study.cells if cell.arm == name and cell.fraction == 1]
            if cells:
                model = composed(*arm.overrides).model
                found.append((model, f"{100 * mean(cells):.1f} ({study.name}: {name})"))
    return found


def cost(network: Own, size: tuple[int, ...]) -> int:
    """Return the multiply-adds of a network for one input."""
    counted = []

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        linear = isinstance(layer, nn.Linear)
        counted.append(output.numel() * layer.in_features if linear else multiply_adds(layer, inputs[0], output))

    for layer in network.modules():
        if isinstance(layer, (*LIFTING, *GROUP, *PLAIN, nn.Linear)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network.eval().to("meta")(torch.empty(1, network.in_channels, *size, device="meta"))
    return sum(counted)


def row(choice: str, trained: list[tuple[DictConfig, str]]) -> str:
    """Return the line of one network."""
    config = composed(*choice.split()).model
    kind = config._target_.rpartition(".")[2]
    size = SIZES[kind]
    config.in_channels = 3 if kind in ("ResNet", "UNet") else 1
    network: Own = instantiate(config, num_classes={"SampleCNN": 50, "UNet": 1}.get(kind, 10))
    shown = " × ".join(f"{n:,}" for n in (network.in_channels, *size))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    accuracy = "; ".join(text for model, text in trained if _options(model) == _options(config))
    cells = [f"`{choice}`", f"`{kind}`", f"{parameters:,}", shown]
    return " | ".join(["", *cells, f"{cost(network, size) / 1e6:,.0f} M", accuracy, ""]).strip()


def _options(model: DictConfig) -> dict[str, Any]:
    return {str(key): value for key, value in model.items() if value is not None and key != "in_channels"}


def main() -> None:
    """Run the command."""
    trained = accuracies()
    page = Path(__file__).with_suffix(".md")
    page.write_text(HEAD + "\n".join(row(choice, trained) for choice in NETS) + "\n", encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
