"""Draw equivariance.png: the features of a sound and of the same sound at double speed, in a CNN and in ours.

python docs/picture.py
"""

from pathlib import Path

import librosa
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from wavenets import Grid
from wavenets.kernels import ZeroMean
from wavenets.nn import GroupConv1d, LiftingConv1d, MaxPool1d, PerLevel

RATE = 22050  # Hz
LEVELS = 5


def call() -> np.ndarray:
    """Return two seconds of a bird-like call: three falling and rising glides, the last with a trill."""
    time = np.arange(2 * RATE) / RATE
    sound = np.zeros_like(time)
    for start, low, high in (0.15, 900, 2400), (0.75, 2600, 1200), (1.35, 1500, 1900):
        t = np.clip((time - start) / 0.45, 0, 1)
        pitch = low + (high - low) * t + 250 * np.sin(2 * np.pi * 24 * time) * (start > 1)
        sound += np.sin(np.pi * t) ** 2 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return sound.astype(np.float32)


def strip(level: Tensor) -> np.ndarray:
    """Return a level as a picture, channels × time, narrowed by maxima so that no click is lost."""
    return nn.functional.adaptive_max_pool1d(level[0], min(300, level.shape[-1])).numpy()


def main() -> None:
    """Write the picture."""
    torch.manual_seed(4)
    sound = torch.from_numpy(call())[None, None]
    double = Grid(1).downscale(sound)
    soxr = torch.from_numpy(librosa.resample(call(), orig_sr=2, target_sr=1, res_type="soxr_hq"))[None, None]
    ours = nn.Sequential(
        LiftingConv1d(1, 16, 31, LEVELS + 2, kernel=ZeroMean()),
        PerLevel(nn.ReLU()),
        MaxPool1d(4),
        GroupConv1d(16, 12, 3, scale_extent=2),
        PerLevel(nn.ReLU()),
    ).eval()
    plain = nn.Sequential(
        nn.Conv1d(1, 16, 31, padding=15), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(16, 12, 3, padding=1), nn.ReLU()
    ).eval()
    with torch.no_grad():
        original, moved, other = ours(sound), ours(double), ours(soxr)
        cnn, cnn_double = plain(sound), plain(double)
    half = nn.functional.interpolate(cnn, size=cnn_double.shape[-1], mode="linear")

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(LEVELS, 3, width_ratios=(3, 3, 1.7))
    axes[0, 0].set_title("features of a sound")
    axes[0, 1].set_title("features of the sound at double speed")
    axes[0, 2].set_title("difference")
    rows = [("CNN", cnn, cnn_double, half, None)]
    rows += [
        (f"ours\nlevel {i + 1} | {i}", original[i + 1], moved[i], original[i + 1], other[i]) for i in range(LEVELS - 1)
    ]
    for (left, right, text), (name, a, b, reference, by_soxr) in zip(axes, rows, strict=True):
        top = max(a.max(), b.max()).item()
        for ax, level in ((left, a), (right, b)):
            ax.imshow(strip(level), aspect="auto", cmap="magma", vmin=0, vmax=top, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
        left.set_ylabel(name, rotation=0, ha="right", va="center")
        error = ((b - reference).norm() / reference.norm()).item()
        label = f"{error:.0%}" if error else "0, to the last bit"
        if by_soxr is not None:
            n = min(by_soxr.shape[-1], reference.shape[-1])
            far = ((by_soxr[..., :n] - reference[..., :n]).norm() / reference.norm()).item()
            label += f"\n{far:.2%} if soxr resamples"
        text.text(0.5, 0.5, label, ha="center", va="center", fontsize=12)
        text.axis("off")
    for ax in axes[-1, :2]:
        ax.set_xlabel("time (rows: channels)")
    figure.savefig(Path(__file__).with_name("equivariance.png"), dpi=110)


if __name__ == "__main__":
    main()
