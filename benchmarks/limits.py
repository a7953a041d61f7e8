"""The least cost of each layer, by its multiply-adds and the bytes that it must move, and its actual cost.

The least time of a layer is its multiply-adds at the speed of a large matrix product, or its bytes at the speed of a
copy, whichever is longer; both speeds are measured first. A layer must read its input and write its output once, and in
a training step read the gradient of its output and write that of its input as well. Layers are timed alone, each on the
input that it has in the network.

    python -m benchmarks.limits                     W-M11 on 16 waveforms of 88,200 samples, and M11
    python -m benchmarks.limits --dim 2             ResNet-18, scale-equivariant and plain, on 32 images of 224 × 224
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from benchmarks.timing import as_levels, duration
from experiments.files import write_json
from wavenets.models import MNet, Network, ResNet
from wavenets.nn import (
    BatchNorm,
    GroupConv1d,
    GroupConv2d,
    LiftingConv1d,
    LiftingConv2d,
    MaxPool1d,
    MaxPool2d,
    PerLevel,
)

NETWORKS: dict[int, list[Callable[[], Network]]] = {
    1: [lambda: MNet(11, base=2), lambda: MNet(11)],
    2: [lambda: ResNet(num_scales=4, base=2), lambda: ResNet()],
}
SHAPES = {1: (16, 1, 88200), 2: (32, 3, 224, 224)}

LIFTING = LiftingConv1d, LiftingConv2d
GROUP = GroupConv1d, GroupConv2d
PLAIN = nn.Conv1d, nn.Conv2d
LAYERS = (
    *LIFTING,
    *GROUP,
    *PLAIN,
    PerLevel,
    BatchNorm,
    MaxPool1d,
    MaxPool2d,
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool1d, nn.MaxPool2d),
)


def layers_of(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers of a network by name; no layer is part of another."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        found += [(name, child)] if isinstance(child, LAYERS) else [(f"{name}.{n}", x) for n, x in layers_of(child)]
    return found


def multiply_adds(layer: nn.Module, input: Any, output: Any) -> int:
    """Return the multiply-adds of the convolutions. T, norms, ReLU and pooling count by their bytes."""
    if isinstance(layer, LIFTING):
        sizes = [level[0, 0].numel() * layer.max_pool**layer.ndim for level in as_levels(output)]
        return len(input) * layer.weight.numel() * sum(sizes)
    if isinstance(layer, GROUP):
        # Slice k of the kernel is computed on level i + k, on the grid of that level.
        sizes = [level[0, 0].numel() // layer.stride**layer.ndim for level in input]
        spans = (sum(sizes[k : k + len(output)]) for k in range(layer.scale_extent))
        return len(input[0]) * layer.weight[:, :, 0].numel() * sum(spans)
    if isinstance(layer, PLAIN):
        return len(input) * layer.weight.numel() * output[0, 0].numel()
    return 0


def moved(input: Any, output: Any) -> int:
    """Return the bytes of the input and of the output."""
    return sum(x.numel() * x.element_size() for x in (*as_levels(input), *as_levels(output)))


def speeds(device: str, threads: int) -> tuple[float, float]:
    """Return the multiply-adds per second of a matrix product, and the bytes per second of a copy, read and written."""
    a = torch.randn(4096, 512, device=device)
    b = torch.randn(512, 4096, device=device)
    source = torch.randn(2**25, device=device)
    target = torch.empty_like(source)
    product = 4096 * 512 * 4096 / duration(lambda: torch.mm(a, b), threads)
    return product, 2 * source.nbytes / duration(lambda: target.copy_(source), threads)


def inputs_of(network: Network, x: Tensor) -> dict[str, tuple[Any, Any]]:
    """Return the input and the output of each layer."""
    seen: dict[str, tuple[Any, Any]] = {}
    layers = layers_of(network)
    hooks = [
        layer.register_forward_hook(lambda _, i, o, name=name: seen.__setitem__(name, (i[0], o)))
        for name, layer in layers
    ]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return seen


def measure(network: Network, x: Tensor, compute: float, copy: float, threads: int) -> list[dict[str, Any]]:
    """Return a row for each layer."""
    rows, layers = [], dict(layers_of(network))
    for name, (input, output) in track(inputs_of(network.train(), x).items(), type(network).__name__):
        layer, first = layers[name], input is x
        leaves = [level.detach().clone().requires_grad_(not first) for level in as_levels(input)]
        argument = leaves if isinstance(input, tuple | list) else leaves[0]
        gradients = [torch.randn_like(level) for level in as_levels(output)]
        wanted = [*([] if first else leaves), *layer.parameters()]

        def forward(layer: nn.Module = layer, argument: Any = argument) -> None:
            with torch.no_grad():
                layer(argument)

        def training(
            layer: nn.Module = layer, argument: Any = argument, wanted: Any = wanted, gradients: Any = gradients
        ) -> None:
            torch.autograd.grad(as_levels(layer(argument)), wanted, gradients)

        macs, data = multiply_adds(layer, input, output), moved(input, output)
        row = {"layer": name, "kind": type(layer).__name__, "multiply_adds": macs, "bytes": data}
        passes = 2 if first else 3  # forward, gradient of the kernel, gradient of the input
        for mode, step, factor, moves in (("forward", forward, 1, 1), ("training", training, passes, 2)):
            row[f"{mode}_limit"] = max(factor * macs / compute, moves * data / copy)
            row[mode] = duration(step, threads)
        rows.append(row)
    return rows


def show(rows: list[dict[str, Any]], title: str) -> None:
    """Print the table."""
    table = Table("layer", "kind", title=title)
    for name in ("10⁹ multiply-adds", "MB", "forward", "÷ limit", "training", "÷ limit"):
        table.add_column(name, justify="right")
    names = "multiply_adds", "bytes", "forward", "forward_limit", "training", "training_limit"
    total = {"layer": "all", "kind": "", **{name: sum(row[name] for row in rows) for name in names}}
    for row in (*rows, total):
        table.add_row(
            row["layer"],
            row["kind"],
            f"{row['multiply_adds'] / 1e9:.2f}" if row["multiply_adds"] else "",
            f"{row['bytes'] / 1e6:,.0f}",
            *(
                text
                for mode in ("forward", "training")
                for text in (f"{row[mode] * 1e3:,.0f} ms", f"{row[mode] / row[f'{mode}_limit']:.1f}")
            ),
            end_section=row is rows[-1],
        )
    Console(width=max(Console().width, 110)).print(table)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.limits", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--dim", type=int, default=1, choices=[1, 2], help="1: waveforms, 2: images")
    parser.add_argument("--batch", type=int, help="inputs in a batch")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder for a JSON file")
    options = parser.parse_args()
    batch, *shape = SHAPES[options.dim]
    x = torch.randn(options.batch or batch, *shape, device=options.device)
    compute, copy = speeds(options.device, options.threads)
    print(f"matrix product {compute / 1e9:,.0f} · 10⁹ multiply-adds per second, copy {copy / 1e9:,.1f} GB per second")
    results = {}
    for make in NETWORKS[options.dim]:
        network = make().to(options.device)
        rows = measure(network, x, compute, copy, options.threads)
        results[type(network).__name__] = rows
        show(rows, f"{type(network).__name__} on {tuple(x.shape)}, float32, {options.device}")
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"limits_{options.dim}d_{options.device}.json"
    write_json(file, {"multiply_adds_per_second": compute, "bytes_per_second": copy, **results})
    print(f"in {file}")


if __name__ == "__main__":
    main()
