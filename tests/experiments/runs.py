"""Small runs for the tests of the experiments."""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from matplotlib.figure import Figure
from omegaconf import DictConfig, open_dict

from experiments import evaluate, predict
from experiments import train as trains
from experiments.card import Card
from experiments.data.inputs import Input
from experiments.networks import Own
from experiments.results import Results
from experiments.run import Run
from experiments.train import train
from wavenets.models.pretrained import Pretrained

CONF = Path(__file__).parents[2] / "conf"


def write_set(root: Path) -> Path:
    """Write thirty short noises as UrbanSound8K and, beside it, as ESC-50; every fold has three."""
    rng = np.random.default_rng(0)
    rows = []
    for clip in range(30):
        fold, target = clip // 3 + 1, clip % 3
        urban, flat = root / "audio" / f"fold{fold}" / f"{clip}.wav", root / "audio" / f"{clip}.wav"
        urban.parent.mkdir(parents=True, exist_ok=True)
        for file in urban, flat:
            soundfile.write(file, rng.uniform(-0.5, 0.5, 4000) * np.sin(np.arange(4000) * 0.1 * (target + 1)), 8000)
        rows.append((urban.name, fold, (fold - 1) % 5 + 1, target, f"class{target}", True))
    table = pd.DataFrame(rows, columns=["slice_file_name", "fold", "fold5", "classID", "class", "esc10"])
    (root / "metadata").mkdir()
    (root / "meta").mkdir()
    table.to_csv(root / "metadata" / "UrbanSound8K.csv", index=False)
    esc = table.drop(columns="fold").rename(columns={"slice_file_name": "filename", "fold5": "fold"})
    esc.rename(columns={"classID": "target", "class": "category"}).to_csv(root / "meta" / "esc50.csv", index=False)
    return root


def write_music(root: Path, seconds: float, rate: int = 22050) -> Path:
    """Write MagnaTagATune's layout: a piece in every folder; that of the last is empty, as three of the download are.

    Ten of the 60 tags are rare; one more piece, in folder 0, has one of them and nothing else.
    """
    rng = np.random.default_rng(0)
    rows = []
    for number, folder in enumerate("0123456789abcdef" + "0"):
        path = root / folder / f"piece-{number}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number == 15:
            path.touch()
        else:
            soundfile.write(path, rng.uniform(-0.5, 0.5, round(seconds * rate)), rate)
        tags = [int(tag == 0 if number == 16 else tag >= 10 and (tag + number) % 3 > 0) for tag in range(60)]
        rows.append((number, *tags, f"{folder}/{path.name}"))
    columns = ["clip_id", *(f"tag {tag}" for tag in range(60)), "mp3_path"]
    table = pd.DataFrame(rows, columns=columns)
    table.to_csv(root / "annotations_final.csv", sep="\t", index=False, quoting=csv.QUOTE_ALL)
    info = pd.DataFrame({"clip_id": table["clip_id"], "title": "x", "mp3_path": table["mp3_path"]})
    info.to_csv(root / "clip_info_final.csv", sep="\t", index=False, quoting=csv.QUOTE_ALL)
    return root


def published(network: Own, folder: Path, **card: Any) -> Path:
    """Write the folder that `report.weights` writes of a run; return it."""
    config = {"data": {"size": 28}, "task": {"_target_": "experiments.training.tasks.multi_class.MultiClass"}}
    network.save_pretrained(folder, Card(config, **card).to_dict())
    return folder


def composed(*overrides: str) -> DictConfig:
    """Compose conf/train.yaml as the command does."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


# A lifting convolution, batch norm and two kinds of dropout, in 5,691 parameters
SMALL = "model=scalogram", "model.num_scales=5", "model.width=8", "model.pool=16"


def tiny(root: Path, *model: str) -> list[str]:
    """Override a run to a few seconds on the CPU, of a small network or another; `root` is `write_set`'s."""
    return [
        *("data=urbansound8k", f"data.root={root}", f"data.cache_dir={root}/cache", "data.num_workers=1"),
        *("data.sample_rate=8000", "data.duration=0.1", "trainer=cpu", "trainer.max_epochs=2", "batch_size=8"),
        *(*(model or SMALL), "optimizer=adam", "optimizer.lr=0.001", "scheduler=plateau", "scheduler.patience=0"),
        *("wavelet_loss=0.1", "rescale=[1,2]"),
    ]


def short(root: Path) -> list[str]:
    """Override a run to two epochs of an M3; `root` is `write_set`'s."""
    return [*tiny(root, "model=mnet", "model.depth=3"), "data.duration=0.2", "wavelet_loss=0", "rescale=[]"]


def run(folder: Path, *overrides: str, pictures: bool = False) -> dict[str, Any]:
    """Train in a folder; return the contents of results.json. Pictures are empty files, as they take long."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # faster for nets this small
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr(Figure, "savefig", lambda figure, file, **options: Path(file).touch())
        results = train(composed(*overrides), folder)
    assert results is not None
    return results.to_dict()


def assert_same_run(one: Path, other: Path) -> None:
    """Assert that weights, optimizer, scheduler, metrics and results are equal, bit for bit."""
    a, b = (torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in (one, other))
    assert a["state_dict"].keys() == b["state_dict"].keys()
    assert all(torch.equal(a["state_dict"][key], b["state_dict"][key]) for key in a["state_dict"])
    moments = [[state["exp_avg_sq"] for state in c["optimizer_states"][0]["state"].values()] for c in (a, b)]
    assert all(torch.equal(x, y) for x, y in zip(*moments, strict=True))
    assert a["lr_schedulers"] == b["lr_schedulers"]
    metrics = [pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (one, other)]
    assert metrics[0].equals(metrics[1])
    results = [json.loads((folder / "results.json").read_text()) for folder in (one, other)]
    for key in "test_loss", "val_accuracy", "details", "transformed", "best_epoch":
        assert results[0][key] == results[1][key]


def run_on(
    source: type, folder: Path, *overrides: str, model: Sequence[str] = ("model=mnet", "model.depth=3")
) -> dict[str, Any]:
    """Train a small network on a dataset of a test; return the contents of results.json."""
    recipe = "optimizer=adam", "scheduler=plateau", "trainer=cpu", "trainer.max_epochs=1", "batch_size=8"
    cfg = composed(*model, *recipe, *overrides)
    with open_dict(cfg):
        cfg.data = {"_target_": f"{source.__module__}.{source.__qualname__}"}
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    results = train(cfg, folder)
    assert results is not None
    return results.to_dict()


TASKS = {
    "multi_class": "MultiClass",
    "multi_label": "MultiLabel",
    "segmentation": "Segmentation",
    "regression": "Regression",
}


def saved(
    network: Pretrained,
    folder: Path,
    task: str,
    input: Input | None,
    classes: Sequence[str],
    data: Any = None,
    **options: Any,
) -> Path:
    """Write the checkpoint of a network that was not trained, as a run has it; return the run's folder."""
    arguments = {name: value for name, value in network.arguments.items() if name != "num_classes"}
    config = {
        **{"name": "made", "seed": 0, "batch_size": 4, "rescale": None, "data": data or {}},
        "model": {"_target_": f"{type(network).__module__}.{type(network).__name__}", **arguments},
        "task": {"_target_": f"experiments.training.tasks.{task}.{TASKS[task]}", **options},
        "trainer": {"accelerator": "cpu", "precision": "32-true"},
    }
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    file = Run(folder).best
    file.parent.mkdir(parents=True)
    torch.save({"card": Card(config, list(classes), input).to_dict(), "state_dict": weights}, file)
    return folder


def evaluated(*arguments: str) -> Results:
    """Return the results of ``experiments.evaluate``."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return evaluate.evaluate(compose("evaluate", list(arguments)))[0]


def train_command(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> None:
    """Run ``experiments.train`` as its command line does."""
    monkeypatch.setattr(sys, "argv", ["train", *overrides])
    # Hydra takes the tracer of coverage for a debugger, in which it raises its errors.
    monkeypatch.setattr("hydra._internal.utils.is_under_debugger", lambda: False)
    trains.main()


def predict_command(monkeypatch: pytest.MonkeyPatch, run: Path, *arguments: str) -> int | str | None:
    """Run ``experiments.predict`` as its command line does, and return its exit code."""
    monkeypatch.setenv("COLUMNS", "400")  # a narrower table folds the names of files
    monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={run}", *arguments])
    with pytest.raises(SystemExit) as end:
        predict.main()
    return end.value.code


def rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with file.open(encoding="utf-8") as content:
        return list(csv.DictReader(content))
