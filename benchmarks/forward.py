"""Time and peak memory of wavelet networks against their undecimated form and their plain twin.

All variants are timed in turn, round after round, in one run, so that a busy machine slows all of them; a ratio is the
median over the rounds. Memory is the rise of the peak in a fresh process per variant.

    python -m benchmarks.forward                    W-M11 and W-M5 on 8 waveforms of 4 s at 22,050 Hz
    python -m benchmarks.forward --dim 2            one layer of each kind and ResNet-18, on images of 224 × 224 pixels

With N orientations the plain twin is a layer or net of as many multiply-adds, N times as wide; escnn's layer is timed
beside ours if it is installed (the extra ``benchmarks``).
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.cases import CASES, REFERENCE, Bank, Escnn
from benchmarks.timing import PRECISIONS, Step, make_step, peak_memory, ratio, seconds
from experiments.files import write_json
from wavenets import Grid, Levels, undecimated

MODES = "forward", "training step"


def make(dim: int, case: str, variant: str, mode: str, batch: int, size: int, device: str, dtype: str) -> Step:
    """Return the step of one variant."""
    torch.manual_seed(0)
    variants, in_channels, shrink, levels, num_scales, orientations = CASES[dim][case]
    module = variants[variant]().to(device)
    ours = levels and not isinstance(module, nn.Conv2d | Bank | Escnn)
    channels = in_channels if ours else in_channels * orientations
    input: Any = torch.randn(batch, channels, *[size // shrink] * dim, device=device)
    if dim == 2:
        input = input.to(memory_format=torch.channels_last)
    if ours:
        grid: Any = module.grid
        views = Grid(dim).views(input, num_scales)
        if variant == "undecimated":
            views = Levels(*undecimated.views(input, num_scales, grid))
        # The images are square.
        input = Levels(*(view for view in views for _ in range(grid.orientations)), grid=grid)
    return make_step(module, input, mode == "training step", dtype)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.forward", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--dim", type=int, default=1, choices=[1, 2], help="1: waveforms, 2: images")
    parser.add_argument("--batch", type=int, default=8, help="inputs in a batch")
    parser.add_argument("--size", type=int, help="samples of a waveform, or side of an image in pixels")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="float32", choices=PRECISIONS, help="tf32 is for GPUs")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=5, help="how often all variants are timed in turn")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder for a JSON file and a PNG")
    options = parser.parse_args()
    size = options.size or {1: 88200, 2: 224}[options.dim]
    rest = options.batch, size, options.device, options.precision

    rows: list[dict[str, Any]] = []
    for case, (variants, *_) in CASES[options.dim].items():
        for mode in MODES:
            steps = {variant: make(options.dim, case, variant, mode, *rest) for variant in variants}
            times = seconds(steps, options.threads, options.rounds, f"{case}, {mode}")
            del steps
            memory = {}
            for variant in variants:
                arguments = options.dim, case, variant, mode, *rest
                small = *arguments[:4], 1, size // (8 if options.dim == 1 else 2), *arguments[6:]
                memory[variant] = peak_memory(make, arguments, small, options.device, options.threads)
                rows.append({
                    "case": case,
                    "mode": mode,
                    "variant": variant,
                    "seconds": statistics.median(times[variant]),
                    "time_ratio": ratio(times[variant], times[REFERENCE]),
                    "bytes": memory[variant],
                    "memory_ratio": memory[variant] / memory[REFERENCE],  # the reference comes first
                })  # fmt: skip
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    shape = f"{size:,} samples" if options.dim == 1 else f"{size} × {size} pixels"
    title = f"{options.batch} × {shape}, {options.precision}, {device}, torch {torch.__version__}"
    show(rows, title)
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / f"forward_{options.dim}d_batch{options.batch}_{options.device}_{options.precision}"
    write_json(stem.with_suffix(".json"), {"title": title, "rows": rows})
    draw(rows, title, stem.with_suffix(".png"))
    print(f"in {stem}.json and .png")


def show(rows: list[dict[str, Any]], title: str) -> None:
    """Print the table."""
    table = Table("", "", "", "time", "× ours", "peak memory", "× ours", title=title)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        first = row["variant"] == REFERENCE
        table.add_row(
            row["case"] if first and row["mode"] == MODES[0] else "",
            row["mode"] if first else "",
            row["variant"],
            f"{row['seconds'] * 1e3:,.0f} ms",
            f"{row['time_ratio']:.2f}",
            f"{row['bytes'] / 2**20:,.0f} MiB",
            f"{row['memory_ratio']:.2f}",
            end_section=following is None or following["variant"] == REFERENCE,
        )
    Console(width=max(Console().width, 110)).print(table)


def draw(rows: list[dict[str, Any]], title: str, file: Path) -> None:
    """Draw the ratios as bars."""
    figure = Figure(figsize=(9, 1 + 0.25 * len(rows)), layout="constrained")
    figure.suptitle(title, fontsize=9)
    left, right = figure.subplots(1, 2, sharey=True)
    names = [f"{row['case']}, {row['mode']}: {row['variant']}" for row in rows]
    for ax, key, label in (left, "time_ratio", "time"), (right, "memory_ratio", "peak memory"):
        values = [row[key] for row in rows]
        bars = ax.barh(names, values, color=["C1" if row["variant"] == REFERENCE else "C0" for row in rows])
        ax.bar_label(bars, [f"{value:.2f}" for value in values], fontsize=7, padding=2)
        ax.set_xlabel(f"{label}, as a multiple of ours")
        ax.margins(x=0.15)
        ax.axvline(1, color="grey", linewidth=0.5)
        ax.tick_params(axis="y", labelsize=7)
    left.invert_yaxis()
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
