"""Time and peak memory of wavelet networks against their undecimated form and their plain twin.

All variants are timed in turn, round after round, in one run, so that a busy machine slows all of them; a ratio is the
median over the rounds. Memory is the rise of the peak in a fresh process per variant.

    python -m benchmarks.forward                    W-M11 on 8 waveforms of 4 s at 22,050 Hz
    python -m benchmarks.forward --dim 2            one layer of each kind and ResNet-18, on images of 224 × 224 pixels
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.timing import PRECISIONS, Step, make_step, peak_memory, ratio, seconds
from experiments.run import write_json
from experiments.training.memory import checkpoint_activations
from wavenets import Grid
from wavenets.models import MNet, ResNet, WaveletMNet, WaveletResNet
from wavenets.nn import GroupConv1d, GroupConv2d, LiftingConv1d, LiftingConv2d

MODES = "forward", "training step"
REFERENCE = "ours"
NUM_SCALES = 4  # of the layers for images


def strided_lifting() -> nn.Module:
    """W-M11 that lifts with stride 4 in place of the first max-pooling, as M11 convolves."""
    net = WaveletMNet(11)
    lift = next(net.stem.children())
    assert isinstance(lift, LiftingConv1d)
    lift.stride, lift.max_pool = 4, 1
    return net


def undecimated(net: nn.Module) -> nn.Module:
    """The same network with all levels at full rate."""
    for module in net.modules():
        if isinstance(module, (LiftingConv1d, LiftingConv2d, GroupConv1d, GroupConv2d)):
            module.grid = Grid(module.ndim, decimated=False)
    return net


def channels_last(module: nn.Module) -> nn.Module:
    """The module with its weights, and so its features, channels last in memory."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def plain_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Module:
    """A convolution that keeps the size, channels last as ours is."""
    return channels_last(nn.Conv2d(in_channels, out_channels, kernel_size, padding="same"))


class Case(NamedTuple):
    """Variants of one module, and the input they take: a signal, or features with a level for each scale."""

    variants: dict[str, Callable[[], nn.Module]]
    in_channels: int
    shrink: int = 1  # of the signal: where in a network the module stands
    levels: bool = False


CASES: dict[int, dict[str, Case]] = {
    1: {
        "W-M11": Case(
            {
                REFERENCE: lambda: WaveletMNet(11),
                "lifting with stride 4": strided_lifting,
                "activations checkpointed": lambda: checkpoint_activations(WaveletMNet(11)),
                "undecimated": lambda: undecimated(WaveletMNet(11)),
                "plain": lambda: MNet(11),
            },
            in_channels=1,
        )
    },
    2: {
        "lifting, 3 to 64 channels, 7 × 7": Case(
            {
                REFERENCE: lambda: LiftingConv2d(3, 64, 7, NUM_SCALES),
                "undecimated": lambda: undecimated(LiftingConv2d(3, 64, 7, NUM_SCALES)),
                "plain": lambda: plain_conv(3, 64, 7),
            },
            in_channels=3,
            shrink=2,
        ),
        "group convolution, 64 to 64, 3 × 3": Case(
            {
                REFERENCE: lambda: GroupConv2d(64, 64, 3),
                "spanning two scales": lambda: GroupConv2d(64, 64, 3, scale_extent=2),
                "undecimated": lambda: undecimated(GroupConv2d(64, 64, 3)),
                "plain": lambda: plain_conv(64, 64, 3),
            },
            in_channels=64,
            shrink=4,
            levels=True,
        ),
        "ResNet-18": Case(
            {
                REFERENCE: lambda: WaveletResNet(num_scales=NUM_SCALES),
                "undecimated": lambda: undecimated(WaveletResNet(num_scales=NUM_SCALES)),
                "plain": lambda: ResNet(),
                "plain, channels last": lambda: channels_last(ResNet()),
            },
            in_channels=3,
        ),
    },
}


def make(dim: int, case: str, variant: str, mode: str, batch: int, size: int, device: str, dtype: str) -> Step:
    """The step of one variant."""
    torch.manual_seed(0)
    variants, in_channels, shrink, levels = CASES[dim][case]
    module = variants[variant]().to(device)
    input: Any = torch.randn(batch, in_channels, *[size // shrink] * dim, device=device)
    if dim == 2:
        input = input.to(memory_format=torch.channels_last)
    if levels and variant != "plain":
        grid = Grid(dim, decimated=variant != "undecimated")
        input = grid.views(input, NUM_SCALES)
    return make_step(module, input, mode == "training step", dtype)


def main() -> None:
    """Runs the command."""
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
                    "memory_ratio": memory[variant] / memory[REFERENCE],  # which comes first
                })  # fmt: skip
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    shape = f"{size:,} samples" if options.dim == 1 else f"{size} × {size} pixels"
    title = f"{options.batch} × {shape}, {options.precision}, {device}, torch {torch.__version__}"
    show(rows, title)
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / f"forward_{options.dim}d_{options.device}_{options.precision}"
    write_json(stem.with_suffix(".json"), {"title": title, "rows": rows})
    draw(rows, title, stem.with_suffix(".png"))
    print(f"in {stem}.json and .png")


def show(rows: list[dict[str, Any]], title: str) -> None:
    """Prints the table."""
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
    """Draws the ratios as bars."""
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
