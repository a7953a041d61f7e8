"""Any network on all views or on a chosen one: what is exact, what is chosen, and how a score learns to choose."""

import pickle
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.export import Dim

from tests.library.networks import noise
from wavenets import Grid, Levels, equivariant, resample
from wavenets.losses import pose
from wavenets.nn import Canonicalize, MapReadout, PerLevel, Readout, Views
from wavenets.testing import equivariance_error, map_error

D4 = [(turns, mirror) for turns in range(4) for mirror in (False, True)]
SIZES = [(33, 40), (27, 27), (37, 52)]
BASES = [2, 2**0.5, "3/2"]


class Score(nn.Module):
    """Likes an amplitude of 1 best, and of the orientations one, by kernels without symmetry."""

    def __init__(self, channels: int = 1, ndim: int = 2, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.conv = (nn.Conv1d, nn.Conv2d)[ndim - 1](channels, 4, 5, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        amplitude = x.abs().flatten(1).mean(1, keepdim=True)
        return 0.01 * self.conv(x).relu().flatten(1).mean(1, keepdim=True) / amplitude - amplitude.log() ** 2


def choosing(grid: Grid, x: Tensor, scales: list[int], finer: int = 0) -> Tensor:
    """Examples of which the given scales have an amplitude of 1."""
    views = grid.views(x, max(scales) + 1, finer)
    amplitudes = [views[i * grid.orientations][b].abs().mean() for b, i in enumerate(scales)]
    return x / torch.stack(amplitudes).view(-1, *[1] * (x.ndim - 1))


def segmenter(channels: int = 1, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1, padding_mode="reflect")
    ).to(dtype)


def classifier(channels: int = 1, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    pool = nn.AdaptiveAvgPool2d(3), nn.Flatten()  # 3 × 3 positions, so that the pose of the input matters
    return nn.Sequential(nn.Conv2d(channels, 8, 3, stride=2), nn.ReLU(), *pool, nn.Linear(72, 5)).to(dtype)


# Views finer than the signal


@given(st.integers(1, 3000), st.sampled_from([2, "3/2", "5/4", "64/63", 3, 2**0.5, 1.3]), st.sampled_from([1, 2]))
def test_t_brings_the_size_of_a_finer_view_back(size: int, base: float | str, ndim: int) -> None:
    grid = Grid(2, base)
    if ndim == 1 and not isinstance(grid.base, Fraction):
        return
    finer = resample.refined_size(size, grid.ratio, ndim)
    assert resample.downscaled_size(finer, grid.ratio, ndim) == size
    others = [n for n in range(max(finer - 3, 1), finer + 4) if resample.downscaled_size(n, grid.ratio, ndim) == size]
    assert abs(finer - size * grid.ratio) == min(abs(n - size * grid.ratio) for n in others)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finer_views_of_images_are_exact_under_d4_and_the_others_under_t_as_well(
    base: float | str, dtype: torch.dtype
) -> None:
    grid = Grid(2, base, rotations=4, mirrored=True)
    views = Views(5, grid, finer=2)
    for size in SIZES:
        x = noise(2, 1, *size, dtype=dtype)
        assert torch.equal(views(x)[16], x)
        assert all(torch.equal(a, b) for a, b in zip(views(x)[16:], grid.views(x, 3), strict=True))
        for turns, mirror in D4[1:]:
            assert equivariance_error(views, x, grid, 0, turns, mirror) == [0.0] * 40
        errors = equivariance_error(views, x, grid, 1, 3, True)
        assert errors[16:] == [0.0] * 16 and min(errors[:16]) > 0


@pytest.mark.parametrize("ratio", ["2", "3/2", "5/4"])
def test_a_finer_view_of_a_waveform_is_band_limited_interpolation(ratio: str) -> None:
    """Sample n lies at n / base, under a sinc cut at 99 % of the Nyquist frequency, with a Hann window of six zeros."""
    base, x = Fraction(ratio), noise(2, 1, 101, dtype=torch.float64)
    finer = Grid(1, ratio).refine(x)
    assert finer.shape[-1] == int(101 * base)
    for n in range(finer.shape[-1]):
        t = 0.99 * (torch.arange(101, dtype=torch.float64) - float(n / base))
        kernel = 0.99 * torch.sinc(t) * torch.cos(t * torch.pi / 12) ** 2 * (t.abs() < 6)
        torch.testing.assert_close(finer[..., n], (x * kernel).sum(-1), rtol=0, atol=1e-12)


def test_a_finer_view_of_an_image_is_bilinear() -> None:
    x = noise(2, 1, 24, 31, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(Grid(2, 2).refine(x), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(Grid(2, 2, rotations=4).refine(x), expected, rtol=0, atol=1e-12)


# On all views


def test_equivariant_is_views_and_a_readout() -> None:
    grid, x = Grid(2, rotations=4), noise(2, 1, 40, 33)
    for mode in ("mean", "max", "logsumexp", "finest", "confident"):
        for network, readout, maps in ((classifier(), Readout, False), (segmenter(), MapReadout, True)):
            expected = nn.Sequential(Views(2, grid), PerLevel(network), readout(mode))(x)
            assert torch.equal(equivariant(network, grid, 2, mode, maps)(x), expected)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", ["mean", "confident"])
def test_maps_with_finer_views_are_exact_and_of_the_size_of_the_signal(
    base: float | str, dtype: torch.dtype, mode: str
) -> None:
    grid = Grid(2, base, rotations=4, mirrored=True)
    net = equivariant(segmenter(dtype=dtype), grid, 3, mode, maps=True, finer=2)
    for size in ((33, 20), (17, 17)):
        x = noise(1, 1, *size, dtype=dtype)
        assert net(x).shape == (1, 2, *size)
        assert [map_error(net, x, grid, 0, *element) for element in D4[1:]] == [0.0] * 7


def test_a_network_that_copies_an_image_returns_it_from_finer_views() -> None:
    x = F.interpolate(noise(1, 1, 6, 6), size=(48, 48), mode="bicubic")
    y = equivariant(nn.Identity(), Grid(2, 2**0.5), 2, maps=True, finer=1)(x)
    assert (y - x).norm() < 0.1 * x.norm()


@pytest.mark.parametrize("rotations, mirrored", [(1, False), (4, True)])
def test_a_confident_map_is_exact_where_it_is_of_a_coarser_scale(rotations: int, mirrored: bool) -> None:
    """Interpolation does not commute with turns, so it is done in every frame."""
    grid = Grid(2, 2**0.5, rotations, mirrored)
    levels = Levels(*(noise(1, 2, *view.shape[2:]) for view in grid.views(noise(1, 1, 37, 52), 3)), grid=grid)
    levels = Levels(*levels[: -grid.orientations], *(10 * y for y in levels[-grid.orientations :]), grid=grid)
    assert MapReadout("confident").chosen(levels).tolist() == [2]
    expected = MapReadout("confident")(levels)
    for g, (turns, mirror) in enumerate(D4[: grid.orientations]):
        element = grid.group.find(turns, mirror) if grid.orientations > 1 else g
        moved = Levels(*(levels[grid.moved(i, 0, element)] for i in range(len(levels))), grid=grid)
        assert torch.equal(MapReadout("confident")(moved), grid.act(expected, 0, turns, mirror))


def test_compositions_are_the_mean_over_poses_at_the_surest_scale() -> None:
    poses, scales = Grid(2, rotations=4, mirrored=True), Grid(2, base=2**0.5)
    network, x = segmenter(dtype=torch.float64), noise(2, 1, 53, 40, dtype=torch.float64)
    inner = equivariant(network, poses, maps=True)
    net = equivariant(inner, scales, 5, mode="confident", maps=True)
    levels = [inner(view) for view in scales.views(x, 5)]
    chosen = MapReadout("confident").chosen(Levels(*levels, grid=scales)).tolist()
    for example, scale in enumerate(chosen):
        expected = levels[scale][example : example + 1]
        for finer in reversed(range(scale)):
            expected = scales.upscale(expected, levels[finer].shape[2:])
        torch.testing.assert_close(net(x)[example : example + 1], expected, rtol=0, atol=1e-12)
    both = Grid(2, base=2**0.5, rotations=4, mirrored=True)
    torch.testing.assert_close(net(x), equivariant(network, both, 5, "confident", maps=True)(x), rtol=0, atol=1e-12)
    assert all(map_error(net, x, both, 0, *element) < 1e-14 for element in D4[1:])


@pytest.mark.slow
@pytest.mark.parametrize("grid", [Grid(1, "3/2"), Grid(2, 2**0.5, rotations=4)], ids=str)
def test_finer_views_are_compiled_and_exported_for_all_sizes(grid: Grid) -> None:
    conv = nn.Conv1d if grid.ndim == 1 else nn.Conv2d
    net = equivariant(conv(2, 3, 3, padding=1), grid, 3, "confident", maps=True, finer=1).eval()
    x, other = noise(2, 2, *(33, 40)[: grid.ndim]), noise(3, 2, *(44, 37)[: grid.ndim])
    exported = torch.export.export(net, (x,), dynamic_shapes=({dim: Dim.DYNAMIC for dim in (0, *range(2, x.ndim))},))
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend="eager")
    for some in (x, other):
        torch.testing.assert_close(exported.module()(some), net(some), rtol=0, atol=1e-6)
        torch.testing.assert_close(compiled(some), net(some), rtol=0, atol=1e-6)


# On one view


def chosen_by_hand(net: Canonicalize, x: Tensor) -> list[int]:
    """The view with the highest score, example by example."""
    views = net.views(x)
    return [max(range(len(views)), key=lambda i: net.score(views[i])[b].item()) for b in range(len(x))]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [classifier, segmenter])
def test_canonicalized_networks_are_exact_under_d4(
    base: str, dtype: torch.dtype, make: Callable[..., nn.Module]
) -> None:
    torch.manual_seed(0)
    grid = Grid(2, base, rotations=4, mirrored=True)
    net = Canonicalize(make(dtype=dtype), Score(dtype=dtype), grid, num_scales=4, finer=1).eval()
    elements = set()
    for size in SIZES:
        x = choosing(grid, noise(6, 1, *size, dtype=dtype), [0, 1, 2, 3, 2, 1], finer=1)
        scale, orientation = net.element(x)
        elements |= set(zip(scale.tolist(), orientation.tolist(), strict=True))
        expected = net(x)
        for turns, mirror in D4[1:]:
            moved = grid.act(x, 0, turns, mirror)
            assert torch.equal(net(moved), grid.act(expected, 0, turns, mirror) if make is segmenter else expected)
            moved_scale, moved_orientation = net.element(moved)
            product, g = grid.group.product, grid.group.find(turns, mirror)
            assert torch.equal(moved_scale, scale)
            assert [product[h][g] for h in moved_orientation.tolist()] == orientation.tolist()
    assert len(elements) > 5 and len({scale for scale, _ in elements}) > 1  # examples do choose different views


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_canonicalized_network_is_exact_under_t_between_the_ends(base: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    grid = Grid(2, base, rotations=4, mirrored=True)
    net = Canonicalize(classifier(dtype=dtype), Score(dtype=dtype), grid, num_scales=4).eval()
    maps = Canonicalize(segmenter(dtype=dtype), net.score, grid, num_scales=4).eval()
    for size in ((97, 120), (101, 101)):
        x = choosing(grid, noise(4, 1, *size, dtype=dtype), [1, 2, 2, 1])
        scale, orientation = net.element(x)
        assert scale.tolist() == [1, 2, 2, 1]
        expected, expected_maps = net(x), maps(x)
        for element in D4:
            smaller = grid.act(x, 1, *element)
            assert net.element(smaller)[0].tolist() == [0, 1, 1, 0]
            assert torch.equal(net(smaller), expected)
        small = maps(grid.downscale(x))
        for b, h in enumerate(orientation.tolist()):  # the same map, upscaled once more in the frame of its view
            seen = grid.group.act(h, small[b : b + 1])
            upscaled = grid.upscale(seen, grid.group.act(h, x).shape[2:])
            assert torch.equal(grid.group.undo(h, upscaled), expected_maps[b : b + 1])


@pytest.mark.parametrize("finer", [0, 2])
def test_each_example_is_what_the_network_makes_of_its_best_view(finer: int) -> None:
    torch.manual_seed(1)
    grid = Grid(2, 2**0.5, rotations=4, mirrored=True)
    x = choosing(grid, noise(8, 1, 41, 36, dtype=torch.float64), [0, 1, 2, 3, 3, 2, 1, 0], finer)
    vectors = Canonicalize(classifier(dtype=torch.float64), Score(dtype=torch.float64), grid, 4, finer).eval()
    maps = Canonicalize(segmenter(dtype=torch.float64), vectors.score, grid, 4, finer).eval()
    views, chosen = vectors.views(x), chosen_by_hand(vectors, x)
    assert len(set(chosen)) > 3
    for example, level in enumerate(chosen):
        view, (scale, orientation) = views[level][example : example + 1], divmod(level, 8)
        assert (scale, orientation) == tuple(part[example].item() for part in vectors.element(x))
        torch.testing.assert_close(vectors(x)[example : example + 1], vectors.network(view), rtol=0, atol=1e-12)
        upright = grid.group.undo(orientation, maps.network(view))
        for i in reversed(range(finer, scale)):
            upright = grid.upscale(upright, grid.views(x, 4, finer)[8 * i].shape[2:])
        for _ in range(scale, finer):
            upright = grid.downscale(upright)
        torch.testing.assert_close(maps(x)[example : example + 1], upright, rtol=0, atol=1e-12)


@pytest.mark.parametrize("finer", [0, 1])
def test_waveforms_are_canonicalized_over_scales(finer: int) -> None:
    torch.manual_seed(0)
    grid = Grid(1, "3/2")
    x = choosing(grid, noise(4, 1, 301, dtype=torch.float64), [1, 2, 1, 2], finer)
    score = Score(ndim=1, dtype=torch.float64)
    net = Canonicalize(nn.Conv1d(1, 2, 5, padding=2).double(), score, grid, 4, finer).eval()
    assert net(x).shape == (4, 2, 301)
    scale, orientation = net.element(x)
    assert scale.tolist() == chosen_by_hand(net, x) and orientation.tolist() == [0] * 4
    pooled = nn.Sequential(net.network, nn.AdaptiveAvgPool1d(1), nn.Flatten())
    vectors = Canonicalize(pooled, score, grid, 4, finer).eval()
    assert vectors(x).shape == (4, 2)
    if not finer:
        smaller = grid.act(x, 1)
        assert scale.tolist() == [1, 2, 1, 2] and torch.equal(vectors.element(smaller)[0], scale - 1)
        assert torch.equal(vectors(smaller), vectors(x))


def test_a_symmetric_image_has_one_vector_and_a_map_up_to_its_symmetry() -> None:
    grid, x = Grid(2, rotations=4, mirrored=True), noise(1, 1, 28, 28)
    x = x + x.flip(-1)
    score = Score()
    vectors, maps = (Canonicalize(network, score, grid).eval() for network in (classifier(), segmenter()))
    assert torch.equal(vectors(x.flip(-1)), vectors(x))
    turned = maps(x.rot90(1, (2, 3))).rot90(-1, (2, 3))
    assert torch.equal(turned, maps(x)) or torch.equal(turned.flip(-1), maps(x))


def test_in_training_values_stay_and_the_gradient_reaches_the_score() -> None:
    torch.manual_seed(0)
    grid, x = Grid(2, rotations=4), noise(3, 1, 30, 30, dtype=torch.float64)
    net = Canonicalize(classifier(dtype=torch.float64), Score(dtype=torch.float64), grid, 2)
    torch.testing.assert_close(net.train()(x), net.eval()(x), rtol=1e-14, atol=0)
    net.train()(x).square().sum().backward()
    assert all(parameter.grad.norm() > 0 for parameter in net.parameters() if parameter.grad is not None)
    actual = net.score.conv.weight.grad
    # d/ds Σ y² = Σ 2 y · y dp/ds, with y as it is and p the probability of the chosen view
    scores = net.scores(net.views(x))
    p, y = scores.softmax(1).amax(1), net.eval()(x).detach()
    (expected,) = torch.autograd.grad((2 * y.square().sum(1) * p).sum(), [net.score.conv.weight])
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("make, shape", [(classifier, (0, 5)), (segmenter, (0, 2, 30, 41))])
def test_an_empty_batch_has_the_shape_of_the_answer(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    net = Canonicalize(make(), convolutions(), Grid(2, rotations=4), 2, 1)
    assert net(noise(0, 1, 30, 41)).shape == shape


def test_a_canonicalized_network_is_saved_and_pickled() -> None:
    net, x = Canonicalize(segmenter(), Score(), Grid(2, 2**0.5, rotations=4), 3, 1).eval(), noise(2, 1, 30, 41)
    assert {name.split(".")[0] for name in net.state_dict()} == {"network", "score"}
    assert torch.equal(pickle.loads(pickle.dumps(net))(x), net(x))


# A score that is taught


def letters(count: int) -> Tensor:
    """The letter F, which has no symmetry, somewhere in noise."""
    x = 0.1 * torch.randn(count, 1, 16, 16)
    letter = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0.0]])
    for image, (top, left) in zip(x, torch.randint(10, (count, 2)).tolist(), strict=True):
        image[0, top : top + 6, left : left + 4] += letter
    return x


def textures(count: int, size: int, wavelength: float, ndim: int = 2) -> Tensor:
    """Noise of wavelengths within a fifth of one."""
    frequency = torch.fft.fftfreq(size).abs()
    frequency = frequency if ndim == 1 else torch.hypot(frequency[:, None], frequency)
    band = (frequency > 1 / (1.2 * wavelength)) & (frequency < 1.2 / wavelength)
    x = torch.fft.ifftn(
        torch.fft.fftn(noise(count, 1, *[size] * ndim), dim=[-1, -2][:ndim]) * band, dim=[-1, -2][:ndim]
    )
    return x.real / x.real.std()


def convolutions(ndim: int = 2) -> nn.Sequential:
    conv, pool = [(nn.Conv1d, nn.AdaptiveAvgPool1d), (nn.Conv2d, nn.AdaptiveAvgPool2d)][ndim - 1]
    return nn.Sequential(conv(1, 8, 5), nn.ReLU(), conv(8, 16, 5), nn.ReLU(), conv(16, 1, 1), pool(1), nn.Flatten())


def teach(net: Canonicalize, draw: Callable[[], Tensor], steps: int) -> None:
    optimizer = torch.optim.Adam(net.score.parameters(), 5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        pose(net, draw()).backward()
        optimizer.step()


def test_a_score_learns_the_orientation_of_letters() -> None:
    torch.manual_seed(0)
    grid = Grid(2, rotations=4, mirrored=True)
    net = Canonicalize(nn.Identity(), convolutions(), grid).eval()
    teach(net, lambda: letters(32), steps=120)
    x = letters(200)
    for turns, mirror in D4:
        right = grid.group.inverse[grid.group.find(turns, mirror)]
        assert (net.element(grid.act(x, 0, turns, mirror))[1] == right).float().mean() > 0.9


@pytest.mark.parametrize("ndim", [1, 2])
def test_a_score_learns_the_scale_of_textures(ndim: int) -> None:
    """Textures that are drawn at another scale, not resized ones: what it learned is no trace of interpolation."""
    torch.manual_seed(0)
    net = Canonicalize(nn.Identity(), convolutions(ndim), Grid(ndim, "3/2"), num_scales=3, finer=1).eval()
    teach(net, lambda: textures(8, 40, 6, ndim), steps=60)
    for scale in range(3):
        x = textures(40, 80, 6 * 1.5 ** (scale - 1), ndim)
        assert (net.element(x)[0] == scale).float().mean() > 0.9


def test_the_pose_of_a_score_that_knows_nothing_is_the_logarithm_of_the_views() -> None:
    score = nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.zeros_(score[0].weight)
    loss = pose(score, noise(3, 1, 40, 40), Grid(2, 2**0.5, rotations=4), num_scales=3, finer=1)
    torch.testing.assert_close(loss, torch.tensor(12.0).log())


@pytest.mark.parametrize("turns, mirror", D4[1:])
def test_the_orientation_of_training_images_counts(turns: int, mirror: bool) -> None:
    """The loss is the cross-entropy of the first orientation, so that of a turned image is another."""
    grid, score = Grid(2, rotations=4, mirrored=True), convolutions().double()
    x = noise(2, 1, 21, 30, dtype=torch.float64)
    scores = torch.cat([score(view) for view in grid.views(x, 1)], 1).log_softmax(1)
    torch.testing.assert_close(pose(score, x, grid), -scores[:, 0].mean())
    moved = grid.group.inverse[grid.group.find(turns, mirror)]
    undone = -scores[:, grid.group.inverse[moved]].mean()
    torch.testing.assert_close(pose(score, grid.act(x, 0, turns, mirror), grid), undone)


def test_the_right_view_of_a_rescaled_batch_has_the_size_of_the_batch() -> None:
    seen: list[list[int]] = []

    class Sizes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen[-1].append(x.shape[-1])
            return x.new_zeros(len(x), 1) + len(seen[-1])  # so that the loss tells which view is the right one

    for grid, num_scales, size in (Grid(2, 2**0.5, rotations=4), 4, 100), (Grid(1, "3/2"), 4, 100), (Grid(1), 9, 300):
        rights, count = set(), num_scales * grid.orientations
        for _ in range(15 * num_scales):
            seen.append([])
            loss = pose(Sizes(), noise(1, 1, *[size] * grid.ndim), grid, num_scales, finer=1)
            losses = -torch.arange(1.0, count + 1).log_softmax(0)
            right = int((losses - loss).abs().argmin())
            rights.add(right)
            assert size / float(grid.base) ** 0.55 < seen[-1][right] < size * float(grid.base) ** 0.55
        assert rights == set(range(0, count, grid.orientations))  # upright, at each scale


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Views(3, Grid(2), finer=3), "finer must be from 0 to below num_scales=3, got 3"),
        (lambda: equivariant(segmenter(), Grid(2), 2, finer=-1), "finer must be from 0 to below num_scales=2, got -1"),
        (lambda: equivariant(segmenter(), Grid(2, rotations=8)), "rotations=4 in place of 8"),
        (lambda: equivariant(segmenter(), Grid(2), mode="most"), "mode must be one of finest, mean, max"),
        (lambda: Canonicalize(segmenter(), Score(), Grid(2), 0), "num_scales must be at least 1, got 0"),
        (
            lambda: Canonicalize(segmenter(), segmenter(), Grid(2))(noise(2, 1, 9, 9)),
            r"a score must be one number for each example, \(B, 1\), got shape \(2, 2, 9, 9\)",
        ),
        (
            lambda: Canonicalize(nn.Conv2d(1, 2, 3), Score(), Grid(2))(noise(2, 1, 9, 9)),
            r"maps of the size of its input, got \(7, 7\) from \(9, 9\): upscale them in it",
        ),
        (lambda: pose(Score(), noise(2, 1, 9, 9)), "a Canonicalize module or a grid: pass grid="),
        (
            lambda: pose(Canonicalize(segmenter(), Score(), Grid(2)), noise(2, 1, 9, 9), num_scales=2),
            "Canonicalize already has grid, num_scales and finer: leave them out",
        ),
        (
            lambda: pose(Score(), noise(2, 1, 9), Grid(2)),
            r"expected an input of shape \(B, C, H, W\), got \(2, 1, 9\)",
        ),
        (lambda: Views(4, Grid(2), finer=2)(noise(1, 1, 1, 9)), "too short for 2 scales of base 2"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
