"""The demonstration without its page: what is moved, what is compared with what, and what is said of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch import Tensor

from experiments.data import examples
from experiments.data.image.geometry import resize_to
from experiments.data.inputs import Image as ImageInput
from experiments.data.inputs import Waveform
from experiments.demo import Demo
from experiments.models.log_mel import LogMelCNN
from experiments.report.comparison import Comparison, Pair, Side
from experiments.report.comparison_plots import features, probabilities
from experiments.report.move import Move, percentage
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.multi_label import MultiLabel
from tests.experiments.runs import published
from tests.library.networks import noise
from wavenets import Grid
from wavenets.models import CNN, MNet
from wavenets.testing import equivariance_error

RATE = 8000
PRETRAINED = Path(__file__).parents[2] / "pretrained"
SHARED: dict[str, Any] = {"form": "shared", "num_scales": 3}


@pytest.fixture(scope="module")
def sounds() -> Pair:
    torch.manual_seed(1)
    return Pair(MNet(3, 7, normalize=True, **SHARED, base=2), MultiClass(7))


@pytest.fixture(scope="module")
def images() -> Pair:
    torch.manual_seed(1)
    return Pair(CNN(width=8, base=2**0.5, rotations=4, num_scales=5), MultiClass(10))


def chirps() -> Tensor:
    return torch.from_numpy(examples.example_sound(RATE, 8001))[None, None]


def digit() -> Tensor:
    return resize_to(torch.from_numpy(examples.example_image(1))[None] / 255, (40, 50))[None]


def plain(comparison: Any) -> Side:
    assert isinstance(comparison.plain, Side)
    return comparison.plain


def errors(comparison: Comparison) -> list[float]:
    return [level.error for level in comparison.ours.levels]


@pytest.mark.parametrize(("speed", "count"), [(1, 3), (2, 2), (1.99, 2), (4, 1)])
def test_on_the_grid_features_of_a_sound_move_exactly(speed: float, count: int, sounds: Pair) -> None:
    comparison = sounds.compare(chirps(), speed)
    assert comparison.exact and errors(comparison) == [0.0] * count
    steps = round(np.log2(speed))
    assert comparison.moved.shape[-1] == -(-8001 // 2**steps)
    assert [level.name for level in comparison.ours.levels] == [f"ours\nlevel {i + steps} → {i}" for i in range(count)]
    if steps:
        assert plain(comparison).levels[0].error > 0.2
        assert equivariance_error(sounds.network.features, chirps(), steps=steps) == errors(comparison)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize(("size", "count"), [(1, 3), (0.71, 2), (0.5, 1)])
def test_on_the_grid_features_of_an_image_move_exactly(size: float, count: int, degrees: int, images: Pair) -> None:
    comparison = images.compare(digit(), 1 / size, degrees)
    assert comparison.exact and errors(comparison) == [0.0] * count
    height, width = (round(40 * size), round(50 * size)) if size != 0.71 else (28, 35)
    assert comparison.moved.shape[1:] == ((width, height) if degrees % 180 else (height, width))
    (level,) = plain(comparison).levels
    assert level.error > 0.1 if (size, degrees) != (1, 0) else level.error == 0
    assert level.expected.shape == level.moved.shape


def test_an_error_is_measured_against_what_the_features_should_be(images: Pair) -> None:
    (level,) = plain(images.compare(digit(), 1, 90)).levels
    assert images.twin is not None
    with torch.no_grad():
        before, after = (images.twin.features(x)[0] for x in (digit(), digit().rot90(1, (2, 3))))
    assert torch.equal(level.original, before) and torch.equal(level.moved, after)
    assert torch.equal(level.expected, before.rot90(1, (1, 2)))
    expected = np.linalg.norm(after - before.rot90(1, (1, 2))) / np.linalg.norm(before)
    assert level.error == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("speed", "low", "high"), [(0.5, 1e-6, 0.02), (1.41, 0.02, 2.0), (3, 0.02, 2.0)])
def test_off_the_grid_errors_are_told_as_they_are(speed: float, low: float, high: float, sounds: Pair) -> None:
    comparison = sounds.compare(chirps(), speed)
    assert not comparison.exact and errors(comparison) and all(low < error < high for error in errors(comparison))
    assert comparison.moved.shape[-1] == -(-8001 // speed)


def test_a_network_of_one_scale_has_no_smaller_images() -> None:
    pair = Pair(CNN(width=8, rotations=4, form="shared", num_scales=1), MultiClass(10))
    comparison = pair.compare(digit(), 2, 90)
    assert not comparison.exact and len(comparison.ours.levels) == 1 and errors(comparison)[0] > 0.01
    assert pair.compare(digit(), 1, 270).exact
    assert not pair.compare(digit(), 1, 45).exact


def test_between_quarter_turns_maps_are_turned_by_the_rest(images: Pair) -> None:
    blurred = torch.nn.functional.avg_pool2d(noise(1, 1, 64, 64), 9, 1, 4)
    near = images.compare(blurred, 1, 1).ours.levels[0]  # one degree: nearly the same
    far = images.compare(blurred, 1, 45).ours.levels[0]
    assert 0 < near.error < 0.2 and near.error < far.error / 2


def test_the_twin_of_a_shared_network_is_its_finest_scale(sounds: Pair) -> None:
    assert sounds.twin_name == "plain twin, same weights" and type(sounds.twin) is MNet
    x = chirps() * 3
    assert sounds.twin is not None and isinstance(sounds.network, MNet)
    with torch.no_grad():
        torch.testing.assert_close(sounds.twin.features(x), sounds.network.features(x)[0], rtol=0, atol=1e-5)
    sounds.network.load_plain(sounds.twin.state_dict())  # which is the other way round, and fits


def test_any_other_twin_is_untrained_and_always_the_same() -> None:
    network = CNN(3, in_channels=3, width=8, rotations=4, num_scales=4)
    one, two = (Pair(network, MultiClass(3)) for _ in range(2))
    assert one.twin is not None and two.twin is not None
    assert one.twin_name == "plain twin, untrained" and isinstance(one.twin, CNN)
    assert all(torch.equal(a, b) for a, b in zip(one.twin.parameters(), two.twin.parameters(), strict=True))
    assert one.twin.in_channels == 3 and one.twin(noise(1, 3, 30, 30)).shape == (1, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pair(MNet(3), MultiClass(10)), "ckpt must be a network on a group of this package, not MNet"),
        (lambda: Pair(MNet(3, base=2), MultiClass(10), CNN()), "twin=CNN does not take the inputs of"),
    ],
)
def test_networks_that_cannot_be_compared(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_probabilities_are_the_networks_own(sounds: Pair, images: Pair) -> None:
    network = MNet(3, 7, normalize=True, **SHARED, base=2).eval()
    network.load_state_dict(sounds.network.state_dict())
    with torch.no_grad():
        expected = network(chirps())[0]
        digits = images.network(images.compare(digit(), 2, 90).moved[None])[0]
    assert torch.equal(sounds.compare(chirps(), 2).ours.probabilities, expected.softmax(0))
    assert torch.equal(images.compare(digit(), 2, 90).ours.moved_probabilities, digits.softmax(0))
    tags = Pair(sounds.network, MultiLabel(7), sounds.twin)
    assert tags.compare(chirps()).ours.probabilities.sum() != pytest.approx(1, abs=0.01)


def test_what_is_too_small_is_said(images: Pair) -> None:
    with pytest.raises(ValueError, match=r"CNN needs at least 4 pixels a side, got 3 × 3"):
        images.compare(noise(1, 1, 10, 10), 4)


def test_the_page_shows_both_networks(tmp_path: Path) -> None:
    classes = [f"class_{i}" for i in range(7)]
    heard = {"classes": classes, "input": Waveform(RATE, 8000)}
    ours = published(MNet(3, 7, normalize=True, **SHARED, base=2), tmp_path / "ours", **heard)
    demo = Demo.load(ours, published(MNet(3, 7), tmp_path / "plain", **heard))
    soundfile.write(tmp_path / "a.wav", chirps()[0, 0].numpy(), RATE)
    line, maps, bars, (rate, samples) = demo.show(tmp_path / "a.wav", 2.0)
    twin = plain(demo.compare(tmp_path / "a.wav", 2.0))
    assert twin.name == "plain twin, trained"
    assert line == (
        "**At speed ×2**: a move of its group. The classes are read from all scales, of which one leaves and one "
        "enters with each step, so that their probabilities may change. "
        f"Plain twin, trained: **{percentage(twin.levels[0].error)}**. Ours: **0, to the last bit**."
    )
    assert "MNet of `" in demo.about() and "Plain twin, trained" in demo.about()
    assert (rate, samples.dtype, len(samples)) == (RATE, np.int16, 4000)
    texts = [text.get_text() for ax in maps.axes for text in ax.texts]
    assert texts[1:] == [percentage(twin.levels[0].error), *["0, to the last bit"] * 2]
    assert [ax.get_title() for ax in bars.axes] == ["plain twin, trained", "ours"]
    assert {text.get_text() for text in bars.axes[1].get_yticklabels()} == {name.replace("_", " ") for name in classes}
    lengths = sorted(patch.get_width() for patch in bars.axes[1].patches)
    ours_alone = demo.compare(tmp_path / "a.wav", 2.0).ours
    assert isinstance(ours_alone, Side)
    expected = torch.cat([ours_alone.probabilities, ours_alone.moved_probabilities]).sort().values
    assert lengths == pytest.approx(expected.tolist())


def test_an_image_is_turned_on_the_page(tmp_path: Path) -> None:
    network = CNN(width=8, form="shared", rotations=4, num_scales=1)
    demo = Demo.load(published(network, tmp_path / "net", classes=list("0123456789"), input=ImageInput(1, (28, 28))))
    Image.fromarray(picture := examples.example_image(1)).save(tmp_path / "four.png")
    line, maps, _ = demo.show(tmp_path / "four.png", 1.0, 90.0)
    assert line.startswith("**At size ×1, turned by 90°**: a move of its group. Plain twin, untrained: **")
    assert maps.axes[1].get_title() == "the image at size ×1, turned by 90°"
    fitted = resize_to(torch.from_numpy(picture)[None] / 255, (28, 28))[None]
    assert torch.equal(demo.input(tmp_path / "four.png"), fitted)
    assert torch.equal(demo.input(tmp_path / "four.png", negative=True), 1 - fitted)
    assert maps.axes[0].get_xlabel() == "28 × 28 pixels, resized from 280 × 280 as in training"
    assert "**Plain twin, untrained**: CNN. Its answers are random" in demo.about()


def test_the_network_of_sounds_that_is_shipped_can_be_shown(tmp_path: Path) -> None:
    demo = Demo.load(PRETRAINED / "esc10")
    assert demo.rate is not None
    soundfile.write(tmp_path / "long.wav", examples.example_sound(demo.rate, 2 * demo.num_samples), demo.rate)
    soundfile.write(tmp_path / "short.wav", examples.example_sound(demo.rate, 4000), demo.rate)
    line, levels, *_ = demo.show(tmp_path / "long.wav", 1.5)
    assert "Plain twin, same weights: **" in line and "Ours: **0 to " in line
    assert levels.axes[0].get_xlabel().endswith("the middle of 10.00 s")
    short = tmp_path / "short.wav"
    assert demo.note(short, demo.input(short)) == "0.50 s in silence"
    between = demo.compare(tmp_path / "long.wav", 1.41)
    assert "compared with those of the nearest step" in between.why and "over its levels" in between.ours.said


def test_a_network_on_spectrograms_moves_exactly_but_at_scales_finer_than_the_sound(tmp_path: Path) -> None:
    torch.manual_seed(1)
    scales: dict[str, Any] = {"base": "3/2", "num_scales": 4, "finer": 1}
    heard = {"classes": list("abc"), "input": Waveform(RATE, 8000)}
    ours = published(LogMelCNN(3, sample_rate=RATE, **scales), tmp_path / "ours", **heard)
    trained = published(LogMelCNN(3, sample_rate=RATE), tmp_path / "plain", **heard)
    soundfile.write(tmp_path / "a.wav", chirps()[0, 0].numpy(), RATE)
    demo = Demo.load(ours)
    comparison = demo.compare(tmp_path / "a.wav", 1.5)
    assert isinstance(comparison, Comparison)
    first, *others = errors(comparison)
    assert 0 < first < 0.3 and others == [0.0, 0.0]
    assert "Scales finer than the signal" in comparison.why and comparison.ours.said.startswith("0 to ")
    assert plain(comparison).name == "plain twin, same weights" and plain(comparison).levels[0].error > 0.3
    _, levels, *_ = demo.show(tmp_path / "a.wav", 1.5)
    assert levels.axes[3].images[0].origin == "lower"
    assert plain(Demo.load(ours, trained).compare(tmp_path / "a.wav", 1.5)).name == "plain twin, trained"
    with pytest.raises(ValueError, match="ckpt must be a network on a group of this package, not LogMelCNN"):
        Demo.load(trained)


def test_twins_that_do_not_fit_are_named(tmp_path: Path) -> None:
    kind = ImageInput(1)
    net = published(CNN(3, width=8, base=2**0.5), tmp_path / "net", classes=["a", "b", "c"], input=kind)
    other = published(CNN(3, width=8), tmp_path / "other", classes=["a", "b", "d"], input=kind)
    for twin, message in (net, "is a CNN with a group; it must be a plain"), (other, "was trained on other classes"):
        with pytest.raises(ValueError, match=f"twin={twin} {message}"):
            Demo.load(net, twin)


def test_moves_are_found_on_any_grid() -> None:
    assert Move.on(Grid(1, "3/2"), 2.25) == Move(2.25, 0.0, 2, True)
    assert Move.on(Grid(1), 0.5) == Move(0.5, 0.0, -1, False)
    assert Move.on(Grid(2, rotations=4), 1, 450).on_grid and not Move.on(Grid(2, rotations=4), 1, 100).on_grid
    assert not Move.on(Grid(2), 1, 90).on_grid and not Move.on(Grid(2, rotations=4), 1, 90, mirror=True).on_grid


def test_pictures_of_classes_that_are_many(sounds: Pair) -> None:
    pair = Pair(MNet(3, 30, **SHARED, base=2), MultiClass(30))
    figure = probabilities(pair.compare(chirps()), [str(i) for i in range(30)], top=4)
    shown = [int(text.get_text()) for text in figure.axes[1].get_yticklabels()]
    expected = pair.compare(chirps()).ours.probabilities.topk(4).indices.tolist()
    assert shown == sorted(expected, reverse=True)
    assert len(features(pair.compare(chirps(), 4), RATE).axes) == 3 * (1 + 1 + 1)
