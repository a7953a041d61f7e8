"""Images of digits, shrunk, rescaled and turned, against Pillow's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from experiments.data.image.geometry import fit, resize
from experiments.data.sets.digit_images import rotate, shrink, shrink_aliased


@given(factor=st.floats(0.1, 1), height=st.integers(5, 40), width=st.integers(5, 40))
def test_shrinking_is_pillows_and_centred(factor: float, height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(1, 255, (height, width), dtype=np.uint8)
    h, w = max(1, round(height * factor)), max(1, round(width * factor))
    small = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BICUBIC))
    shrunk = shrink(image, factor)
    assert shrunk.shape == image.shape
    top, left = (height - h) // 2, (width - w) // 2
    assert np.array_equal(shrunk[top : top + h, left : left + w], small)
    assert shrunk.sum() == small.sum()  # and black elsewhere


@given(factor=st.floats(0.25, 4), size=st.integers(5, 41))
def test_rescaling_keeps_size_and_centre(factor: float, size: int) -> None:
    image = torch.zeros(1, size, size)
    image[0, size // 2, size // 2] = 1
    transformed = fit(resize(image, factor), (size, size), fill=0)
    assert transformed.shape == image.shape
    assert torch.equal(fit(resize(image, 1.0), (size, size), fill=0), image)
    grid = torch.arange(size, dtype=torch.float32) - size // 2
    mass = transformed[0].sum()
    if mass > 0.01:  # the point has moved with the centre of the image, by less than a pixel
        assert abs((transformed[0].sum(0) * grid).sum() / mass) < 1.01 * max(1, factor)


def cubic(samples: np.ndarray, at: float) -> float:
    """Interpolates at a place (pixel n has its centre at n + 1/2) by the cubic that Pillow has, with a = -1."""
    near = int(np.floor(at - 0.5))
    distances = np.abs(np.arange(near - 1, near + 3) + 0.5 - at)
    inner, outer = (lambda d: d**3 - 2 * d**2 + 1), (lambda d: -(d**3) + 5 * d**2 - 8 * d + 4)
    weights = np.where(distances < 1, inner(distances), outer(distances))
    return float(weights @ samples[np.clip(np.arange(near - 1, near + 3), 0, len(samples) - 1)])


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.77, 1.0])
def test_the_published_way_of_shrinking_interpolates_where_a_pixel_comes_from(factor: float) -> None:
    row = np.random.default_rng(0).integers(100, 156, 28)
    image = np.broadcast_to(row, (28, 28)).astype(np.uint8)
    shrunk = shrink_aliased(image, factor)
    inside = [x for x in range(28) if 0.5 <= 14 + (x + 0.5 - 14) / factor <= 27.5]
    expected = [cubic(row, 14 + (x + 0.5 - 14) / factor) for x in inside]
    assert np.abs(shrunk[14, inside] - np.array(expected)).max() <= 1
    assert not shrunk[14, [x for x in range(28) if not 0 <= 14 + (x + 0.5 - 14) / factor < 28]].any()
    assert np.array_equal(shrink_aliased(image.T, factor), shrunk.T)


@given(factor=st.floats(0.3, 1), angle=st.floats(-360, 360), height=st.integers(5, 40), width=st.integers(5, 40))
def test_the_published_way_of_turning_is_pillows(factor: float, angle: float, height: int, width: int) -> None:
    side = max(height, width)
    image = np.zeros((3 * side, 3 * side), np.uint8)  # black around, as digits have it
    image[side : side + height, side : side + width] = np.random.default_rng(0).integers(0, 256, (height, width))
    assert np.abs(shrink_aliased(image, 1.0, angle).astype(int) - rotate(image, angle)).max() <= 1
    both = shrink_aliased(image, factor, 90.0 + angle).astype(int)
    assert np.abs(both - shrink_aliased(np.rot90(image), factor, angle)).max() <= 1
