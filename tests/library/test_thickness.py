"""The scale at which what a network finds is as thick as in its training."""

import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor, nn

from wavenets import Grid
from wavenets.nn import CanonicalizeThickness, mean_thickness
from wavenets.tiles import predict


class Bright(nn.Module):
    """Finds what is brighter than ½: a map of one logit, or of three classes of which class 2 is found."""

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        one = x[:, :1] - 0.5
        return one if self.classes == 1 else torch.cat([-one, one - 9, one], 1)


def bands(width: int, size: int, period: int = 64, dtype: torch.dtype = torch.float32) -> Tensor:
    """Vertical bands, none of them at the edge of the image."""
    return ((torch.arange(size) - 4) % period < width).to(dtype).expand(1, 1, size, size).contiguous()


def slow_thickness(found: np.ndarray) -> float:
    """Count pixel by pixel."""
    sides = 0
    for place in np.ndindex(found.shape):
        for axis in range(found.ndim):
            neighbour = tuple(i + (a == axis) for a, i in enumerate(place))
            if neighbour[axis] < found.shape[axis]:
                sides += bool(found[place] != found[neighbour])
    area = int(found.sum())
    return 0.0 if not area else 2 * area / sides if sides else math.inf


@given(st.data())
def test_thickness_is_twice_the_area_over_the_boundary(data: st.DataObject) -> None:
    shape = data.draw(array_shapes(min_dims=1, max_dims=2, max_side=7))
    found = data.draw(arrays(bool, shape))
    expected = torch.tensor([slow_thickness(found), slow_thickness(~found)])
    both = torch.from_numpy(np.stack([found, ~found]))
    assert torch.equal(mean_thickness(both), expected)
    if len(shape) == 2:
        assert torch.equal(mean_thickness(both.rot90(1, (1, 2)).flip(1)), expected)
    for dtype in torch.uint8, torch.int64, torch.float32:
        assert torch.equal(mean_thickness(both.to(dtype)), expected)


@pytest.mark.parametrize("base", [2, 2**0.5, "3/2"])
@pytest.mark.parametrize("finer", [0, 2])
@given(width=st.integers(1, 50), thickness=st.floats(1.5, 60))
def test_the_nearest_scale_is_chosen(base: float | str, finer: int, width: int, thickness: float) -> None:
    net = CanonicalizeThickness(Bright(), thickness, Grid(2, base), 5, finer).eval()
    steps = math.log(width / thickness, float(net.views.grid.base))
    if abs(abs(steps - math.floor(steps)) - 0.5) < 1e-6:  # in the middle of two
        return
    scale, orientation = net.element(bands(width, 128))
    assert scale.tolist() == [min(max(round(steps) + finer, 0), 4)] and orientation.tolist() == [0]


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_example_is_what_the_network_makes_of_its_view(classes: int, dtype: torch.dtype) -> None:
    grid, network = Grid(2, 2**0.5), nn.Sequential(Bright(classes), nn.Conv2d(classes, classes, 3, padding=1)).to(dtype)
    with torch.no_grad():
        nn.init.dirac_(network[1].weight), nn.init.zeros_(network[1].bias)  # type: ignore[arg-type]
    net = CanonicalizeThickness(network, 5, grid, 4, finer=1).eval()
    x = torch.cat([bands(width, 131, dtype=dtype) for width in (5, 10, 3, 7)])
    views, (scale, _) = net.views(x), net.element(x)
    assert scale.tolist() == [1, 3, 0, 2]
    for example, level in enumerate(scale.tolist()):
        expected = network(views[level][example : example + 1])
        for i in reversed(range(1, level)):
            expected = grid.upscale(expected, views[i].shape[2:])
        for _ in range(level, 1):
            expected = grid.downscale(expected)
        assert torch.equal(net(x)[example : example + 1], expected)


@pytest.mark.parametrize("base", [2, 2**0.5])
def test_a_rescaled_image_is_seen_at_the_same_scale(base: float) -> None:
    grid = Grid(2, base)
    net = CanonicalizeThickness(Bright(), 4, grid, 5).eval()
    x = bands(16, 128)
    smaller = grid.act(x, 1)
    scale = net.element(x)[0]
    assert torch.equal(net.element(smaller)[0], scale - 1) and 2 <= scale <= 4
    assert torch.equal(net(x), grid.upscale(net(smaller), x.shape[2:]))


@pytest.mark.parametrize(("widths", "times"), [((5, 5), 1), ((5, 10), 3)])
def test_a_network_is_applied_once_if_all_examples_stay_as_they_are(widths: tuple[int, int], times: int) -> None:
    network, sizes = Bright(), list[torch.Size]()
    network.register_forward_hook(lambda _, args, output: sizes.append(args[0].shape))
    net = CanonicalizeThickness(network, 5, Grid(2, 2), 3, finer=1).eval()
    x = torch.cat([bands(width, 64) for width in widths])
    y, views = net(x), net.views(x)
    assert len(sizes) == times and sizes[0] == x.shape
    assert torch.equal(y, net.answers(views, net.scores(views).argmax(1)))


def test_nothing_and_everything() -> None:
    for finer in 0, 1:
        net = CanonicalizeThickness(Bright(), 4, Grid(2, 2), 4, finer).eval()
        scale, _ = net.element(torch.cat([torch.zeros(1, 1, 40, 40), torch.ones(1, 1, 40, 40)]))
        assert scale.tolist() == [0, 3]
    assert mean_thickness(torch.tensor([[False] * 3, [True] * 3])).tolist() == [0, math.inf]


def test_events_of_a_waveform() -> None:
    x = ((torch.arange(300) - 4) % 60 < 20).float()[None, None]
    net = CanonicalizeThickness(Bright(), 9, Grid(1, "3/2"), 4).eval()
    assert net.element(x)[0].tolist() == [2] and net(x).shape == (1, 1, 300)


@pytest.mark.parametrize("base", [2, 2**0.5])
@pytest.mark.filterwarnings("ignore:.*neighbouring tiles differ")
def test_the_scale_is_that_of_the_whole_image(base: float) -> None:
    image = torch.cat([bands(16, 200), bands(4, 200, period=16)], 3)  # of each half it would be another one
    net = CanonicalizeThickness(nn.Sequential(Bright(), nn.Conv2d(1, 2, 3, padding=1)), 4, Grid(2, base), 5).eval()
    net.network[1].weight.data[:, 0] = torch.tensor([0.0, 1.0])[:, None, None] / 9
    net.network[1].bias.data = torch.zeros(2)
    halves = [net.element(image[..., part])[0].item() for part in (slice(200), slice(200, None))]
    whole = net.element(image)[0].item()
    assert halves[0] > whole > halves[1]
    tiled = predict(net, image[0], tile=64, margin=48)  # a root of 2 cannot be tiled exactly
    assert (tiled - net(image)[0]).abs().max() <= (0 if base == 2 else 0.05)


@pytest.mark.parametrize("seed", [4, 6, 11, 12])
def test_what_lies_in_several_tiles_counts_once(seed: int) -> None:
    """With these images another scale would be chosen if windows, which overlap, counted as wholes."""
    image = torch.zeros(1, 256, 256)
    for top, left, side in torch.randint(0, 200, (12, 3), generator=torch.Generator().manual_seed(seed)).tolist():
        image[:, top : top + 4 + side % 50, left : left + 4 + side % 50] = 1
    net = CanonicalizeThickness(Bright(), 8, Grid(2), 3).eval()
    assert torch.equal(predict(net, image, 48), net(image[None])[0])


def test_it_can_be_pickled_and_trained() -> None:
    torch.manual_seed(0)
    net = CanonicalizeThickness(nn.Conv2d(1, 1, 3, padding=1), 4, Grid(2, 2), 3)
    x = bands(8, 64)
    again = pickle.loads(pickle.dumps(net))
    assert again.extra_repr() == "thickness=4" and torch.equal(again.eval()(x), net.eval()(x))
    net.train()(x).sum().backward()
    assert net(x).dtype == torch.float32 and net.network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CanonicalizeThickness(Bright(), 0, Grid(2), 2), "thickness must be above 0, got 0"),
        (lambda: CanonicalizeThickness(Bright(), math.nan, Grid(2), 2), "thickness must be above 0, got nan"),
        (lambda: CanonicalizeThickness(Bright(), 3, Grid(2, rotations=4), 2), "without turns and reflections"),
        (lambda: CanonicalizeThickness(Bright(), 3, Grid(2), 0), "num_scales must be at least 1, got 0"),
        (
            lambda: CanonicalizeThickness(nn.Conv2d(1, 1, 3), 3, Grid(2), 2)(torch.zeros(1, 1, 9, 9)),
            r"expected maps of the size of the signal, \(9, 9\), got \(1, 1, 7, 7\)",
        ),
        (
            lambda: CanonicalizeThickness(nn.Flatten(), 3, Grid(2), 2)(torch.zeros(1, 1, 9, 9)),
            r"expected maps of the size of the signal, \(9, 9\), got \(1, 81\)",
        ),
    ],
)
def test_errors(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
