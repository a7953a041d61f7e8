"""Segmentation and regression from end to end."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.utils.data import Dataset

from experiments import evaluate
from experiments.card import load_network
from experiments.data.inputs import IGNORED, INSTANCE, Image, Waveform
from experiments.data.source import Source, Stage
from experiments.data.transformation import PLAYBACK, Rotation
from tests.experiments.runs import run_on

UNET = "model=unet", "model.depth=2", "model.width=4"


class Items(Dataset[Any]):
    """Items that a function makes, of a generator of their own."""

    def __init__(self, count: int, make: Callable[[torch.Generator], tuple[Any, ...]], seed: int) -> None:
        self.count, self.make, self.seed = count, make, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> tuple[Any, ...]:
        return self.make(torch.Generator().manual_seed(1000 * self.seed + item))


class Blobs(Source):
    """Bright squares in dark noise, numbered; the first rows do not count. Test images have sizes of their own."""

    classes, input, transformation, test_factors = ("background", "blob"), Image(3), Rotation(), (0, 90)

    def split(self, stage: Stage) -> Items:
        return Items(16 if stage == "train" else 6, self.example if stage == "train" else self.odd, len(stage))

    @staticmethod
    def example(rng: torch.Generator, height: int = 24, width: int = 24) -> tuple[Tensor, Tensor]:
        mask = torch.zeros(height, width, dtype=torch.int64)
        for number in (1, 2):
            top, left = (int(torch.randint(3, n - 8, (), generator=rng)) for n in (height, width))
            mask[top : top + 7, left : left + 7] = 1 + INSTANCE * number
        x = 0.3 * torch.rand(3, height, width, generator=rng) + 0.6 * (mask > 0)
        mask[:2] = IGNORED
        return x, mask

    def odd(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.example(rng, *torch.randint(17, 31, (2,), generator=rng).tolist())


class Where(Source):
    """Three classes; the upper half counts, and in the lower half the masks are nonsense."""

    classes: Sequence[str] = ("background", "left", "right")
    input = Image(1, (16, 16))

    def split(self, stage: Stage) -> Items:
        return Items(8, self.example, len(stage))

    @staticmethod
    def example(rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        x = torch.rand(1, 16, 16, generator=rng)
        mask = (x[0] > 0.5).long() * torch.where(torch.arange(16) < 8, 1, 2)
        where = (torch.arange(16) < 8)[:, None].expand(16, 16)
        return x, torch.where(where, mask, torch.randint(3, (16, 16), generator=rng)), where


class Bursts(Source):
    """Sounds with a loud part, which is marked."""

    classes, input, transformation = ("silence", "burst"), Waveform(8000), PLAYBACK

    def split(self, stage: Stage) -> Items:
        return Items(8, self.example, len(stage))

    @staticmethod
    def example(rng: torch.Generator) -> tuple[Tensor, Tensor]:
        mask = torch.zeros(200, dtype=torch.int64)
        start = int(torch.randint(0, 120, (), generator=rng))
        mask[start : start + 60] = 1
        return (0.05 + 0.5 * mask) * torch.randn(1, 200, generator=rng), mask


class Numbers(Source):
    """Tones; the numbers are their frequency, in Hz, and their level, far from 0."""

    classes, input = ("frequency", "level"), Waveform(8000, 2000)

    def split(self, stage: Stage) -> Items:
        return Items(24, self.example, len(stage))

    @staticmethod
    def example(rng: torch.Generator) -> tuple[Tensor, Tensor]:
        octaves, level = torch.rand(2, generator=rng)
        hertz = 200 * 2 ** (2 * octaves)
        return (0.1 + level) * torch.sin(2 * torch.pi * hertz / 8000 * torch.arange(2000))[None], torch.stack(
            [hertz, 1000 + level]
        )


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of a U-Net on all quarter turns."""
    folder = tmp_path_factory.mktemp("blobs")
    options = "trainer.max_epochs=6", "optimizer.lr=0.02", "augment=image", "task.objects=true"
    run_on(Blobs, folder, "task=segmentation", "model.rotations=4", *options, model=UNET)
    return folder


def test_a_segmentation_learns_and_leaves_its_results(blobs: Path) -> None:
    results = json.loads((blobs / "results.json").read_text())
    assert results["monitor"] == "dice" and results["test_examples"] == 6
    assert {f"test_{name}" for name in ("dice", "iou", "object_f1", "auroc", "pixel_accuracy", "loss")} <= set(results)
    assert results["val_dice"] > 0.3 and results["test_auroc"] > 0.8  # by chance: 0.5
    for picture in "overlays", "confusion", "curves", "transformed":
        assert (blobs / f"{picture}.png").stat().st_size > 10_000
    assert not (blobs / "kernels.png").exists() and not (blobs / "values.png").exists()


def test_what_is_reported_is_of_the_pixels_that_count(blobs: Path) -> None:
    results = json.loads((blobs / "results.json").read_text())
    network, card = load_network(blobs / "checkpoints" / "best.ckpt")
    assert card.input == Image(3) and card.config["model"]["in_channels"] == 3
    confusion = torch.zeros(2, 2)
    with torch.inference_mode():
        for item in range(6):
            x, mask = Blobs().split("test")[item]
            predicted = (network(x[None])[0, 0] > 0).long()
            assert predicted.shape == mask.shape
            confusion += torch.bincount((2 * (mask % INSTANCE) + predicted)[mask != IGNORED], minlength=4).view(2, 2)
    assert results["details"]["confusion"] == confusion.tolist()
    (_, false_positive), (false_negative, both) = confusion.tolist()
    assert results["test_dice"] == pytest.approx(2 * both / (2 * both + false_positive + false_negative), rel=1e-6)


def test_a_network_on_quarter_turns_is_as_good_on_turned_images(blobs: Path) -> None:
    results = json.loads((blobs / "results.json").read_text())
    assert results["transformation"] == "angle" and list(results["transformed"]) == ["0", "90"]
    assert results["transformed"]["90"] == results["transformed"]["0"] == results["test_dice"]
    assert results["moved"] == {}


def test_a_segmentation_is_evaluated_again(blobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={blobs}", f"trust={__name__}", "rescale=[45]"])
    evaluate.main()
    before, after = (json.loads((blobs / name).read_text()) for name in ("results.json", "checkpoints/best.json"))
    assert after["test_dice"] == before["test_dice"] and after["details"] == before["details"]
    assert 0 < after["transformed"]["45"] < 1
    assert (blobs / "checkpoints" / "best_overlays.png").exists()


def test_where_targets_count(tmp_path: Path) -> None:
    results = run_on(Where, tmp_path, "task=segmentation", "task.thin=true", model=UNET)
    assert sum(map(sum, results["details"]["confusion"])) == 8 * 8 * 16  # the upper halves
    assert "test_centreline_dice" in results and (tmp_path / "overlays.png").exists()


def test_maps_of_sounds(tmp_path: Path) -> None:
    results = run_on(Bursts, tmp_path, "task=segmentation", "model.ndim=1", "rescale=[0.5,1]", model=UNET)
    assert sum(map(sum, results["details"]["confusion"])) == 8 * 200
    assert results["transformed"]["1"] == results["test_dice"] and 0 <= results["transformed"]["0.5"] <= 1
    assert not (tmp_path / "overlays.png").exists()


def test_masks_that_do_not_fit_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="class number 2; task=segmentation needs 0 to 1, or 255"):
        run_on(TooMany, tmp_path, "task=segmentation", model=UNET)


class TooMany(Where):
    """A class in the masks that has no name."""

    classes = ("background", "left")


def test_a_regression_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = "task=regression", "task.units=[Hz,dB]"
    results = run_on(Numbers, tmp_path, *task, "trainer.max_epochs=3", "optimizer.lr=0.01")
    assert results["monitor"] == "mae" and results["classes"] == ["frequency", "level"]
    assert {"test_mae", "test_rmse", "test_r2", "val_r2"} <= set(results) and results["moved"] == {}
    for picture in "values", "curves":
        assert (tmp_path / f"{picture}.png").stat().st_size > 10_000
    train = torch.stack([target for _, target in map(Numbers().split("train").__getitem__, range(24))]).double()
    kept = OmegaConf.load(tmp_path / "config.yaml").task  # of the training examples, for whoever uses the network
    assert kept.mean == pytest.approx(train.mean(0).tolist(), rel=1e-9)
    assert kept.std == pytest.approx(train.std(0, correction=0).tolist(), rel=1e-9)
    network, _ = load_network(tmp_path / "checkpoints" / "best.ckpt")
    x, target = (torch.stack(part) for part in zip(*(Numbers().split("test")[item] for item in range(24)), strict=True))
    with torch.inference_mode():
        values = network(x).double() * torch.tensor(kept.std) + torch.tensor(kept.mean)
    errors = (values - target).abs().mean(0)
    assert results["details"]["mae"] == pytest.approx(errors.tolist(), rel=1e-3)
    assert results["test_mae"] == pytest.approx(errors.mean().item(), rel=1e-3)
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={tmp_path}", f"trust={__name__}"])
    evaluate.main()
    again = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert again["test_r2"] == results["test_r2"] and (tmp_path / "checkpoints" / "best_values.png").exists()


def test_the_least_error_is_the_best_epoch(tmp_path: Path) -> None:
    results = run_on(Numbers, tmp_path, "task=regression", "trainer.max_epochs=4", "optimizer.lr=0.05")
    header, *rows = [line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    errors = [float(row[header.index("val_mae")]) for row in rows]
    assert results["val_mae"] == pytest.approx(min(errors), rel=1e-6)
    assert results["best_epoch"] == 1 + errors.index(min(errors))
