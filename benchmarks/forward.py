"""Time and peak memory of wavelet networks against their undecimated form and their plain twin.

All variants are timed in turn, round after round, in one run, so that a busy machine slows all of them; a ratio is the
median over the rounds. Memory is the rise of the peak in a fresh process per variant.

    python -m benchmarks.forward [--batch 8] [--length 88200] [--device cuda] [--out FOLDER]
"""

import argparse
import json
import multiprocessing
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn
from torch.utils.benchmark import Timer

from wavenets import ScaleGrid
from wavenets.models import MNet, WaveletMNet

MODES = "forward", "training step"
REFERENCE = "W-M11, decimated"
VARIANTS: dict[str, Callable[[], nn.Module]] = {
    REFERENCE: lambda: WaveletMNet(11),
    "W-M11, undecimated": lambda: WaveletMNet(11, grid=ScaleGrid(1, decimated=False)),
    "M11, plain": lambda: MNet(11),
}


def make_step(variant: str, mode: str, shape: tuple[int, ...], device: str) -> Callable[[], object]:
    """A call that does a forward pass without gradients, or one training step."""
    torch.manual_seed(0)
    net = VARIANTS[variant]().to(device).train(mode == "training step")
    x = torch.randn(shape, device=device)
    label = torch.zeros(shape[0], dtype=torch.long, device=device)
    optimizer = torch.optim.Adam(net.parameters())

    def forward() -> object:
        with torch.no_grad():
            return net(x)

    def training_step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(x), label).backward()
        optimizer.step()

    return training_step if mode == "training step" else forward


def seconds(steps: dict[str, Callable[[], object]], threads: int, rounds: int, label: str) -> dict[str, list[float]]:
    """Time of each variant in each round, in seconds."""
    times: dict[str, list[float]] = {variant: [] for variant in steps}
    for _ in track(range(rounds), f"Timing, {label}"):
        for variant, step in steps.items():
            timer = Timer("step()", globals={"step": step}, num_threads=threads)
            times[variant].append(timer.blocked_autorange(min_run_time=0.5).median)
    return times


def peak_memory(variant: str, mode: str, shape: tuple[int, ...], device: str, threads: int) -> float:
    """How much one call raises the memory in use at its peak, in bytes, measured in a process of its own (Linux)."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # freed tensors go back to the system at once
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_memory, (variant, mode, shape, device, threads))


def _peak_memory(variant: str, mode: str, shape: tuple[int, ...], device: str, threads: int) -> float:
    torch.set_num_threads(threads)
    make_step(variant, mode, (1, *shape[1:-1], shape[-1] // 8), device)()  # libraries load what they need
    step = make_step(variant, mode, shape, device)
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, VmHWM
    before = _status("VmRSS")
    step()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.forward", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=8, help="waveforms in a batch")
    parser.add_argument("--length", type=int, default=88200, help="samples of a waveform (4 s at 22,050 Hz)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=5, help="how often all variants are timed in turn")
    parser.add_argument("--out", type=Path, help="folder for forward.json")
    arguments = parser.parse_args()
    shape = (arguments.batch, 1, arguments.length)

    rows = []
    for mode in MODES:
        steps = {variant: make_step(variant, mode, shape, arguments.device) for variant in VARIANTS}
        times = seconds(steps, arguments.threads, arguments.rounds, mode)
        del steps
        memory = {
            variant: peak_memory(variant, mode, shape, arguments.device, arguments.threads) for variant in VARIANTS
        }
        for variant in VARIANTS:
            ratios = [time / reference for time, reference in zip(times[variant], times[REFERENCE], strict=True)]
            rows.append({
                "mode": mode,
                "variant": variant,
                "seconds": statistics.median(times[variant]),
                "time_ratio": statistics.median(ratios),
                "bytes": memory[variant],
                "memory_ratio": memory[variant] / memory[REFERENCE],
            })  # fmt: skip
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else f"CPU, {arguments.threads} threads"
    show(rows, f"{shape[0]} × {shape[2]:,} samples, float32, {device}, torch {torch.__version__}")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "forward.json").write_text(
            json.dumps({"device": device, "shape": shape, "rows": rows}, indent=2)
        )


def show(rows: list[dict], title: str) -> None:
    """Prints the table."""
    table = Table("", "", "time", "× ours", "peak memory", "× ours", title=title)
    for row in rows:
        table.add_row(
            row["mode"] if row["variant"] == REFERENCE else "",
            row["variant"],
            f"{row['seconds'] * 1e3:,.0f} ms",
            f"{row['time_ratio']:.2f}",
            f"{row['bytes'] / 2**20:,.0f} MiB",
            f"{row['memory_ratio']:.2f}",
            end_section=row["variant"] == list(VARIANTS)[-1],
        )
    Console().print(table)


if __name__ == "__main__":
    main()
