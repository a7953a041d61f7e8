"""Peak memory and time of a plain U-Net of width 4 on memory-mapped images, tile by tile and in one pass.

Each row is measured in a separate process; its peak memory is that of getrusage, with Python and torch.

    python -m benchmarks.tiles
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from experiments.files import write_json
from wavenets.models import UNet
from wavenets.tiles import predict

TILE = 1024
TILED, IN_ONE_PASS = (64, 2_500, 5_000, 10_000, 20_000), (2_500, 5_000)  # 64: one pass, memory always needed


def measure(size: int, tile: int) -> dict[str, Any]:
    """Map an image of noise of size × size pixels from file to file, in a separate process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (size, tile))


def _measure(size: int, tile: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, random = UNet(2, width=4), np.random.default_rng(0)
    runs = Path("runs")  # on disk, where a folder for temporary files may be in memory
    runs.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs) as folder:
        with (Path(folder) / "image").open("wb") as file:
            for _ in range(3 * size):  # row by row
                file.write(random.integers(256, size=size, dtype=np.uint8).tobytes())
        image = np.memmap(Path(folder) / "image", np.uint8, "r", shape=(3, size, size))
        out = np.memmap(Path(folder) / "map", np.float32, "w+", shape=(2, size, size))
        start = time.perf_counter()
        predict(network, image, tile, out)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"size": size, "tile": tile if tile < size else None, "seconds": seconds, "bytes": peak}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.tiles", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=TILED, help="sizes of the images, tile by tile")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder for a JSON file")
    options = parser.parse_args()
    cases = [(size, TILE) for size in options.sizes] + [(size, size) for size in IN_ONE_PASS if size in options.sizes]
    rows = [measure(*case) for case in track(cases, "Images")]
    title = f"uint8 images of 3 channels, float32, CPU, 1 thread, torch {torch.__version__}"
    table = Table("pixels", "tile", "peak memory", "time", title=title)
    for row in rows:
        tile = str(row["tile"] or "one pass")
        table.add_row(f"{row['size']:,} ²", tile, f"{row['bytes'] / 2**20:,.0f} MiB", f"{row['seconds']:,.1f} s")
    Console().print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "tiles.json", {"title": title, "rows": rows})
    print(f"in {options.out / 'tiles.json'}")


if __name__ == "__main__":
    main()
