"""Latency and real-time factor of M5 and W-M5 on one second of sound at 8 kHz: eager, compiled, in onnxruntime.

A real-time factor of 0.01 means that one thread processes a second of sound in 10 ms. All are timed in turn,
round after round, in one run.

    python -m benchmarks.latency
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.timing import Step, seconds
from experiments.evaluation.formats import to_onnx
from experiments.export import example
from experiments.files import write_json
from wavenets.models import MNet

RATE = 8000  # samples of a second
NETWORKS = {
    "M5": lambda: MNet(5),
    "W-M5, shared form": lambda: MNet(5, form="shared", base=2),
    "W-M5, published form": lambda: MNet(5, base=2),
}


def steps(network: nn.Module, folder: Path) -> dict[str, Step]:
    """Return a forward pass on one second for each way of running it."""
    network.eval().requires_grad_(False)
    x = torch.randn(1, 1, RATE)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "eager": network,
        "compiled": torch.compile(network),
        "onnxruntime": to_onnx(network, *example(network), {}, folder / "network.onnx"),
    }
    return {way: partial(run, x) for way, run in ways.items()}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.latency", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20, help="how often all are timed in turn")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder for a JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    timed: dict[str, Step] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in NETWORKS.items():
            timed |= {f"{name}|{way}": step for way, step in steps(make(), Path(folder)).items()}
        for step in timed.values():
            step()
        times = seconds(timed, 1, options.rounds, "one second at 8 kHz")
    rows: list[dict[str, Any]] = []
    for key, measured in times.items():
        name, way = key.split("|")
        rows.append({
            "network": name,
            "way": way,
            "seconds": statistics.median(measured),  # of one second of sound: the real-time factor
            "fastest": min(measured),
            "ratio": statistics.median(a / b for a, b in zip(measured, times[f"M5|{way}"], strict=True)),
        })  # fmt: skip
    title = f"one second at 8 kHz, batch 1, float32, CPU, 1 thread, torch {torch.__version__}"
    table = Table("", "", "median", "fastest", "real-time factor", "× M5", title=title)
    for row in rows:
        table.add_row(
            row["network"],
            row["way"],
            f"{row['seconds'] * 1e3:.1f} ms",
            f"{row['fastest'] * 1e3:.1f} ms",
            f"{row['seconds']:.4f}",
            f"{row['ratio']:.2f}",
        )
    Console(width=max(Console().width, 110)).print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "latency.json", {"title": title, "rows": rows})
    print(f"in {options.out / 'latency.json'}")


if __name__ == "__main__":
    main()
