"""Writes docs/models.md, a table of all networks: part of ``make results``.

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
from experiments.report.grid import Study
from wavenets.models import Network

ROOT = Path(__file__).parents[1]
SIZES = {
    "SampleCNN": (59049,),
    "OneDCNN": (50999,),
    "MNet": (88200,),
    "ScalogramNet": (88200,),
    "CNN": (28, 28),
    "ResNet": (224, 224),
}
HEAD = """# Models

Written by `make results`. One row for each file of `conf/model/`, as `model=NAME` chooses it; `model.base`,
`model.rotations`, `model.form` and the [other options](api/models.md#wavenets.models.Options) change it, with a `+`
before what is not in the file. Multiply-adds are those of convolutions and linear layers for one input of the size
given. Accuracy is in percent, with the study of [the results](results.md) that trains the network as it stands here.

| `model=` | class, in `wavenets.models` | parameters | input | multiply-adds | accuracy |
|---|---|--:|---|--:|---|
"""


def composed(*overrides: str) -> DictConfig:
    """The configuration of a training."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return compose("train", overrides=list(overrides))


def accuracies() -> list[tuple[DictConfig, str]]:
    """What the studies have trained: the configuration of a network, and its accuracy."""
    found = []
    for file in sorted((ROOT / "docs" / "results").glob("*.json")):
        study = Study.load(file)
        for name, arm in study.arms.items():
            cells = [cell.test for cell in study.cells if cell.arm == name and cell.fraction == 1]
            if cells:
                model = composed(*arm.overrides).model
                found.append((model, f"{100 * mean(cells):.1f} ({study.name}: {name})"))
    return found


def cost(network: Network, size: tuple[int, ...]) -> int:
    """The multiply-adds of a network for one input."""
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


def row(file: Path, trained: list[tuple[DictConfig, str]]) -> str:
    """The line of one network."""
    config = composed("experiment=synthetic_m5", f"model={file.stem}").model
    kind = config._target_.rpartition(".")[2]
    classes = 50 if "SampleCNN" in kind else 10
    network: Network = instantiate(config, num_classes=classes)
    size = next(size for name, size in SIZES.items() if name in kind)
    shown = " × ".join(f"{n:,}" for n in (network.in_channels, *size))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    options = "".join(f", {key}={config[key]!r}" for key in ("depth", "base", "rotations", "form") if config.get(key))
    accuracy = "; ".join(text for model, text in trained if model == config)
    cells = [f"`{file.stem}`", f"`{kind}({options[2:]})`", f"{parameters:,}", shown]
    return " | ".join(["", *cells, f"{cost(network, size) / 1e6:,.0f} M", accuracy, ""]).strip()


def main() -> None:
    """Runs the command."""
    trained = accuracies()
    rows = [row(file, trained) for file in sorted((ROOT / "conf" / "model").glob("*.yaml"))]
    page = Path(__file__).with_suffix(".md")
    page.write_text(HEAD + "\n".join(rows) + "\n")
    print(page)


if __name__ == "__main__":
    main()
