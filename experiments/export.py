"""Exports a trained network, to run without this package: `python -m experiments.export --help`."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import hydra
import sympy
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from experiments.errors import one_line_errors
from experiments.run import Card, find_checkpoint, load_network
from experiments.training.task import MultiLabel, Task
from experiments.trust import as_list
from wavenets.models import Network

SUFFIXES = {"onnx": ".onnx", "export": ".pt2", "aot": ".aot.pt2"}
TOLERANCE = 1e-5  # of the largest logit, or of 1

Run = Callable[[Tensor], Tensor]


def example(network: nn.Module, shape: Sequence[int] | None = None) -> tuple[Tensor, dict[int, Any]]:
    """Gives an input to trace the network with, and which of its dimensions are free: all but the channels.

    Args:
        network: The network.
        shape: Of one input, such as (1, 8000); None: as the network takes it.

    Raises:
        ValueError: The network is not of this package, so that it must be said.
    """
    least = 1
    if shape is None:
        if not isinstance(network, Network):
            raise ValueError("shape=[channels,samples] or [channels,height,width] must be given for this network")
        least = network.min_size
        size = 2 * least + 1
        # With one pixel at a level, inductor takes memory layouts for equal that are not where there are more of them.
        while network.ndim == 2 and _coarsest(network, size) == 1:
            size *= 2
        shape = [network.in_channels, *(size + 2 * dim for dim in range(network.ndim))]
    names = ("length",) if len(shape) == 2 else ("height", "width")
    sizes = {dim: Dim(name, min=least) for dim, name in enumerate(names, start=2)}
    return torch.randn(2, *shape), {0: Dim("batch", min=1), **sizes}


@torch.no_grad()
def _coarsest(network: Network, size: int) -> int:
    features = network.features(torch.zeros(1, network.in_channels, size, size))
    return min(level.shape[-1] for level in (features if isinstance(features, tuple) else (features,)))


def program(network: nn.Module, x: Tensor, free: dict[int, Any]) -> ExportedProgram:
    """Gives the network as one graph for all batches and sizes."""
    # To find out a convolution's layout in memory torch asks whether its input has more than one sample, and would
    # hold every input to the answer. While exporting, all is row by row.
    layout = patch("torch._C._conv_determine_backend_memory_format", lambda *_: torch.contiguous_format)
    with _quick(), _oblivious(), layout:
        options: Any = {"dynamic_shapes": (free,), "prefer_deferred_runtime_asserts_over_guards": True}
        return torch.export.export(network, (x,), **options)


def to_onnx(network: nn.Module, x: Tensor, free: dict[int, Any], metadata: Mapping[str, str], file: Path) -> Run:
    """Writes an ONNX file and gives it as onnxruntime runs it."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error}: format=onnx needs pip install 'wavenets[export]'") from error
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with _quick():
        made = torch.onnx.export(
            network, (x,), dynamic_shapes=(free,), input_names=["input"], output_names=["logits"], verbose=False
        )
    assert made is not None
    made.model.metadata_props.clear()
    made.model.metadata_props.update(metadata)
    made.save(file, external_data=False)
    session = onnxruntime.InferenceSession(file)
    return lambda x: torch.from_numpy(session.run(None, {"input": x.numpy()})[0])


def to_export(network: nn.Module, x: Tensor, free: dict[int, Any], metadata: Mapping[str, str], file: Path) -> Run:
    """Writes an archive of ``torch.export``, the metadata in it as metadata.json, and gives it as it is loaded."""
    torch.export.save(program(network, x, free), file, extra_files={"metadata.json": json.dumps(metadata)})
    loaded: Run = torch.export.load(file).module()
    return loaded


def to_aot(network: nn.Module, x: Tensor, free: dict[int, Any], metadata: Mapping[str, str], file: Path) -> Run:
    """Writes a package of machine code for this kind of processor, and gives it as it is loaded."""
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        raise FileNotFoundError("format=aot needs a C++ compiler, such as g++")
    configs = {"aot_inductor.metadata": dict(metadata)}
    exported = program(network, x, free)
    # Else a level that has one sample in the example would have one for good, and no error would say so.
    with _oblivious(), _expanding():
        torch._inductor.aoti_compile_and_package(exported, package_path=str(file), inductor_configs=configs)
    loaded: Run = torch._inductor.aoti_load_package(str(file))
    return loaded


FORMATS = {"onnx": to_onnx, "export": to_export, "aot": to_aot}


def metadata(network: nn.Module, card: Card, task: Task) -> dict[str, str]:
    """Gives what a user of the file must know, as texts."""
    sound = card.sample_rate is not None
    return {
        "classes": json.dumps(card.classes),
        "input": "waveforms from -1 to 1: (batch, channels, samples)" if sound else "images from 0 to 1",
        "sample_rate": json.dumps(card.sample_rate),
        "num_samples": json.dumps(card.num_samples),
        "min_size": json.dumps(getattr(network, "min_size", None)),
        "normalization": "root mean square, by the network itself" if getattr(network, "normalize", False) else "none",
        "output": f"logits: {'sigmoid' if isinstance(task, MultiLabel) else 'softmax'} gives probabilities",
        "model": json.dumps(card.config["model"]),
        "name": str(card.config.get("name")),
    }


@torch.no_grad()
def difference(network: nn.Module, run: Run, x: Tensor) -> float:
    """Gives the largest difference between exported and eager logits: of one input, of several, and of larger ones.

    Raises:
        ValueError: It is more than rounding.
    """
    worst = 0.0
    for inputs in x[:1], torch.cat([x, -x, x]), x.repeat(1, 1, *(2 for _ in x.shape[2:])):
        logits = network(inputs)
        worst = max(worst, float((run(inputs) - logits).abs().max()))
        if not worst <= TOLERANCE * max(1.0, float(logits.abs().max())):
            raise ValueError(f"the exported network gives other numbers than the trained one, by {worst:.1e}")
    return worst


def export(cfg: DictConfig) -> tuple[Path, float]:
    """Exports the network of a checkpoint.

    Args:
        cfg: The composed configuration, see conf/export.yaml.

    Returns:
        The file, and how far its numbers are from those of the network.

    Raises:
        FileNotFoundError: There is no such checkpoint, or no such folder.
        ValueError: The checkpoint or a value is no good.
    """
    if cfg.format not in FORMATS:
        raise ValueError(f"format={cfg.format} is none of {', '.join(FORMATS)}")
    checkpoint = find_checkpoint(cfg.ckpt)
    suffix = SUFFIXES[cfg.format]
    file = Path(cfg.out) if cfg.out is not None else checkpoint.with_suffix(suffix)
    if not file.name.endswith(ending := "." + suffix.rpartition(".")[2]):
        raise ValueError(f"out={file} must end in {ending}")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file.parent} not found, where {file.name} is to be written")
    trust = as_list(cfg.trust)
    network, card = load_network(checkpoint, trust)
    task = card.task(trust)
    network.requires_grad_(False)
    x, free = example(network, cfg.shape)
    unfinished = file.with_stem(f"{file.stem}.partial")
    try:
        run = FORMATS[cfg.format](network, x, free, metadata(network, card, task), unfinished)
        worst = difference(network, run, torch.randn(x.shape))
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return file, worst


def _quick() -> Any:
    return torch._dynamo.config.patch(fake_tensor_cache_enabled=False)  # with symbols for sizes it costs twice the time


def _oblivious() -> Any:
    # a size of 1 is then a size like any other
    return torch.fx.experimental._config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]


def _expanding() -> Any:
    # To find strides, inductor simplifies the difference of two indices with all that sympy has, which takes hours for
    # a deep net. Indices are sums of products: multiplied out, what is equal cancels.
    return patch("torch._inductor.sizevars.sympy", SimpleNamespace(**{**vars(sympy), "simplify": sympy.expand}))


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="export")
def main(cfg: DictConfig) -> None:
    """Runs the command."""
    with one_line_errors():
        file, worst = export(cfg)
        print(f"{file}, {file.stat().st_size / 2**20:.1f} MiB, within {worst:.0e} of the trained network")


if __name__ == "__main__":
    main()
