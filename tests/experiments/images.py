"""Images and networks for the tests of the command for images."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image as Picture
from torch import Tensor

from experiments.data.image.geometry import resize_to
from wavenets.models import UNet

CLASSES = ["background", "vessel", "nucleus"]
GEOTIFF = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (34737, 2, 0, "WGS 84|", True)]


def pixels(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Return smooth noise, of which a network's map has several classes."""
    rng = np.random.default_rng([height, width])
    coarse = torch.from_numpy(rng.random((channels, height // 6 + 2, width // 6 + 2), np.float32))
    fine = resize_to(coarse, (height, width)).numpy()
    return np.moveaxis((255 * fine).astype(np.uint8), 0, -1)


def unet(classes: int = 3, **options: Any) -> UNet:
    torch.manual_seed(3)
    network = UNet(1 if classes == 2 else classes, width=4, depth=2, **options).double().eval()
    with torch.no_grad():  # outputs of mean 0 and standard deviation 1 for each class
        x = torch.from_numpy(pixels(64, 64)).movedim(-1, 0)[None] / 255.0
        std, mean = torch.std_mean(network(x.double()), (0, 2, 3))
        last: Any = [module for module in network.modules() if hasattr(module, "bias") and hasattr(module, "weight")][
            -1
        ]
        last.weight /= std.view(-1, *[1] * (last.weight.ndim - 1))
        last.bias -= mean
        last.bias /= std
    return network.float()


def expected(network: UNet, x: Tensor) -> np.ndarray:
    with torch.no_grad():
        logits = network(x[None])[0]
    return ((logits[0] > 0) if len(logits) == 1 else logits.argmax(0)).numpy().astype(np.uint8)


def write_all_kinds(folder: Path) -> list[Path]:
    """Write images of odd sizes: 8 bits, 16 bits, RGBA, grey, TIFF, TIFF with a place, and one like another's name."""
    folder.mkdir()
    Picture.fromarray(pixels(71, 53)).save(folder / "a.png")
    tifffile.imwrite(folder / "b.tif", pixels(70, 91).astype(np.uint16) * 257, photometric="rgb")
    Picture.fromarray(np.dstack([pixels(33, 120), pixels(33, 120, 1)])).save(folder / "c.png")
    Picture.fromarray(pixels(21, 17, 1)[..., 0]).save(folder / "d.bmp")
    resolution: dict[str, Any] = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        folder / "e.tif", pixels(64, 64), photometric="rgb", tile=(16, 16), extratags=GEOTIFF, **resolution
    )
    Picture.fromarray(pixels(40, 40)).save(folder / "a.bmp")
    return sorted(folder.iterdir())
