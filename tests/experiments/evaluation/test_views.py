"""A trained network on all views: against the views by hand."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.evaluation.views import DEFAULTS, on_views
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.segmentation import Segmentation
from wavenets import Grid
from wavenets.models import CNN, MNet


def cnn(**options: Any) -> CNN:
    torch.manual_seed(0)
    return CNN(num_classes=4, width=4, in_channels=1, **options).eval()


def test_a_network_is_itself_if_no_view_is_asked_for() -> None:
    network = cnn()
    for views in None, {}, dict.fromkeys(DEFAULTS):
        assert on_views(network, MultiClass(4), views) is network


@torch.no_grad()
def test_answers_are_fused_over_poses_and_scales() -> None:
    network, x, grid = cnn(), torch.randn(3, 1, 40, 50), Grid(2, 2, rotations=4, mirrored=True)
    scales = []
    for scale in (x, grid.downscale(x)):
        poses = [pose.rot90(turns, (2, 3)) for pose in (scale, scale.flip(3)) for turns in range(4)]
        scales.append(torch.stack([network(pose) for pose in poses]))
    everything = {"num_scales": 2, "rotations": 4, "mirrored": True}
    for mode, expected in (None, torch.cat(scales).mean(0)), ("max", torch.cat(scales).amax(0)):
        y = on_views(network, MultiClass(4), {**everything, "mode": mode})(x)
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def surest(scales: list[Tensor]) -> Tensor:
    """Return for each example the logits of the scale whose likeliest class is likeliest."""
    best = torch.stack([logits.softmax(1).amax(1) for logits in scales]).argmax(0)
    return torch.stack([scales[scale][example] for example, scale in enumerate(best.tolist())])


@torch.no_grad()
def test_the_surest_scale_is_chosen_for_each_example() -> None:
    network, grid = cnn(), Grid(2, "3/2")
    x = F.interpolate(torch.randn(20, 1, 8, 10), size=(40, 50), mode="bilinear")
    scales = [network(view) for view in grid.views(x, 3)]
    best = torch.stack([logits.softmax(1).amax(1) for logits in scales]).argmax(0)
    assert len(best.unique()) > 1
    net = on_views(network, MultiClass(4), {"num_scales": 3, "base": "3/2", "mode": "confident"})
    torch.testing.assert_close(net(x), surest(scales), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "views"),
    [
        (cnn(), {"num_scales": 3}),
        (cnn(), {"num_scales": 5, "base": 2**0.5, "finer": 2, "rotations": 4}),
        (cnn(), {"rotations": 4}),
        (MNet(3, num_classes=4).eval(), {"num_scales": 4, "base": "3/2"}),
    ],
)
@torch.no_grad()
def test_the_least_size_is_that_of_the_coarsest_view(network: Any, views: dict[str, Any]) -> None:
    net = on_views(network, MultiClass(4), views)
    least: Any = net.min_size
    assert least > network.min_size or views.get("num_scales", 1) == 1
    assert net(torch.randn(2, 1, *[least] * network.ndim)).shape == (2, 4)
    with pytest.raises(ValueError, match=r"needs at least|too short"):
        net(torch.randn(2, 1, *[least - 1] * network.ndim))


def images() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1))


@torch.no_grad()
def test_a_thickness_chooses_the_scale() -> None:
    network, x = images(), torch.randn(3, 1, 40, 50)
    net = on_views(network, Segmentation(2), {"num_scales": 3, "base": "3/2", "thickness": 0.1})
    grid = Grid(2, "3/2")
    _, finer, coarsest = grid.views(x, 3)  # the coarsest: all that is found is thicker than a tenth of a pixel
    assert torch.equal(net(x), grid.upscale(grid.upscale(network(coarsest), finer.shape[2:]), (40, 50)))
    assert net.min_size == 3  # pixels of which the coarsest view has one


def test_a_network_of_another_library_is_of_the_dimensions_of_its_convolutions() -> None:
    y = on_views(images(), Segmentation(2), {"rotations": 4, "num_scales": 2})(torch.randn(1, 1, 9, 12))
    assert y.shape == (1, 2, 9, 12)
    sounds = nn.Sequential(nn.Conv1d(1, 4, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    assert on_views(sounds, MultiClass(4), {"num_scales": 2})(torch.randn(3, 1, 30)).shape == (3, 4)
    with pytest.raises(ValueError, match=r"views.… need a Linear with an attribute ndim"):
        on_views(nn.Linear(3, 4), MultiClass(4), {"num_scales": 2})


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ({"num_scales": 0}, "views.num_scales=0 is not a whole number above 0"),
        ({"num_scales": 40}, "views.num_scales=40 needs inputs of .* × .*; set fewer"),
        ({"num_scales": True}, "views.num_scales=True is not a whole number"),
        ({"rotations": 8}, "views.rotations=8 is not 1, 2 or 4"),
        ({"rotations": "four"}, "views.rotations=four is not 1, 2 or 4"),
        ({"mirrored": 1}, "views.mirrored=1 is not true or false"),
        ({"num_scales": 2, "finer": 2}, "views.finer=2 is not a whole number from 0 to below views.num_scales=2"),
        ({"finer": 1}, "views.finer=1 is not a whole number from 0 to below views.num_scales=1"),
        ({"num_scales": 2, "mode": "median"}, "views.mode=median is not one of mean, max, confident"),
        ({"mode": "max"}, "views.mode=max has no effect on one view"),
        ({"finer": 0}, "views.finer=0 has no effect on one view"),
        ({"base": 2, "rotations": 4}, "views.base=2 has no effect without views.num_scales"),
        ({"num_scales": 2, "base": 1}, "views.base=1: base must be above 1"),
        ({"num_scales": 2, "base": "wide"}, "views.base=wide: base must be a finite number"),
        ({"scales": 2}, "views.scales is unknown; choose one of num_scales, base"),
    ],
)
def test_wrong_values_are_named(views: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        on_views(cnn(), MultiClass(4), views)


def test_values_that_do_not_fit_the_network_are_named() -> None:
    sounds = MNet(3, num_classes=4)
    of_sounds: list[tuple[dict[str, Any], str]] = [
        ({"rotations": 4}, "views.rotations=4 is for images"),
        ({"mirrored": True}, "views.mirrored=True is for images"),
        ({"num_scales": 2, "base": 1.4142}, "views.base=1.4142: in 1D base must be a ratio"),
    ]
    for views, message in of_sounds:
        with pytest.raises(ValueError, match=message):
            on_views(sounds, MultiClass(4), views)
    of_maps: list[tuple[dict[str, Any], str]] = [
        ({"thickness": 0}, "views.thickness=0 is not a number of pixels above 0"),
        ({"thickness": "thin"}, "views.thickness=thin is not a number of pixels above 0"),
        ({"thickness": 3}, "views.thickness=3 has no effect on one view; set views.num_scales as well"),
        ({"thickness": 3, "num_scales": 2, "rotations": 4, "mode": "mean"}, "leave out views.rotations=4, views.mode"),
    ]
    for views, message in of_maps:
        with pytest.raises(ValueError, match=message):
            on_views(images(), Segmentation(2), views)
    with pytest.raises(ValueError, match=r"views.thickness=3 is for maps"):
        on_views(cnn(), MultiClass(4), {"thickness": 3, "num_scales": 2})
    with pytest.raises(ValueError, match=r"views.mode=confident is for classes"):
        on_views(cnn(), Regression(4), {"num_scales": 2, "mode": "confident"})
