"""The demonstration of networks that return maps, without its page."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch import Tensor

from experiments.data import examples
from experiments.data.inputs import Image, Waveform
from experiments.data.sets.digit_images import rotate
from experiments.demo import Demo
from experiments.report import demonstration
from experiments.report.map_comparison import MapComparison, MapPair, MapSide
from experiments.training.tasks.segmentation import Segmentation
from tests.experiments.images import CLASSES, expected, pixels, unet
from tests.experiments.runs import saved
from wavenets import Grid, equivariant
from wavenets.models import CNN, MNet, ResNet, UNet
from wavenets.testing import map_error

D4 = {"rotations": 4, "mirrored": True}


def image(height: int = 33, width: int = 40) -> Tensor:
    return torch.from_numpy(pixels(height, width)).movedim(-1, 0)[None] / 255


def turned(x: Tensor, degrees: int, mirror: bool) -> Tensor:
    return (x.flip(-1) if mirror else x).rot90(degrees // 90, (-2, -1))


def plain(comparison: MapComparison) -> MapSide:
    assert comparison.plain is not None
    return comparison.plain


@pytest.fixture(scope="module")
def pair() -> MapPair:
    return MapPair(unet(**D4), Segmentation(3), unet())


@pytest.mark.parametrize(("degrees", "mirror"), list(product((0, 90, 180, 270), (False, True))))
def test_in_the_group_our_map_moves_to_the_last_bit(degrees: int, mirror: bool, pair: MapPair) -> None:
    comparison = pair.compare(image(), 1, degrees, mirror)
    ours = comparison.ours
    assert comparison.exact and ours.error == 0.0 and ours.changed == 0.0 and not ours.difference.any()
    assert torch.equal(comparison.moved, turned(image(), degrees, mirror)[0])
    np.testing.assert_array_equal(ours.moved, turned(torch.from_numpy(ours.original), degrees, mirror).numpy())
    np.testing.assert_array_equal(ours.original, expected(pair.network, image()[0]))  # type: ignore[arg-type]
    if degrees or mirror:
        assert map_error(pair.network, image(), pair.grid, turns=degrees // 90, mirror=mirror) == 0.0
        assert plain(comparison).error > 0.1 and plain(comparison).changed > 0.01


def test_errors_of_the_twin_are_those_of_its_maps(pair: MapPair) -> None:
    side = plain(pair.compare(image(), 1, 90, True))
    assert pair.twin is not None and pair.twin_name == side.name == "plain twin, trained"
    with torch.no_grad():
        have, before = (pair.twin(x)[0] for x in (turned(image(), 90, True), image()))
    should = turned(before, 90, True)
    spread = np.sqrt(sum(((row - row.mean()) ** 2).sum() for row in should.numpy().astype(float)))
    assert side.error == pytest.approx(np.linalg.norm((have - should).numpy()) / spread, rel=1e-5)
    assert side.changed == pytest.approx((have.argmax(0) != should.argmax(0)).numpy().mean())
    furthest = (have.softmax(0) - should.softmax(0)).abs().amax(0)
    np.testing.assert_allclose(side.difference, furthest.numpy(), rtol=0, atol=1e-6)


def test_a_move_that_the_group_lacks_is_named() -> None:
    pair = MapPair(unet(rotations=4), Segmentation(3))
    assert pair.compare(image(), 1, 270).ours.error == 0.0
    mirrored = pair.compare(image(), 1, 0, True)
    assert mirrored.ours.error > 0.01 and not mirrored.exact and mirrored.why.startswith("not a move of its group")


def test_pixels_from_beyond_the_edges_do_not_count(pair: MapPair) -> None:
    comparison = pair.compare(image(40, 40), 1, 45)
    outside = np.isnan(comparison.ours.difference)
    # Of the square, an octagon was in the image: 2 (√2 - 1) of it, but for pixels that the border cuts.
    assert outside.mean() == pytest.approx(1 - 2 * (2**0.5 - 1), abs=0.03)
    assert outside[0, 0] and not outside[20].any() and not outside[:, 20].any()
    assert 0 < comparison.ours.error < 2 and comparison.moved.shape == (3, 40, 40)


@pytest.mark.parametrize("size", [0.6, 1.7])
def test_at_any_size_maps_have_the_size_of_the_image(size: float, pair: MapPair) -> None:
    comparison = pair.compare(image(), 1 / size, 90)
    shape = round(40 * size), round(33 * size)
    assert comparison.moved.shape[1:] == shape == comparison.ours.moved.shape == plain(comparison).difference.shape
    assert not comparison.exact and comparison.ours.error > 0


def test_a_step_of_scale_is_said_to_be_close() -> None:
    scaled = MapPair(unet(base=2, num_scales=3), Segmentation(3))
    comparison = scaled.compare(image(64, 64), 2)
    assert "one leaves and one enters" in comparison.why and not comparison.exact
    assert 0 < comparison.ours.error < plain(comparison).error
    assert scaled.twin_name == "plain twin, same weights"  # one scale of the same net
    one = MapPair(unet(**D4), Segmentation(3)).compare(image(64, 64), 2)
    assert one.why.startswith("not a move of its group")


def test_a_network_without_a_plain_form_is_shown_alone() -> None:
    torch.manual_seed(0)
    inner = equivariant(torch.nn.Conv2d(3, 3, 3, padding=1), Grid(2, **D4), maps=True)  # type: ignore[arg-type]
    nested = equivariant(inner, Grid(2, base=2**0.5), 3, maps=True)
    # Scales of √2 are upscaled outside of the frames of orientations, which rounds.
    for network, tolerance in (nested, 1e-6), (UNet(3, encoder=ResNet(width=4, **D4)), 0.0):  # type: ignore[arg-type]
        pair = MapPair(network, Segmentation(3))
        comparison = pair.compare(image(64, 72), 1, 90, True)
        assert pair.twin is None and comparison.sides == [comparison.ours]
        assert comparison.exact and comparison.ours.error <= tolerance
    assert "one leaves" in MapPair(nested, Segmentation(3)).compare(image(64, 72), 2**0.5).why


@pytest.mark.parametrize("classes", [2, 3])
def test_the_page_shows_maps_beside_each_other(classes: int, tmp_path: Path) -> None:
    run = saved(unet(classes, **D4), tmp_path / "ours", "segmentation", Image(3), CLASSES[:classes])
    twin = saved(unet(classes), tmp_path / "plain", "segmentation", Image(3), CLASSES[:classes])
    Picture.fromarray(pixels(30, 44)).save(tmp_path / "a.png")
    demo = Demo.load(run, twin)
    line, figure = demo.show(tmp_path / "a.png", 1.0, 90.0, True)
    side = demo.compare(tmp_path / "a.png", 1.0, 90.0, True).sides[0]
    assert line == (
        "**At size ×1, mirrored, turned by 90°**: a move of its group. "
        f"Plain twin, trained: **{side.said}**. Ours: **0, to the last bit**."
    )
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:3] == ["the image", "plain twin, trained", "ours"]
    assert titles[7:9] == [side.said.replace(", ", ",\n"), "0, to the last bit"]
    assert [text.get_text() for text in figure.axes[6].get_legend().get_texts()] == CLASSES[1:classes]
    assert f"UNet of `{run}`" in demo.about() and f"UNet of `{twin}`" in demo.about()
    untrained = Demo.load(run)
    assert "**Plain twin, untrained**: UNet. Its answers are random" in untrained.about()
    assert untrained.show(tmp_path / "a.png", 1.0, 180.0)[0].endswith("Ours: **0, to the last bit**.")


def test_how_an_image_was_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "LARGEST", 32)
    Picture.fromarray(picture := pixels(50, 90)).save(file := tmp_path / "a.png")
    demo = Demo.load(saved(unet(**D4), tmp_path / "run", "segmentation", Image(3), CLASSES))
    x = demo.input(file)
    np.testing.assert_array_equal(x[0].movedim(0, -1).numpy(), (picture[9:41, 29:61] / 255).astype(np.float32))
    assert demo.note(file, x) == "the middle of 90 × 50"
    data = {"size": [40, 48], "fit": "pad"}
    demo = Demo.load(saved(unet(**D4), tmp_path / "fitted", "segmentation", Image(3, (40, 48)), CLASSES, data))
    assert demo.input(file).shape == (1, 3, 40, 48)
    assert demo.note(file, demo.input(file)) == "resized and padded from 90 × 50 as in training"
    assert demo.show(file, 1.0)[1].axes[0].get_xlabel() == f"48 × 40 pixels, {demo.note(file, demo.input(file))}"


def test_what_the_page_cannot_show_is_refused(tmp_path: Path) -> None:
    cases: list[tuple[Any, str, Any, list[str], str]] = [
        (unet(), "segmentation", Image(3), CLASSES, "ckpt is a plain UNet"),
        (UNet(3, 1, 4, 2, ndim=1, base=2), "segmentation", Waveform(8000), CLASSES, "returns maps of sounds"),
        (CNN(2, width=8, rotations=4), "regression", Image(1), ["x", "y"], "must be a network for classes or maps"),
        (MNet(3, 3, base=2), "multi_class", None, CLASSES, "must be a network for classes or maps"),
    ]
    for number, (network, task, kind, classes, message) in enumerate(cases):
        run = saved(network, tmp_path / str(number), task, kind, classes)
        with pytest.raises(ValueError, match=message):
            Demo.load(run)
    other = saved(unet(2), tmp_path / "other", "segmentation", Image(3), CLASSES[:2])
    ours = saved(unet(**D4), tmp_path / "ours", "segmentation", Image(3), CLASSES)
    with pytest.raises(ValueError, match="was trained on other classes"):
        Demo.load(ours, other)


def test_the_images_that_are_shipped_are_those_that_the_command_draws(tmp_path: Path) -> None:
    drawn = examples.draw(tmp_path / "new")
    assert [file.name for file in drawn] == [file.name for file in examples.DRAWINGS]
    for file, shipped in zip(drawn, examples.DRAWINGS, strict=True):
        new, old = (np.asarray(Picture.open(path)).astype(int) for path in (file, shipped))
        assert new.shape == old.shape == (*examples.SIZE, 3)
        assert np.abs(new - old).max() <= 1  # versions of scipy may round differently
        assert old.std() > 10 and np.abs(old - rotate(old.astype(np.uint8), 180)).mean() > 10
    assert (tmp_path / "new" / "README.md").read_text() == (examples.FOLDER / "README.md").read_text()
    assert "MIT" in (examples.FOLDER / "README.md").read_text()
