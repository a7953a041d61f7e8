"""Random transforms of the colours of training images; a mask stays as it is."""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor

from experiments.data.image.read import LUMA

Rng = np.random.Generator
YIQ = torch.tensor([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])  # brightness and two of colour


class ColourJitter:
    """Random brightness and contrast, and for colour images saturation and hue.

    Args:
        brightness: Brightness is multiplied by 1 ± this.
        contrast: The distance from the mean grey is multiplied by 1 ± this.
        saturation: The distance from grey is multiplied by 1 ± this.
        hue: Hues are turned by ± this share of the colour circle, 0.5 at most.
    """

    def __init__(
        self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.02
    ) -> None:
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def __call__(self, x: Tensor, rng: Rng) -> Tensor:
        """Return the image with other brightness, contrast, saturation and hue."""
        brightness, contrast, saturation = (
            1 + rng.uniform(-spread, spread) for spread in (self.brightness, self.contrast, self.saturation)
        )
        angle = 2 * math.pi * rng.uniform(-self.hue, self.hue)
        x = x * brightness
        if len(x) == 3:
            cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
            turn = torch.tensor([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
            x = _mixed(x, torch.linalg.inv(YIQ) @ turn @ YIQ)
        mean = x.mean()
        return ((x - mean) * contrast + mean).clamp(0, 1)


class StainJitter:
    """Random amounts of haematoxylin, eosin and residual in tissue, as another laboratory would stain it.

    In optical density each stain becomes α · stain + β, α in 1 ± sigma and β in ± sigma.
    D. Tellez et al., Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference to train distilled
    stain-invariant convolutional networks, IEEE TMI 2018.

    Args:
        sigma: Strength, from 0.
    """

    def __init__(self, sigma: float = 0.05) -> None:
        self.sigma = sigma

    def __call__(self, x: Tensor, rng: Rng) -> Tensor:
        """Return the tissue (3, H, W), stained differently.

        Raises:
            ValueError: If the image is not of three channels.
        """
        if len(x) != 3:
            raise ValueError(f"augment: StainJitter takes colour images, not {len(x)} channels")
        stains = _mixed(-x.clamp(min=1e-6).log(), torch.tensor(hed_from_rgb.T, dtype=x.dtype))
        alpha, beta = (torch.from_numpy(rng.uniform(-self.sigma, self.sigma, (3, 1, 1))).to(x.dtype) for _ in range(2))
        density = _mixed(stains * (1 + alpha) + beta, torch.tensor(rgb_from_hed.T, dtype=x.dtype))
        return (-density).exp().clamp(0, 1)


class Blur:
    """Gaussian blur.

    Args:
        sigma: The largest standard deviation, in pixels; it is uniform from 0.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        self.sigma = sigma

    def __call__(self, x: Tensor, rng: Rng) -> Tensor:
        """Return the image, blurred."""
        sigma = rng.uniform(0, self.sigma)
        return torch.from_numpy(gaussian_filter(x.numpy(), (0, sigma, sigma), mode="reflect"))


class Noise:
    """White Gaussian noise.

    Args:
        std: The largest standard deviation, in images within [0, 1]; it is uniform from 0.
    """

    def __init__(self, std: float = 0.05) -> None:
        self.std = std

    def __call__(self, x: Tensor, rng: Rng) -> Tensor:
        """Return the image with noise, within [0, 1]."""
        std = np.float32(rng.uniform(0, self.std))
        noise = torch.from_numpy(std * rng.standard_normal(tuple(x.shape), dtype=np.float32))
        return (x + noise).clamp(0, 1)


def _mixed(x: Tensor, matrix: Tensor) -> Tensor:
    """Return an image whose channels are a matrix times those of another."""
    return torch.einsum("dc,chw->dhw", matrix.to(x.dtype), x)
