"""Images normalised by their network: the same in training, evaluation, prediction and export."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch import Tensor

import experiments
from experiments import evaluate, export
from experiments.card import load_network
from experiments.data.image.statistics import statistics
from experiments.data.inputs import Image
from experiments.demo import Demo
from experiments.networks import normalize
from experiments.run import Run
from tests.experiments.runs import CONF, run, saved
from wavenets import Grid
from wavenets.models import ResNet, UNet
from wavenets.testing import map_error

MEAN, STD = (0.6, 0.5, 0.3), (0.1, 0.2, 0.4)
INPUT = Image(3, mean=MEAN, std=STD)


def by_hand(x: Tensor) -> Tensor:
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 30 small images of two classes."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, level in ("dark", 60), ("light", 160):
        (root / name).mkdir()
        for number in range(15):
            values = rng.integers(level, level + 80, (16, 16, 3), dtype=np.uint8)
            Picture.fromarray(values).save(root / name / f"{name}{number}.png")
    return root


@pytest.fixture(scope="module")
def normalized_run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run whose network normalises images."""
    folder = tmp_path_factory.mktemp("normalized") / "run"
    options = "data=folder", f"data.root={pictures}", f"data.mean={list(MEAN)}", f"data.std={list(STD)}"
    run(folder, *options, "model=cnn", "model.width=4", "trainer=cpu", "trainer.max_epochs=1", "rescale=[]")
    return folder


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"rotations": 4, "mirrored": True}])
def test_it_is_what_one_does_by_hand(options: dict[str, Any]) -> None:
    x = torch.rand(2, 3, 40, 33)
    for network in ResNet(5, width=4, **options).eval(), UNet(2, width=4, depth=2, **options).eval():
        by_itself: Any = normalize(type(network)(**network.arguments), INPUT).eval()
        by_itself.load_state_dict(network.state_dict())  # of the same names
        assert torch.allclose(by_itself(x), network(by_hand(x)), rtol=0, atol=1e-5)
        for one, other in zip(by_itself.stages(x), network.stages(by_hand(x)), strict=True):
            pairs = zip([one], [other], strict=True) if isinstance(one, Tensor) else zip(one, other, strict=True)
            assert all(torch.allclose(a, b, rtol=0, atol=1e-5) for a, b in pairs)


def test_maps_turn_to_the_last_bit() -> None:
    network = normalize(UNet(2, width=4, depth=2, rotations=4, mirrored=True), INPUT).eval()
    assert map_error(network, torch.rand(1, 3, 21, 18), Grid(2, rotations=4, mirrored=True), turns=1, mirror=True) == 0


@torch.no_grad()
def test_a_run_normalises_everywhere(normalized_run: Path, pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(normalized_run, folder := tmp_path / "run")
    trained = experiments.load(folder)
    assert trained.card.input == Image(3, (16, 16), mean=MEAN, std=STD)
    file = pictures / "dark" / "dark0.png"
    x = torch.from_numpy(np.array(Picture.open(file))).movedim(2, 0)[None] / 255
    plain, _ = load_network(Run(folder).best)
    plain._forward_pre_hooks.clear()
    plain.encoder.stem._forward_pre_hooks.clear()  # type: ignore[union-attr]
    expected = plain(by_hand(x))
    assert not torch.allclose(plain(x), expected, rtol=0, atol=1e-2)
    assert torch.allclose(trained.network(x), expected, rtol=0, atol=1e-5)
    probabilities = torch.tensor(list(trained.predict(file).values()))  # type: ignore[union-attr]
    assert torch.allclose(probabilities, expected.softmax(1)[0], rtol=0, atol=1e-5)
    assert torch.allclose(trained.embed(file), plain.features(by_hand(x))[0].mean((1, 2)), rtol=0, atol=1e-5)  # type: ignore[operator]
    before = json.loads((folder / "results.json").read_text())
    results, *_ = evaluate.evaluate(_config("evaluate", f"ckpt={folder}"))
    assert results.test["loss"] == pytest.approx(before["test_loss"], rel=1e-6)
    written, worst = export.export(_config("export", f"ckpt={folder}", "format=export"))
    exported = torch.export.load(written).module()
    assert worst < 1e-5
    assert torch.allclose(exported(x), expected, rtol=0, atol=1e-5)


def test_the_untrained_twin_of_the_demonstration_normalises(tmp_path: Path) -> None:
    network = ResNet(2, width=4, rotations=4)
    demo = Demo.load(saved(network, tmp_path / "run", "multi_class", INPUT, ["a", "b"]))
    x, twin = torch.rand(1, 3, 40, 40), demo.pair.twin
    assert isinstance(twin, ResNet)
    plain = ResNet(**twin.arguments).eval()
    plain.load_state_dict(twin.state_dict())
    with torch.no_grad():
        assert torch.allclose(twin(x), plain(by_hand(x)), rtol=0, atol=1e-5)


def test_another_normalisation_of_a_trained_network_is_an_error(normalized_run: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.mean belongs to the trained network"):
        evaluate.evaluate(_config("evaluate", f"ckpt={normalized_run}", "++data.mean=[0,0,0]"))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ("imagenet", None, "data.mean is set and data.std is not"),
        ([0.5], [0.5], r"data.mean=\[0.5\] is not a list of 3 numbers"),
        ("imagnet", "imagenet", "data.mean=imagnet is not a list of 3 numbers, one for each channel, or imagenet"),
        ([0, 0, 0], [1, 0, 1], r"data.std=\[1, 0, 1\] has a number that is not above 0"),
    ],
)
def test_wrong_values_are_named(mean: Any, std: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        statistics(mean, std, 3)


def _config(command: str, *overrides: str) -> Any:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(command, [*overrides])
