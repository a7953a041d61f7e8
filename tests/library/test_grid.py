"""T against independent resamplers, and the arithmetic of the grid."""

import itertools
import math
import pickle
import sys
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import soxr
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from wavenets import Grid, resample
from wavenets.nn import LiftingConv1d


@pytest.fixture(scope="module")
def torchaudio_resample() -> Callable[[Tensor, int, int], Tensor]:
    """torchaudio's resampler. It is plain Python, but the package's extension loads beside a CUDA torch only."""
    extension = {"_IS_TORCHAUDIO_EXT_AVAILABLE": False, "fail_if_no_align": lambda function: function}
    with patch.dict(sys.modules, {"torchaudio._extension": SimpleNamespace(**extension)}):
        from torchaudio.functional import resample
    return resample


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("base", [2, "3/2", "5/4", 3, 1.1, "7/3"])
@pytest.mark.parametrize("length", [1, 2, 97, 1000, 4001])
def test_downscale_is_torchaudios_resample(torchaudio_resample, base, length, dtype, tolerance) -> None:
    grid = Grid(1, base)
    x = 2 * torch.rand(2, 3, length, dtype=dtype) - 1
    expected = torchaudio_resample(x, grid.base.numerator, grid.base.denominator)
    actual = grid.downscale(x)
    assert actual.shape == expected.shape and actual.dtype == dtype
    assert (actual - expected).abs().max() <= tolerance


def test_features_under_another_resampler_stay_close() -> None:
    """Users rescale sound by other means than T: librosa's soxr_hq at factor 2, on a decaying chord with vibrato."""
    time = np.arange(44100) / 22050
    chord = sum(np.sin(2 * np.pi * f * time + np.sin(30 * time)) / f for f in (110, 220, 331, 662, 1323))
    sound = torch.from_numpy(chord * np.exp(-3 * time))[None, None]
    half = torch.from_numpy(soxr.resample(sound[0, 0].numpy(), 2, 1, quality="HQ"))
    lift = LiftingConv1d(1, 16, 79, 6).double()
    for actual, expected in zip(lift(half[None, None]), lift(sound)[1:], strict=False):
        error = (actual - expected).norm() / expected.norm()
        assert 0 < error < 2e-3  # 1.2e-3 on the finest level, where the two filters' transition bands lie


@pytest.mark.parametrize(
    "base, size",
    [*itertools.product([math.sqrt(2), 1.5, 3], [(97, 130), (64, 64), (31, 8)]), (2, (64, 64)), (2, (36, 8))],
)
def test_downscale_of_an_image_is_pillows_resize(base: float, size: tuple[int, int]) -> None:
    image = torch.rand(1, 1, *size)
    height, width = (round(n / base) for n in size)
    expected = Image.fromarray(image[0, 0].numpy()).resize((width, height), Image.Resampling.BILINEAR)
    actual = Grid(2, base).downscale(image)
    assert actual.shape == (1, 1, height, width)
    np.testing.assert_allclose(actual[0, 0].numpy(), np.asarray(expected), atol=1e-5)


@given(
    length=st.integers(1, 3000),
    base=st.builds(Fraction, st.integers(2, 9), st.integers(1, 8)).filter(lambda base: base > 1),
)
def test_level_lengths_are_rounded_up(length: int, base: Fraction) -> None:
    assert Grid(1, base).downscale(torch.zeros(1, 1, length)).shape[-1] == math.ceil(length / base)


@given(
    n=st.integers(1, 10**12),
    base=st.builds(Fraction, st.integers(2, 2**20), st.integers(1, 2**20)).filter(lambda base: base > 1),
    ndim=st.integers(1, 2),
)
def test_sizes_are_rounded_as_fractions_are(n: int, base: Fraction, ndim: int) -> None:
    expected = math.ceil(n / base) if ndim == 1 or base == 2 else round(n / base)  # of Fractions, so half to even
    assert resample.downscaled_size(n, base, ndim) == expected


@pytest.mark.parametrize("base", ["3/2", "5/2", 3, 4])
def test_ties_go_to_even_sizes(base: int | str) -> None:
    base = Grid(2, base).ratio
    sizes = [resample.downscaled_size(n, base, 2) for n in range(200)]
    assert sizes == [round(Fraction(n) / base) for n in range(200)]


@pytest.mark.parametrize("num_scales", [40, 100])
def test_the_least_size_for_many_scales_is_found_at_once(num_scales: int) -> None:
    assert Grid(1).least_size(num_scales) == 2 ** (num_scales - 2) + 1
    with pytest.raises(ValueError, match=f"at least {2 ** (num_scales - 2) + 1} samples"):
        LiftingConv1d(1, 1, 3, num_scales)(torch.zeros(1, 1, 8000))


@given(
    ndim=st.integers(1, 2),
    num_scales=st.integers(2, 6),
    base=st.sampled_from([Fraction(2), Fraction(3, 2), Fraction(5, 4), Fraction(3)]),
)
def test_least_size_is_the_least(ndim: int, num_scales: int, base: Fraction) -> None:
    grid = Grid(ndim, base)
    least = grid.least_size(num_scales)
    sizes = [level.shape[-1] for level in grid.views(torch.zeros(1, 1, *[least] * ndim), num_scales)]
    assert sizes == sorted(set(sizes), reverse=True) and len(sizes) == num_scales and sizes[-1] >= 1
    with pytest.raises(ValueError, match=f"too short for {num_scales} scales .* at least {least} samples"):
        grid.views(torch.zeros(1, 1, *[least - 1] * ndim), num_scales)


def test_views_is_iterated_downscaling() -> None:
    for grid, shape in (Grid(1, "3/2"), (1, 2, 301)), (Grid(2, math.sqrt(2)), (1, 2, 97, 61)):
        levels = grid.views(torch.randn(shape), 4)
        for level, coarser in itertools.pairwise(levels):
            assert torch.equal(grid.downscale(level), coarser)


def test_a_signal_is_acted_on_by_reflection_then_scales_then_turns() -> None:
    x, grid = torch.randn(2, 1, 31, 22), Grid(2, rotations=4, mirrored=True)
    assert torch.equal(grid.act(x), x)
    assert torch.equal(grid.act(x, 0, 1, True), x.flip(3).rot90(1, (2, 3)))
    assert torch.equal(grid.act(x, 2, 3, True), grid.downscale(grid.downscale(x.flip(3))).rot90(3, (2, 3)))
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        grid.act(x, -1)
    with pytest.raises(ValueError, match="only images can be turned or mirrored, got turns=0, mirror=True"):
        Grid(1).act(torch.randn(1, 1, 9), mirror=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mirrored, rotations", [(False, 2), (False, 4), (True, 1), (True, 2), (True, 4), (True, 8)])
@pytest.mark.parametrize("base", [2, math.sqrt(2), "3/2"])
@pytest.mark.parametrize("size", [(33, 40), (27, 27), (64, 64), (1 + 36, 52)], ids=str)
def test_rescaling_commutes_with_the_point_group_to_the_last_bit(size, base, mirrored, rotations, dtype) -> None:
    grid, x = Grid(2, base, rotations, mirrored), torch.randn(2, 3, *size, dtype=dtype)
    rescaled = grid.downscale(x)
    turns = range(0, 4, 4 // min(rotations, 4))
    for quarters, mirror in itertools.product(turns, (False, True) if mirrored else (False,)):
        moved = grid.downscale((x.flip(3) if mirror else x).rot90(quarters, (2, 3)))
        assert torch.equal(moved, (rescaled.flip(3) if mirror else rescaled).rot90(quarters, (2, 3)))


@pytest.mark.parametrize("grid", [Grid(2), Grid(2, rotations=4, mirrored=True)], ids=str)
@pytest.mark.parametrize("size", [(40, 40), (41, 40), (41, 57), (7, 2), (3, 1)], ids=str)
def test_at_base_2_a_part_of_an_image_is_rescaled_as_the_whole_is(size: tuple[int, int], grid: Grid) -> None:
    image = torch.randn(1, 2, *size, dtype=torch.float64)
    whole = grid.downscale(image)
    assert whole.shape[2:] == tuple(-(-n // 2) for n in size)
    window = image[:, :, 8:, 16:] if min(size) > 20 else image  # begins at an even place, and ends where the image does
    part = grid.downscale(window)
    inner = (..., slice(1 if window is not image else 0, None), slice(1 if window is not image else 0, None))
    corner = whole[:, :, whole.shape[2] - part.shape[2] :, whole.shape[3] - part.shape[3] :]
    torch.testing.assert_close(part[inner], corner[inner], rtol=0, atol=1e-14)


@pytest.mark.parametrize("grid", [Grid(1), Grid(1, "3/2"), Grid(2)], ids=str)
@pytest.mark.parametrize("n", [60, 61])
def test_upscaling_puts_every_sample_where_it_was_taken_from(n: int, grid: Grid) -> None:
    """A straight line stays one through T and back, but near the ends, where T sees less on one side."""
    n = n if grid.ndim == 2 else 8 * n
    line = torch.arange(n, dtype=torch.float64) / n
    x = line.expand(1, 1, n) if grid.ndim == 1 else (line[:, None] + 3 * line).expand(1, 1, n, n)
    back = grid.upscale(grid.downscale(x), x.shape[2:])
    assert back.shape == x.shape
    inner = (..., *[slice(n // 4, -(n // 4))] * grid.ndim)
    torch.testing.assert_close(back[inner], x[inner], rtol=0, atol=1e-3 if grid.ndim == 1 else 1e-12)


@pytest.mark.parametrize("base", [2, "3/2"])
def test_shift_by_the_coarsest_period_moves_every_level_by_whole_samples(base: int | str) -> None:
    num_scales, length = 4, 6000
    grid = Grid(1, base)
    shift = 2 * int(grid.base.numerator ** (num_scales - 1))  # whole on every level, also for 3/2
    x = F.pad(torch.randn(1, 1, length, dtype=torch.float64), (1500, 1500))
    lift = LiftingConv1d(1, 4, 9, num_scales, grid=grid).double()
    for i, (level, moved) in enumerate(zip(lift(x), lift(x.roll(shift, -1)), strict=True)):
        step = shift / grid.base**i
        assert step.denominator == 1
        assert (moved - level.roll(int(step), -1)).abs().max() < 1e-12


@pytest.mark.parametrize("size", [40, 37, 43])  # of exactly twice the samples; cut off; the last one repeated
@pytest.mark.parametrize("base", [2, "3/2"])
def test_features_are_aligned_linearly_between_pixel_centres(base: int | str, size: int) -> None:
    y, grid = torch.randn(1, 1, 20, dtype=torch.float64), Grid(1, base)
    size = size * grid.ratio // 2
    centres = ((np.arange(size) + 0.5) / float(grid.ratio) - 0.5).clip(0)
    expected = np.interp(centres, np.arange(20), y[0, 0].numpy())
    np.testing.assert_allclose(grid.align(y, (size,))[0, 0].numpy(), expected, atol=1e-6)
    image = y[..., None].expand(-1, -1, -1, 5)
    if base == 2:
        np.testing.assert_allclose(Grid(2).align(image, (size, 10))[0, 0, :, 3].numpy(), expected, atol=1e-14)


def test_upscale_of_a_waveform_is_linear_interpolation() -> None:
    y = torch.randn(1, 1, 20, dtype=torch.float64)
    expected = np.interp(np.arange(39) / 2, np.arange(20), y[0, 0].numpy())
    for size in 39, (39,):
        np.testing.assert_allclose(Grid(1).upscale(y, size)[0, 0].numpy(), expected, atol=1e-14)


@pytest.mark.parametrize(
    "base, parsed",
    [
        (2, Fraction(2)),
        (1.5, Fraction(3, 2)),
        ("5/4", Fraction(5, 4)),
        (Fraction(7, 5), Fraction(7, 5)),
        (1.1, Fraction(11, 10)),
        ("2**1", Fraction(2)),
        ("3/2", Fraction(3, 2)),
    ],
)
def test_base_is_taken_in_every_form(base: float | str | Fraction, parsed: Fraction) -> None:
    assert Grid(1, base).base == Grid(2, base).base == parsed


def test_images_take_any_real_base() -> None:
    assert Grid(2, math.sqrt(2)).base == Grid(2, "2**0.5").base == Grid(2, "2**1/2").base == math.sqrt(2)
    assert Grid(2, 1.000001).least_size(2) == 500_001
    with pytest.raises(ValueError, match=r"in 1D base must be a ratio .* got 1\.414"):
        Grid(1, math.sqrt(2))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"ndim": 3}, "ndim must be 1 or 2, got 3"),
        ({"ndim": 1, "base": 1}, "base must be above 1, got 1"),
        ({"ndim": 2, "base": 0.5}, "base must be above 1, got 0.5"),
        ({"ndim": 1, "base": float("inf")}, "finite number or a ratio such as '3/2', got inf"),
        ({"ndim": 1, "base": "1/0"}, "finite number or a ratio such as '3/2', got '1/0'"),
        ({"ndim": 1, "base": float("nan")}, "finite number or a ratio such as '3/2', got nan"),
        ({"ndim": 1, "base": 1 + 1e-12}, r"base must be above 1, got 1\.000000000001"),
        ({"ndim": 2, "base": 1.0000001}, r"base must be above 1, got 1\.0000001"),
        ({"ndim": 1, "rotations": 4}, "rotations=4, mirrored=False.*needs ndim=2"),
        ({"ndim": 1, "mirrored": True}, "only images can be turned or mirrored: .* needs ndim=2"),
        ({"ndim": 2, "rotations": 3}, "rotations must be one of 1, 2, 4, 8, 12, 16, got 3"),
        ({"ndim": 1, "base": "two"}, "finite number or a ratio such as '3/2', got 'two'"),
    ],
)
def test_arguments_out_of_range(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Grid(**arguments)


def test_input_of_another_kind() -> None:
    with pytest.raises(ValueError, match=r"shape \(B, C, L\), got \(1, 8, 8, 8\)"):
        Grid(1).downscale(torch.zeros(1, 8, 8, 8))
    with pytest.raises(ValueError, match=r"floating-point input, got torch.int16"):
        Grid(1).views(torch.zeros(1, 1, 64, dtype=torch.int16), 2)
    with pytest.raises(ValueError, match="num_scales must be at least 1, got 0"):
        Grid(1).views(torch.zeros(1, 1, 64), 0)
    for grid, size in (Grid(2), 8), (Grid(2), [8]), (Grid(1), (8, 8)):
        with pytest.raises(ValueError, match=f"size must have {grid.ndim} numbers, got "):
            grid.upscale(torch.zeros(1, 1, *[4] * grid.ndim), size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(B, C, L\), got \(1, 1, 4, 4\)"):
        Grid(1).upscale(torch.zeros(1, 1, 4, 4), 8)


def test_a_grid_is_a_value() -> None:
    grid = Grid(1, "3/2")
    assert grid == Grid(1, 1.5) != Grid(1) and hash(grid) == hash(Grid(1, 1.5))
    assert pickle.loads(pickle.dumps(grid)) == grid
    assert repr(Grid(1, "3/2")) == "Grid(ndim=1, base=3/2)"
    with pytest.raises(AttributeError):
        grid.base = 2  # type: ignore[misc]
