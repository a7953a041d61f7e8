"""Writes docs/benchmarks.md from the JSON files of the benchmarks: the last step of `make bench`."""

import json
from pathlib import Path
from typing import Any

from benchmarks.forward import MODES

FOLDER = Path("docs/benchmarks")
PAGE = Path("docs/benchmarks.md")
HEAD = """# Benchmarks

Written by `make bench`, from the files in [benchmarks/](benchmarks). All variants of a case are timed in turn, round
after round. A ratio is the median over the rounds, and says more than a time. Memory is the rise of the peak in a
separate process. For N orientations, the plain network is N times as wide, with as many multiply-adds.
"""
LIMITS = """## Where the time goes

Time of a layer, alone, as a multiple of the least time that its multiply-adds or its memory traffic allow on this
machine, in a training step.
"""
LATENCY = """## Latency

The time for one input, as in live use, where the calls for each level dominate. A real-time factor of 0.01 means that
one thread classifies a second of sound in 10 ms. "×" is the median over the rounds of the time relative to M5's, run in
the same way.
"""
TILES = """## Images larger than memory

Maps of a plain U-Net of width 4 by `tiles.predict`, from a memory-mapped file to another one. Peak memory is that of
the process, with Python and torch. In one pass it grows with the image; tile by tile it does not.
"""


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown, the first column left-aligned and the others right-aligned."""
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def forward(results: dict[str, Any]) -> str:
    """Return a section of ``benchmarks.forward``: a table for each case."""
    rows = results["rows"]
    parts = [f"## {results['title']}\n"]
    for case in dict.fromkeys(row["case"] for row in rows):
        cells: dict[str, list[str]] = {}
        for row in (row for row in rows if row["case"] == case):
            time, memory = f"{row['seconds'] * 1e3:,.0f} ms", f"{row['bytes'] / 2**20:,.0f} MiB"
            cells.setdefault(row["variant"], [row["variant"]]).extend(
                [time, f"{row['time_ratio']:.2f}", memory, f"{row['memory_ratio']:.2f}"]
            )
        columns = [case, *(name for mode in MODES for name in (mode, "× ours", "memory", "× ours"))]
        parts.append(table(columns, list(cells.values())))
    return "\n".join(parts)


def limits(results: dict[str, Any]) -> str:
    """Return a section of ``benchmarks.limits``: a row for each network, a column for each kind of layer."""
    networks = {name: rows for name, rows in results.items() if isinstance(rows, list)}
    kinds = list(dict.fromkeys(row["kind"] for rows in networks.values() for row in rows))
    lines = []
    for name, rows in networks.items():
        groups = [[row for row in rows if row["kind"] == kind] for kind in kinds] + [rows]
        sums = [(sum(r["training"] for r in group), sum(r["training_limit"] for r in group)) for group in groups]
        lines.append([name, *(f"{time / limit:.1f}" if limit else "" for time, limit in sums)])
    return table(["", *kinds, "all"], lines)


def latency(results: dict[str, Any]) -> str:
    """Return the section of ``benchmarks.latency``: a row for each network and way of running it."""
    columns = [results["title"], "run", "median", "fastest", "real-time factor", "× M5"]
    lines = []
    for row in results["rows"]:
        median, fastest = (f"{row[key] * 1e3:.1f} ms" for key in ("seconds", "fastest"))
        lines.append([row["network"], row["way"], median, fastest, f"{row['seconds']:.4f}", f"{row['ratio']:.1f}"])
    return table(columns, lines)


def tiles(results: dict[str, Any]) -> str:
    """Return the section of ``benchmarks.tiles``: a row for each image."""
    lines = [
        [
            f"{row['size']:,} × {row['size']:,}",
            f"{row['tile']:,}" if row["tile"] else "one pass",
            f"{row['bytes'] / 2**20:,.0f} MiB",
            f"{row['seconds']:,.1f} s",
        ]
        for row in results["rows"]
    ]
    return table([results["title"], "tile", "peak memory", "time"], lines)


def main() -> None:
    """Run the command."""
    parts = [HEAD]
    for file in sorted(FOLDER.glob("forward_*.json")):
        parts.append(forward(json.loads(file.read_text())))
    if files := sorted(FOLDER.glob("limits_*.json")):
        parts += [LIMITS, *(limits(json.loads(file.read_text())) for file in files)]
    if (file := FOLDER / "latency.json").exists():
        parts += [LATENCY, latency(json.loads(file.read_text()))]
    if (file := FOLDER / "tiles.json").exists():
        parts += [TILES, tiles(json.loads(file.read_text()))]
    if (FOLDER / "scaling.png").exists():
        parts.append("## Cost against scales and length\n\n![Time against scales and length](benchmarks/scaling.png)\n")
    PAGE.write_text("\n".join(parts))
    print(PAGE)


if __name__ == "__main__":
    main()
