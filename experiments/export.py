"""Exports a trained network, to run without this package: `python -m experiments.export --help`."""

from experiments.answers import CONF, answer

if __name__ == "__main__":
    answer("export")  # help and mistyped keys, before the imports that take seconds

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.export import Dim

from experiments.card import Card, find_checkpoint, load_network
from experiments.data.inputs import Image, Waveform
from experiments.errors import one_line_errors
from experiments.evaluation.formats import FORMATS, SUFFIXES, Run
from experiments.evaluation.views import asked_views, on_views
from experiments.training.tasks.multi_label import MultiLabel
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.task import Task
from experiments.trust import as_list
from wavenets.models import Network

TOLERANCE = 1e-5  # of the largest logit, or of 1


def example(
    network: Any, shape: Sequence[int] | None = None, wrapped: nn.Module | None = None
) -> tuple[Tensor, dict[int, Any]]:
    """Return an input to trace the network with, and which of its dimensions are free: all but the channels.

    Args:
        network: The network.
        shape: Shape of one input, such as (1, 8000). ``None``: the shape that the network takes.
        wrapped: The network on views, which needs larger inputs. ``None``: there are no views.

    Raises:
        ValueError: The network does not declare ``ndim``, ``in_channels`` and ``min_size``, and ``shape`` is not set.
    """
    least: int = max(getattr(network, "min_size", 0), getattr(wrapped, "min_size", 0))
    if shape is None:
        if not all(hasattr(network, name) for name in ("ndim", "in_channels", "min_size")):
            raise ValueError("set shape=[channels,samples] or shape=[channels,height,width] for this network")
        size = 2 * least + 1
        # With one pixel at a level, inductor takes memory layouts for equal that differ where there are more pixels.
        while network.ndim == 2 and _coarsest(network, size * network.min_size // least) == 1:
            size *= 2
        shape = [network.in_channels, *(size + 2 * dim for dim in range(network.ndim))]
    if not isinstance(shape, Sequence) or len(shape) not in (2, 3) or not all(type(n) is int and n > 0 for n in shape):
        raise ValueError(f"shape={shape} is not [channels,samples] or [channels,height,width]")
    names = ("length",) if len(shape) == 2 else ("height", "width")
    # Where the network does not say its least size, the export finds it.
    sizes = {dim: Dim(name, min=least) if least else Dim.DYNAMIC for dim, name in enumerate(names, start=2)}
    return torch.randn(2, *shape), {0: Dim("batch", min=1), **sizes}


@torch.no_grad()
def _coarsest(network: Network, size: int) -> int:
    features = network.features(torch.zeros(1, network.in_channels, size, size))
    return min(level.shape[-1] for level in (features if isinstance(features, tuple) else (features,)))


def metadata(network: nn.Module, card: Card, task: Task) -> dict[str, str]:
    """Return what a user of the file must know of the network of a run, as texts."""
    sound = card.input if isinstance(card.input, Waveform) else None
    one_logit = isinstance(task, MultiLabel) or task.num_outputs == 1
    logits = f"logits: {'sigmoid' if one_logit else 'softmax'} gives probabilities"
    return {
        "classes": json.dumps(card.classes),
        "input": "waveforms from -1 to 1: (batch, channels, samples)" if sound else "images from 0 to 1",
        "sample_rate": json.dumps(sound and sound.sample_rate),
        "num_samples": json.dumps(sound and sound.num_samples),
        "normalization": normalization(network, card),
        "output": "normalized numbers: times std, plus mean of the task" if isinstance(task, Regression) else logits,
        **{key: json.dumps(card.config[key]) for key in ("model", "task")},
        "name": str(card.config.get("name")),
    }


def normalization(network: nn.Module, card: Card) -> str:
    """Return in words how a network normalises its inputs."""
    if isinstance(card.input, Image) and card.input.mean is not None:
        return f"minus {list(card.input.mean)}, divided by {list(card.input.std or ())}, by the network itself"
    return "root mean square, by the network itself" if getattr(network, "normalize", False) else "none"


@torch.no_grad()
def difference(network: nn.Module, run: Run, x: Tensor) -> float:
    """Return the largest difference between exported and eager logits, of one input, of several, and of larger ones.

    Raises:
        ValueError: The difference is larger than that of rounding.
    """
    worst = 0.0
    for inputs in x[:1], torch.cat([x, -x, x]), x.repeat(1, 1, *(2 for _ in x.shape[2:])):
        logits = network(inputs)
        worst = max(worst, float((run(inputs) - logits).abs().max()))
        if not worst <= TOLERANCE * max(1.0, float(logits.abs().max())):
            raise ValueError(
                f"the exported network differs from the trained one by {worst:.1e} in a logit; choose another format"
            )
    return worst


def export(cfg: DictConfig) -> tuple[Path, float]:
    """Export the network of a checkpoint.

    Args:
        cfg: The composed configuration, see conf/export.yaml.

    Returns:
        The file, and the largest difference between its outputs and those of the network.

    Raises:
        FileNotFoundError: The checkpoint, or the folder of the file, is missing.
        ValueError: The checkpoint is damaged, or a value is wrong.
    """
    if cfg.format not in FORMATS:
        raise ValueError(f"format={cfg.format} is unknown; choose one of {', '.join(FORMATS)}")
    if cfg.opset is not None and cfg.format != "onnx":
        raise ValueError(f"opset={cfg.opset} is for format=onnx, not for format={cfg.format}")
    if cfg.opset is not None and (type(cfg.opset) is not int or cfg.opset < 1):
        raise ValueError(f"opset={cfg.opset} is not a whole number, such as opset=18")
    checkpoint = find_checkpoint(cfg.ckpt)
    suffix = SUFFIXES[cfg.format]
    file = Path(cfg.out).expanduser() if cfg.out is not None else checkpoint.with_suffix(suffix)
    if not file.name.endswith(ending := "." + suffix.rpartition(".")[2]):
        raise ValueError(f"out={file} must end in {ending}")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file.parent} not found; create this folder for {file.name}, or set out=…")
    if cfg.views.thickness is not None:
        raise ValueError(f"views.thickness={cfg.views.thickness} depends on data and cannot be exported; leave it out")
    network, card = load_network(checkpoint, trust := as_list(cfg.trust))
    task = card.task(trust)
    network.requires_grad_(False)
    wrapped = on_views(network, task, cfg.views)
    about = metadata(network, card, task) | {
        "min_size": json.dumps(getattr(wrapped, "min_size", None)),
        "views": json.dumps(asked_views(cfg.views)),
    }
    x, free = example(network, cfg.shape, wrapped)
    unfinished = file.with_stem(f"{file.stem}.partial")
    try:
        run = FORMATS[cfg.format](
            wrapped, x, free, about, unfinished, **({} if cfg.opset is None else {"opset": cfg.opset})
        )
        worst = difference(wrapped, run, torch.randn(x.shape))
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return file, worst


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="export")
def main(cfg: DictConfig) -> None:
    """Run the command."""
    with one_line_errors():
        file, worst = export(cfg)
        print(f"{file}, {file.stat().st_size / 2**20:.1f} MiB, within {worst:.0e} of the trained network")


if __name__ == "__main__":
    main()
