"""Sounds and images for a demonstration to begin with; `python -m experiments.data.examples` draws the images."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.special import expit
from sklearn.datasets import load_sample_image

from experiments.data.sets.digit_images import resize
from experiments.data.sets.scaled_digits import small_digits
from experiments.data.sets.synthetic import rising_chirps
from experiments.files import whole, write_text

FOLDER = Path(__file__).parents[1] / "examples"
SIZE = 240, 320  # height and width of the drawings
Colour = tuple[float, float, float]
# Colours of the ground and of the shapes, number of tubes, number of blobs
DRAWN: dict[str, tuple[Colour, Colour, int, int]] = {
    "tubes.png": ((0.22, 0.24, 0.27), (0.85, 0.90, 0.80), 9, 0),
    "vessels.png": ((0.80, 0.45, 0.22), (0.45, 0.12, 0.08), 12, 0),
    "nuclei.png": ((0.90, 0.70, 0.80), (0.36, 0.20, 0.52), 0, 45),
    "tubes_and_blobs.png": ((0.24, 0.24, 0.24), (0.90, 0.90, 0.90), 5, 14),
}
DRAWINGS = [FOLDER / name for name in DRAWN]
README = """# Example images

Drawn by `python -m experiments.data.examples`, which draws the same images again; nothing in them is from real data.
They may be used under the licence of this package, MIT.
"""


def example_sound(sample_rate: int, num_samples: int) -> np.ndarray:
    """Return chirps that rise again and again, (num_samples,)."""
    time = np.arange(num_samples) / sample_rate
    return (0.5 * rising_chirps(np.random.default_rng(0), time)).astype(np.float32)


def example_image(channels: int) -> np.ndarray:
    """Return a digit (H, W), or a photograph of a flower (H, W, 3).

    The digit is an unclear 9: the plain network in pretrained/ takes it for a 3 when it is turned.
    """
    if channels == 1:
        images, _, _ = small_digits()
        return resize(images[31], (280, 280))
    flower: Any = load_sample_image("flower.jpg")
    return np.asarray(flower)


def drawing(seed: int, ground: Colour, shape: Colour, tubes: int, blobs: int) -> np.ndarray:
    """Draw curved tubes and blobs on a textured ground, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    cover = np.zeros(SIZE)
    for _ in range(tubes):
        cover = np.maximum(cover, _tube(rng))
    for _ in range(blobs):
        cover = np.maximum(cover, _blob(rng))
    texture = 1 + 0.04 * _noise(rng, 1) + 0.08 * _noise(rng, 6) + 0.10 * _noise(rng, 40)
    cover = cover * (1 + 0.08 * _noise(rng, 2)).clip(0, 1.2)
    colours = np.array(ground) + cover[..., None] * (np.array(shape) - np.array(ground))
    return np.rint(255 * (colours * texture[..., None]).clip(0, 1)).astype(np.uint8)


def draw(folder: Path = FOLDER) -> list[Path]:
    """Write all drawings and a note on them to a folder; return the images."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in DRAWN]
    for seed, (file, recipe) in enumerate(zip(files, DRAWN.values(), strict=True)):
        with whole(file) as unfinished:
            Image.fromarray(drawing(seed, *recipe)).save(unfinished, "PNG", optimize=True)
    write_text(folder / "README.md", README)
    return files


def _tube(rng: np.random.Generator) -> np.ndarray:
    """Return a tube that begins at a point, bends, and becomes thinner: 1 on its middle line, 0 far from it."""
    steps = 2 * max(SIZE)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(gaussian_filter(rng.normal(0, 0.13, steps), 20))
    path = rng.uniform(0, SIZE) + 0.5 * np.cumsum(np.stack([np.sin(heading), np.cos(heading)], 1), 0)
    width = rng.uniform(2.5, 5) * np.linspace(1, 0.35, steps)
    rows, columns = path.round().astype(int).T
    seen = (rows >= 0) & (rows < SIZE[0]) & (columns >= 0) & (columns < SIZE[1])
    widths = np.zeros(SIZE)
    widths[rows[seen], columns[seen]] = width[seen]
    if not seen.any():
        return widths
    away, (row, column) = distance_transform_edt(widths == 0, return_indices=True)
    return expit(3 * (widths[row, column] - away))


def _blob(rng: np.random.Generator) -> np.ndarray:
    """Return an ellipse with soft edges: 1 inside, 0 outside."""
    y, x = np.indices(SIZE) - rng.uniform(0, SIZE)[:, None, None]
    angle, (long, ratio) = rng.uniform(0, np.pi), (rng.uniform(6, 15), rng.uniform(0.55, 1))
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    away = np.hypot(along / long, across / (long * ratio))
    return rng.uniform(0.65, 1) * expit(long * (1 - away))


def _noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Return smooth noise of mean 0 and standard deviation 1."""
    noise = gaussian_filter(rng.normal(size=SIZE), sigma, mode="reflect")
    return (noise - noise.mean()) / noise.std()


if __name__ == "__main__":
    for drawn in draw(*map(Path, sys.argv[1:2])):
        print(drawn)
