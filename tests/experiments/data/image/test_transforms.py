"""Random transforms: reproducible, of image and mask alike, within their ranges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from skimage.color import rgb2hed
from torch import Tensor

from experiments.data.image.colour import Blur, ColourJitter, Noise, StainJitter
from experiments.data.image.geometry import IGNORED
from experiments.data.image.transforms import Crop, Flip, Rescale, Rotate, Shear, Shift
from experiments.data.wrappers import Augmented

GEOMETRIC: list[Any] = [Crop(20), Crop([50, 60], 0.5), Flip(), Rotate(), Rescale(0.5, 2), Shear(20), Shift(5)]
COLOUR: list[Any] = [ColourJitter(), StainJitter(), Blur(), Noise()]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def blob(height: int = 40, width: int = 48) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.exp(-((y - 14) ** 2 / 60 + (x - 30) ** 2 / 120)).expand(3, -1, -1)


def augmented(transform: Any, seed: int) -> tuple[Tensor, Tensor]:
    data: Any = [(blob(), (blob()[0] > 0.5).long())]
    return Augmented(data, [transform], 2, seed)[0]


@pytest.mark.parametrize("transform", GEOMETRIC + COLOUR, ids=lambda transform: type(transform).__name__)
def test_reproducible(transform: Any) -> None:
    torch.manual_seed(1)
    one = augmented(transform, 3)
    torch.manual_seed(2)
    np.random.seed(2)
    other = augmented(transform, 3)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert any(not torch.equal(one[0], augmented(transform, seed)[0]) for seed in range(4, 9))
    assert one[0].dtype == torch.float32
    assert 0 <= one[0].min() <= one[0].max() <= 1


@pytest.mark.parametrize("transform", GEOMETRIC, ids=lambda transform: type(transform).__name__)
def test_image_and_mask_move_alike(transform: Any) -> None:
    for seed in range(20):
        image, mask = transform.both(blob(), (blob()[0] > 0.5).long(), generator(seed))
        assert image.shape[1:] == mask.shape
        sure = (mask != IGNORED) & ((image[0] - 0.5).abs() > 0.15)
        assert torch.equal(mask[sure], (image[0] > 0.5).long()[sure])
        assert sure.any()


@pytest.mark.parametrize("transform", COLOUR, ids=lambda transform: type(transform).__name__)
def test_colours_leave_the_mask(transform: Any) -> None:
    image, mask = augmented(transform, 0)
    assert torch.equal(mask, (blob()[0] > 0.5).long())
    assert image.shape == (3, 40, 48)


@pytest.mark.parametrize(("foreground", "share"), [(0.0, 0.05), (0.5, 0.5), (1.0, 1.0)])
def test_share_of_foreground(foreground: float, share: float) -> None:
    mask = torch.zeros(200, 200, dtype=torch.long)
    mask[:100, :100] = IGNORED
    mask[150, 160] = 3 + 256 * 7
    crop, rng = Crop(20, foreground), generator()
    found = [(crop.both(torch.zeros(1, 200, 200), mask, rng)[1] % 256 == 3).any().item() for _ in range(400)]
    assert np.mean(found) == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize("size", [4, 400])  # of 4 × 4 pixels some are hit at random, of 400 × 400 hardly
def test_all_pixels_of_the_foreground_are_equally_likely(size: int) -> None:
    mask, crop, rng = torch.zeros(size, size, dtype=torch.long), Crop(1, foreground=1.0), generator()
    mask[0] = IGNORED
    mask[1, 2], mask[3, 0], mask[3, 3] = 1, 2, 3
    found = [int(crop.both(mask[None].float(), mask, rng)[1]) for _ in range(1200)]
    assert np.allclose(np.bincount(found, minlength=4) / 1200, [0, 1 / 3, 1 / 3, 1 / 3], atol=0.05)


def test_all_positions_are_equally_likely() -> None:
    image, crop, rng = torch.arange(10.0).reshape(1, 1, 10), Crop([1, 7]), generator()
    first = [int(crop(image, rng)[0, 0, 0]) for _ in range(4000)]
    assert np.allclose(np.bincount(first) / 4000, [0.25] * 4, atol=0.03)


def test_small_images_are_mirrored() -> None:
    image, mask = Crop(9).both(torch.rand(1, 4, 5) + 1, torch.ones(4, 5, dtype=torch.long), generator())
    assert image.shape == (1, 9, 9)
    assert image.min() >= 1
    assert ((mask == 1).sum(), (mask == IGNORED).sum()) == (20, 61)


def test_all_eight_symmetries_of_a_square_and_four_of_a_rectangle() -> None:
    rng = generator()
    for size, count in (((5, 5), 8), ((5, 6), 4)):
        image = torch.rand(1, *size)
        seen = {Flip()(image, rng).contiguous().numpy().tobytes() for _ in range(200)}
        assert len(seen) == count
        moved = Flip()(image, rng)
        assert torch.equal(moved.flatten().sort()[0], image.flatten().sort()[0])


def test_factors_are_log_uniform() -> None:
    mask, rng, scale = torch.zeros(64, 64, dtype=torch.long), generator(), Rescale(0.5, 2)
    mask[24:40, 24:40] = 1
    factors = [float((scale.draw((64, 64), rng)(mask) == 1).sum()) ** 0.5 / 16 for _ in range(300)]
    assert min(factors) < 0.6 and max(factors) > 1.8
    assert np.mean(np.log(factors)) == pytest.approx(0, abs=0.08)


@pytest.mark.parametrize("transform", [Rotate(90, fill=0.0), Rescale(0.5, 0.5, fill=0.0), Shift(9, fill=0.0)])
def test_fill(transform: Any) -> None:
    x = transform(torch.ones(1, 30, 30), generator())
    assert (x == 0).any() and set(x.unique().tolist()) <= {0.0, 1.0}


def test_shear_moves_rows_by_their_distance() -> None:
    line = torch.zeros(1, 41, 41)
    line[0, :, 20] = 1
    move = Shear(30).draw((41, 41), generator(2))
    down, across = move(line)[0], move(line.mT)[0].T
    slopes = {
        round(float(np.polyfit(np.arange(-10, 11), part[10:31].argmax(1) - 20.0, 1)[0]), 2) for part in (down, across)
    }
    assert 0.0 in slopes and len(slopes) == 2 and max(map(abs, slopes)) < np.tan(np.radians(30))


@pytest.mark.parametrize(
    ("make", "unchanged"),
    [
        (lambda: ColourJitter(0.5, 0, 0, 0), lambda x: x / x.sum((0, 1, 2))),
        (lambda: ColourJitter(0, 0.5, 0, 0), lambda x: x.mean()),
        (
            lambda: ColourJitter(0, 0, 0.5, 0),
            lambda x: torch.einsum("chw,c->hw", x, torch.tensor([0.299, 0.587, 0.114])),
        ),
        (
            lambda: ColourJitter(0, 0, 0, 0.05),
            lambda x: torch.einsum("chw,c->hw", x, torch.tensor([0.299, 0.587, 0.114])),
        ),
    ],
    ids=["brightness", "contrast", "saturation", "hue"],
)
def test_what_a_jitter_of_colours_keeps(make: Callable[[], Any], unchanged: Callable[[Tensor], Tensor]) -> None:
    x = 0.35 + 0.2 * torch.rand(3, 20, 20)
    transform, rng = make(), generator()
    y = max((transform(x, rng) for _ in range(5)), key=lambda y: float((x - y).abs().max()))
    assert (x - y).abs().max() > 0.01
    torch.testing.assert_close(unchanged(y), unchanged(x), rtol=1e-4, atol=1e-4)


def test_grey_images_stay_grey() -> None:
    x = torch.rand(1, 20, 20).expand(3, -1, -1)
    y = ColourJitter()(x, generator())
    torch.testing.assert_close(y, y[:1].expand(3, -1, -1), rtol=0, atol=1e-4)


def test_stains() -> None:
    x = 0.3 + 0.5 * torch.rand(3, 20, 20)
    x[0] *= 0.8
    torch.testing.assert_close(StainJitter(0)(x, generator()), x, rtol=0, atol=1e-5)
    before, after = (
        rgb2hed(image.movedim(0, -1).double().numpy()) for image in (x, StainJitter(0.04)(x, generator(1)))
    )
    for stain in range(3):  # each is α · stain + β, where scikit-image cuts none off at 0
        there = (before[..., stain] > 0.01) & (after[..., stain] > 0.01)
        if there.sum() > 50:
            slope, offset = np.polyfit(before[..., stain][there], after[..., stain][there], 1)
            fitted = slope * before[..., stain][there] + offset
            np.testing.assert_allclose(fitted, after[..., stain][there], atol=1e-4)
            assert abs(slope - 1) <= 0.04 and abs(offset) <= 0.04
    with pytest.raises(ValueError, match="takes colour images"):
        StainJitter()(torch.rand(1, 9, 9), generator())


def test_blur_keeps_the_mean_and_spreads() -> None:
    x = torch.zeros(1, 41, 41)
    x[0, 20, 20] = 1
    y = Blur(3)(x, generator())[0]
    sigma = generator().uniform(0, 3)
    offsets = torch.arange(41) - 20
    assert y.sum().item() == pytest.approx(1, abs=1e-5)
    assert (y.sum(0) * offsets**2).sum().item() == pytest.approx(sigma**2, rel=0.02)


def test_strength_of_noise() -> None:
    y = Noise(0.1)(torch.full((1, 300, 300), 0.5), generator(1))
    assert y.std().item() == pytest.approx(generator(1).uniform(0, 0.1), rel=0.02)


@pytest.mark.parametrize("make", [lambda: Crop(0), lambda: Crop(5, 2), lambda: Rescale(2, 1), lambda: Shear(90)])
def test_wrong_arguments(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="augment: "):
        make()
