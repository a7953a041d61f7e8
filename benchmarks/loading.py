"""Does training wait for its data? Clips per second of caching, of the loader, and of a training step.

The arguments are those of experiments.train; a new cache is made in a temporary folder.

    python -m benchmarks.loading experiment=esc10_wm5 data.root=data/ESC-50
"""

import logging
import sys
import tempfile
import time
from pathlib import Path

import librosa
import soundfile
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.timing import make_step, seconds
from experiments.answers import CONF
from experiments.data.sound.audio_set import AudioFolds
from experiments.data.sound.decode import decode
from experiments.errors import one_line_errors

ROUNDS = 5
SAMPLE = 40  # clips whose decoding is timed part by part


def resampling(dataset: AudioFolds, files: list[Path]) -> tuple[float, float]:
    """Return the seconds to decode files, and how many of them the resampler takes."""
    decode(files[0], dataset.sample_rate, dataset.num_samples)  # now libraries are loaded
    start = time.perf_counter()
    for file in files:
        decode(file, dataset.sample_rate, dataset.num_samples)
    total, resampler = time.perf_counter() - start, 0.0
    for file in files:
        sound, rate = soundfile.read(file, dtype="float32", always_2d=True)
        mono, start = sound.mean(axis=1), time.perf_counter()
        librosa.resample(mono, orig_sr=rate, target_sr=dataset.sample_rate, res_type="soxr_hq")
        resampler += time.perf_counter() - start
    return total, resampler


def measure(cfg: DictConfig) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        dataset: AudioFolds = instantiate(cfg.data, cache_dir=folder)
        start = time.perf_counter()
        clips = dataset.split("train")
        cached = time.perf_counter() - start
        count = sum(len(dataset.split(stage)) for stage in ("train", "val", "test"))
        processes = f"{dataset.num_workers} processes and their start"
        print(f"caching     {count / cached:>9,.0f} clips/s  ({count} clips, {processes})")
        total, resampler = resampling(dataset, dataset.files("train")[:SAMPLE])
        print(f"  of which the resampler takes {resampler / total:.0%} of the time of a process")

        device = "cuda" if torch.cuda.is_available() else "cpu"
        loader = DataLoader(clips, cfg.batch_size, shuffle=True, num_workers=cfg.num_workers)

        def epoch() -> None:
            for input, label in loader:
                input.to(device), label.to(device)

        network: nn.Module = instantiate(cfg.model, num_classes=len(dataset.classes)).to(device)
        step = make_step(network, next(iter(loader))[0].to(device), train=True)
        times = seconds({"loader": epoch, "step": step}, torch.get_num_threads(), ROUNDS, "loader and step")
        loads, trains = len(clips) / min(times["loader"]), cfg.batch_size / min(times["step"])
        print(f"loader      {loads:>9,.0f} clips/s")
        print(f"step        {trains:>9,.0f} clips/s  ({type(network).__name__} on {device}, batch {cfg.batch_size})")
        print(f"the loader is {loads / trains:,.0f} × as fast as the step")


def main() -> None:
    """Run the command."""
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    with one_line_errors(), initialize_config_dir(str(CONF), version_base="1.3"):
        measure(compose("train", sys.argv[1:]))


if __name__ == "__main__":
    main()
