"""Cost against the number of scales, in which ours is constant, and against length, in which it is linear.

python -m benchmarks.scaling
"""

import argparse
import statistics
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import nn

from benchmarks.cases import undecimated
from benchmarks.timing import Step, make_step, seconds
from experiments.files import write_json
from wavenets.nn import BatchNorm, GroupConv1d, LiftingConv1d, PerLevel

WIDTH = 32
SCALES, LENGTH = range(1, 13), 2**16  # a sound long enough for 12 scales
LENGTHS, NUM_SCALES = [2**k for k in range(12, 21)], 9
UNDECIMATED_LENGTHS = [n for n in LENGTHS if n <= 2**18]  # longer sounds do not fit into memory


def network(num_scales: int, decimated: bool) -> nn.Module:
    """Return lifting, max-pooling and one group convolution."""
    net = nn.Sequential(
        LiftingConv1d(1, WIDTH, 79, num_scales, bias=False, max_pool=4),
        BatchNorm(WIDTH),
        PerLevel(nn.ReLU()),
        GroupConv1d(WIDTH, WIDTH, 3),
    )
    return net if decimated else undecimated(net)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.scaling", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=3, help="how often all variants are timed in turn")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder for scaling.json and .png")
    options = parser.parse_args()

    def step(num_scales: int, length: int, decimated: bool) -> Step:
        net = network(num_scales, decimated).to(options.device)
        return make_step(net, torch.randn(1, 1, length, device=options.device), train=True)

    def medians(settings: list[tuple[int, int, bool]], label: str) -> list[tuple[int, int, bool, float]]:
        steps = {str(setting): step(*setting) for setting in settings}
        times = seconds(steps, options.threads, options.rounds, label)
        return [(*setting, statistics.median(times[str(setting)])) for setting in settings]

    by_scales = medians([(s, LENGTH, kind) for kind in (True, False) for s in SCALES], "scales")
    by_length = medians(
        [(NUM_SCALES, n, True) for n in LENGTHS] + [(NUM_SCALES, n, False) for n in UNDECIMATED_LENGTHS], "lengths"
    )

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for decimated, name, style in (True, "ours, decimated", "o-"), (False, "undecimated", "s--"):
        scales = [(s, t) for s, _, kind, t in by_scales if kind == decimated]
        lengths = [(n, t) for _, n, kind, t in by_length if kind == decimated]
        one = by_scales[0][3]  # decimated, one scale
        left.plot(*zip(*((s, t / one) for s, t in scales), strict=True), style, label=name)
        right.loglog(*zip(*((n, t * 1e3) for n, t in lengths), strict=True), style, label=name, base=2)
    left.set(xlabel="number of scales", ylabel="training step, as a multiple of one scale's", ylim=(0, None))
    left.set_title(f"{LENGTH:,} samples", fontsize=9)
    right.set(xlabel="samples", ylabel="training step (ms)")
    right.set_title(f"{NUM_SCALES} scales", fontsize=9)
    left.legend()
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "scaling.png", dpi=150)
    names = "num_scales", "length", "decimated", "seconds"
    rows = [dict(zip(names, row, strict=True)) for row in by_scales + by_length]
    write_json(options.out / "scaling.json", {"rows": rows})
    for row in rows:
        kind = "ours" if row["decimated"] else "undecimated"
        print(f"{row['num_scales']:>3} scales {row['length']:>9,} samples {kind:>12} {row['seconds'] * 1e3:>9,.1f} ms")
    print(f"in {options.out}/scaling.json and .png")


if __name__ == "__main__":
    main()
