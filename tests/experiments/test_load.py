"""A trained network in Python."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image as Picture
from torch import nn

import experiments
from experiments.data.inputs import Image, Waveform
from experiments.evaluation import device
from experiments.evaluation.device import place
from experiments.models.log_mel import LogMelCNN
from tests.experiments.runs import run, saved, tiny, write_set
from wavenets.models import CNN, MNet, UNet

RATE = 8000


def test_a_run_that_was_trained(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder, *tiny(write_set(tmp_path / "set")), "trainer.max_epochs=1", "rescale=[]")
    trained = experiments.load(folder)
    assert trained.classes == ["class0", "class1", "class2"] and not trained.network.training
    assert (trained.card.epoch, trained.task.num_outputs) == (1, 3)
    file = tmp_path / "set" / "audio" / "0.wav"
    x = trained.preprocess(file)
    samples = soundfile.read(file, dtype="float32")[0]
    assert torch.equal(x, torch.from_numpy(samples[1600:2400])[None, None])  # the middle
    with torch.no_grad():
        windows = torch.from_numpy(samples.reshape(5, 1, 800))
        expected = trained.network(windows).softmax(1).mean(0).tolist()
    predicted = trained.predict(file)
    assert isinstance(predicted, dict) and list(predicted) == trained.classes
    assert list(predicted.values()) == pytest.approx(expected, abs=1e-6)
    assert experiments.load(str(folder / "checkpoints" / "best.ckpt")).predict(file) == predicted


def test_features_of_sounds(tmp_path: Path) -> None:
    network = MNet(3, 4, base=2, form="shared", num_scales=2).eval()
    trained = experiments.load(saved(network, tmp_path / "run", "multi_class", Waveform(RATE, 4000), list("abcd")))
    x = np.random.default_rng(0).uniform(-0.5, 0.5, 8000)
    soundfile.write(tmp_path / "a.wav", x, RATE)
    with torch.no_grad():
        windows = torch.from_numpy(soundfile.read(tmp_path / "a.wav", dtype="float32")[0].reshape(2, 1, 4000))
        levels = network.features(windows)
    expected = torch.stack([level.mean(2) for level in levels]).mean((0, 1))
    assert len(levels) == 2
    torch.testing.assert_close(trained.embed(tmp_path / "a.wav"), expected, rtol=1e-5, atol=1e-6)


def test_features_of_images_do_not_change_with_a_turn(tmp_path: Path) -> None:
    network = CNN(3, in_channels=3, width=6, form="shared", rotations=4, num_scales=1).eval()
    trained = experiments.load(saved(network, tmp_path / "run", "multi_class", Image(3), list("abc"), {"size": None}))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    Picture.fromarray(np.rot90(pixels)).save(tmp_path / "b.png")
    torch.testing.assert_close(trained.embed(tmp_path / "a.png"), trained.embed(tmp_path / "b.png"))
    a, b = trained.predict(tmp_path / "a.png"), trained.predict(tmp_path / "b.png")
    assert isinstance(a, dict) and isinstance(b, dict) and list(a.values()) == pytest.approx(list(b.values()))


def test_a_segmentation_returns_class_numbers(tmp_path: Path) -> None:
    network = UNet(3, width=4, depth=2).eval()
    trained = experiments.load(saved(network, tmp_path / "run", "segmentation", Image(3), list("abc")))
    pixels = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    with torch.no_grad():
        expected = network(trained.preprocess(tmp_path / "a.png"))[0].argmax(0).numpy()
    predicted = trained.predict(tmp_path / "a.png")
    assert isinstance(predicted, np.ndarray) and predicted.dtype == np.uint8
    np.testing.assert_array_equal(predicted, expected)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (3, 7)])
def test_a_map_of_an_image_below_the_least_size_is_that_of_the_padded_image(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    network = UNet(3, width=4, depth=2, base=2, num_scales=4, form="shared").eval()
    least = network.min_size
    assert least > 3
    trained = experiments.load(saved(network, tmp_path / "run", "segmentation", Image(3), list("abc")))
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    x = trained.preprocess(tmp_path / "a.png")
    before = [max(0, least - n) // 2 for n in size]
    whole = torch.zeros(1, 3, *(max(least, n) for n in size))
    rows, columns = (slice(start, start + n) for start, n in zip(before, size, strict=True))
    whole[:, :, rows, columns] = x
    with torch.no_grad():
        expected = network(whole)[0].argmax(0)[rows, columns].numpy()
    np.testing.assert_array_equal(trained.predict(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("fit, seen", [("resize", (24, 30)), ("pad", (22, 30)), ("crop", (37, 50))])
def test_maps_are_made_at_the_size_of_training(tmp_path: Path, fit: str, seen: tuple[int, int]) -> None:
    network = UNet(3, width=4, depth=2).eval()
    data = {"size": [24, 30], "fit": fit}
    trained = experiments.load(saved(network, tmp_path / "run", "segmentation", Image(3, (24, 30)), list("abc"), data))
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)).save(tmp_path / "a.png")
    sizes = []
    trained.network.register_forward_pre_hook(lambda module, inputs: sizes.append(tuple(inputs[0].shape[2:])))
    assert np.asarray(trained.predict(tmp_path / "a.png")).shape == (37, 50)
    assert sizes == [seen]


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_maps_and_features_have_the_precision_of_the_network(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda: True)
    network = UNet(3, width=4, depth=2).eval()
    trained = experiments.load(saved(network, tmp_path / "run", "segmentation", Image(3), list("abc")))
    placed = replace(trained, network=place(trained.network, {"accelerator": "cpu", "precision": precision}))
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)).save(tmp_path / "a.png")
    with torch.no_grad():
        expected = placed.network(trained.preprocess(tmp_path / "a.png"))[0].argmax(0).numpy()
    assert trained.network.min_size == 1  # is measured once, which calls the hook
    dtypes = set()
    conv = next(module for module in trained.network.modules() if isinstance(module, nn.Conv2d))
    conv.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    np.testing.assert_array_equal(placed.predict(tmp_path / "a.png"), expected)
    assert dtypes == {torch.bfloat16}
    assert placed.embed(tmp_path / "a.png").dtype == torch.float32


def test_features_of_a_log_mel_network(tmp_path: Path) -> None:
    network = LogMelCNN(3, sample_rate=RATE, base=2, num_scales=2).eval()
    trained = experiments.load(saved(network, tmp_path / "run", "multi_class", Waveform(RATE, 8000), list("abc")))
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8000), RATE)
    with torch.no_grad():
        levels = network.features(trained.preprocess(tmp_path / "a.wav"))
    expected = torch.stack([level[0].mean((1, 2)) for level in levels]).mean(0)
    torch.testing.assert_close(trained.embed(tmp_path / "a.wav"), expected, rtol=1e-5, atol=1e-6)


def test_errors_name_the_file(tmp_path: Path) -> None:
    trained = experiments.load(saved(CNN(3, width=6), tmp_path / "run", "multi_class", Image(1, (28, 28)), list("abc")))
    with pytest.raises(FileNotFoundError):
        trained.predict(tmp_path / "none.png")
    (tmp_path / "bad.png").write_text("no image")
    for use in trained.predict, trained.preprocess, trained.embed:
        with pytest.raises(ValueError, match=r"bad\.png cannot be decoded"):
            use(tmp_path / "bad.png")
    with pytest.raises(FileNotFoundError, match="not found"):
        experiments.load(tmp_path / "no run")


def test_a_network_without_features_cannot_embed(tmp_path: Path) -> None:
    trained = experiments.load(saved(CNN(3, width=6), tmp_path / "run", "multi_class", Image(1, (28, 28)), list("abc")))
    Picture.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "a.png")
    other = experiments.Trained(nn.Flatten(), trained.card, trained.task)
    with pytest.raises(ValueError, match="Flatten has no features to return"):
        other.embed(tmp_path / "a.png")


def test_other_inputs_are_not_files(tmp_path: Path) -> None:
    trained = experiments.load(saved(CNN(3, width=6), tmp_path / "run", "multi_class", None, list("abc")))
    with pytest.raises(ValueError, match="trained neither on sounds nor on images"):
        trained.preprocess("a.png")


def test_importing_experiments_is_cheap() -> None:
    code = "import sys, experiments; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute none"):
        _ = experiments.none
