"""Small runs for the tests of the experiments."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict
from PIL import Image

from experiments.run import Card
from experiments.train import train
from wavenets.models import Network

CONF = Path(__file__).parents[1] / "conf"


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


def write_pictures(root: Path) -> Path:
    """Write twelve small images of three classes in four folds; give the CSV that lists them."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (27, 27, 3), np.uint8)).save(root / f"{number}.png")
        rows.append((f"{number}.png", f"class{number % 3}", number // 3 + 1))
    pd.DataFrame(rows, columns=["file", "label", "fold"]).to_csv(root / "metadata.csv", index=False)
    return root / "metadata.csv"


def write_vibrations(root: Path) -> Path:
    """Write twelve recordings of two states at three shaft speeds, as HIT-SM has them; give the CSV that lists them."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [(f"{number}.wav", f"state{number % 2}", 600 + 300 * (number % 3)) for number in range(12)]
    for name, *_ in rows:
        soundfile.write(root / name, rng.uniform(-0.5, 0.5, 25_000), 51_200)
    pd.DataFrame(rows, columns=["file", "label", "fold"]).to_csv(root / "metadata.csv", index=False)
    return root / "metadata.csv"


def published(network: Network, folder: Path, **card: Any) -> Path:
    """Write the folder that `report.weights` writes of a run; give it."""
    config = {"data": {"size": 28}, "task": {"_target_": "experiments.training.task.MultiClass"}}
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
SMALL = "model=scalogram", "model.num_scales=5", "model.width=8", "+model.pool=16"


def tiny(root: Path, *model: str) -> list[str]:
    """Override a run to a few seconds on the CPU, of a small network or another; `root` is `write_set`'s."""
    return [
        *("data=urbansound8k", f"data.root={root}", f"data.cache_dir={root}/cache", "data.num_workers=1"),
        *("data.sample_rate=8000", "data.duration=0.1", "trainer=cpu", "trainer.max_epochs=2", "batch_size=8"),
        *(*(model or SMALL), "optimizer=adam", "optimizer.lr=0.001", "scheduler=plateau", "scheduler.patience=0"),
        *("wavelet_loss=0.1", "rescale=[1,2]"),
    ]


def run(folder: Path, *overrides: str) -> dict[str, Any]:
    """Train in a folder; give the contents of results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # faster for nets this small
    results = train(composed(*overrides), folder)
    assert results is not None
    return results.to_dict()


def run_on(source: type, folder: Path, *overrides: str) -> dict[str, Any]:
    """Train a small network on a dataset of one's own."""
    target = f"{source.__module__}.{source.__qualname__}"
    recipe = "optimizer=adam", "scheduler=plateau", "trainer=cpu", "trainer.max_epochs=1", "batch_size=8"
    cfg = composed("model=m3", *recipe, *overrides)
    with open_dict(cfg):
        cfg.data = {"_target_": target}
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    results = train(cfg, folder)
    assert results is not None
    return results.to_dict()
