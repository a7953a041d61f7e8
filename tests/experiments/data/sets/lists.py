"""Lists of small sounds and images for the tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from PIL import Image

RATE = 8000
STAGES: Any = ("train", "val", "test")


def ramp(start: int, length: int) -> np.ndarray:
    """A sound whose samples are numbers in sequence, so that each window tells where it was cut."""
    return (np.arange(start, start + length) / 32768).astype(np.float32)


def write_listing(folder: Path, rows: list[tuple[Any, ...]], columns: str, name: str = "metadata.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns.split(",")).to_csv(
        folder / name, index=False, sep="\t" if name.endswith("tsv") else ","
    )
    return folder / name


def write_sounds(folder: Path, lengths: list[int]) -> list[str]:
    (folder / "sub folder").mkdir(parents=True)
    names = [f"sub folder/{number}.{'flac' if number % 2 else 'wav'}" for number in range(len(lengths))]
    for number, (name, length) in enumerate(zip(names, lengths, strict=True)):
        soundfile.write(folder / name, ramp(1000 * number, length), RATE)
    return names


def options(folder: Path, **more: Any) -> dict[str, Any]:
    return {"sample_rate": RATE, "duration": 0.01, "cache_dir": folder / "cache", "num_workers": 1} | more


def write_images(
    folder: Path, shapes: tuple[tuple[int, int], ...] = ((9, 7),) * 6, columns: str = "file,label,fold"
) -> Path:
    """Write images, masks of 0 and 255, and a list of them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for number, shape in enumerate(shapes):
        values = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{number}.png")
        Image.fromarray(np.where(values[..., 0] > 127, 255, 0).astype(np.uint8)).save(folder / f"{number}.gif")
        one = {"file": f"{number}.png", "mask": f"{number}.gif", "label": "ab"[number % 2], "fold": "uvw"[number // 2]}
        rows.append(tuple(one[column] for column in columns.split(",")))
    return write_listing(folder, rows, columns)


def write_masks(folder: Path, values: list[list[int]], **more: list[Any]) -> Path:
    """Write images of one row and a list of them with masks, one of each stage, and further columns."""
    for number, row in enumerate(values):
        Image.fromarray(np.full((1, len(row)), number, np.uint8)).save(folder / f"{number}.png")
        Image.fromarray(np.array([row], np.uint8)).save(folder / f"m{number}.png")
    table = {"file": [f"{n}.png" for n in range(3)], "mask": [f"m{n}.png" for n in range(3)], "split": list(STAGES)}
    pd.DataFrame(table | more).to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"
