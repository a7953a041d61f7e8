"""Synthetic sounds: their layout, their determinism, and what they hold."""

import multiprocessing
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from experiments.data.sets import synthetic
from experiments.data.sets.synthetic import FAMILIES, MAX_SCALE, RATES, Synthetic, render, render_clip

PINNED = [0.1258, 0.30116, 0.064464, 0.21573, 0.18465, 0.087546, 0.07653, 0.17251, 0.042165, 0.24148]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    render(root / "seed0_25x4_scale2", clips_per_fold=25, seed=0, max_scale=2)
    return root


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_layout_is_urbansound8ks(root: Path) -> None:
    folder = root / "seed0_25x4_scale2"
    table = pd.read_csv(folder / "metadata" / "UrbanSound8K.csv")
    assert list(table) == ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    named = {
        folder / "audio" / f"fold{fold}" / name for fold, name in zip(table.fold, table.slice_file_name, strict=True)
    }
    assert named == set(files(folder / "audio"))
    assert table.groupby("fold").size().tolist() == [25] * 4
    assert set(table.groupby(["fold", "classID"]).size()) == {2, 3}
    assert table.groupby("classID")["class"].nunique().tolist() == [1] * 10


def test_files_differ_in_rate_depth_channels_length_and_level(root: Path) -> None:
    infos = [soundfile.info(path) for path in files(root / "seed0_25x4_scale2" / "audio")]
    assert {info.samplerate for info in infos} == set(RATES)
    assert {info.subtype for info in infos} == {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"}
    assert {info.channels for info in infos} == {1, 2}
    assert len({info.duration for info in infos}) > 90
    peaks = [np.abs(soundfile.read(info.name)[0]).max() for info in infos]
    assert min(peaks) < 0.3 < 0.7 < max(peaks) < 1


def test_one_loader_reads_it(root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"sample_rate": 8000, "duration": 0.5, "cache_dir": tmp_path, "num_workers": 1}
    data: Any = Synthetic(root, clips_per_fold=25, max_scale=2, **options)
    assert data.classes == [family.__name__ for family in FAMILIES]
    assert Counter(label for _, label in data.split("train")) == {label: 6 if label < 5 else 4 for label in range(10)}
    x, _ = data.split("test")[0]
    assert x.shape == (1, 4000)
    assert x.std() > 0.01


def test_same_seed_renders_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        for family in FAMILIES:
            render_clip(tmp_path / f"{name}-{family.__name__}.wav", family, np.random.default_rng(seed))
    for family in FAMILIES:
        a, b, c = ((tmp_path / f"{name}-{family.__name__}.wav").read_bytes() for name in "abc")
        assert a == b != c


def test_rendering_is_the_pinned_one(root: Path) -> None:
    """Sines may differ in the last bit between machines, so levels are pinned, not bytes."""
    paths = files(root / "seed0_25x4_scale2" / "audio" / "fold1")[:10]
    levels = [float(np.sqrt(np.mean(soundfile.read(path)[0] ** 2))) for path in paths]
    assert levels == pytest.approx(PINNED, rel=1e-4)


def test_processes_at_once_render_one_set(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    (tmp_path / "set.partial").mkdir()  # what a killed run left
    (tmp_path / "set.partial" / "half.wav").touch()
    processes = [fork.Process(target=render, args=(tmp_path / "set", 1, 0, 2.0)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(files(tmp_path / "set")) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set.lock"]


@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_a_function_of_time(family: Callable[..., np.ndarray]) -> None:
    """Rendered at twice the rate, every other sample is the same: nothing in it knows of rate or scale."""
    fine = family(np.random.default_rng(3), np.arange(8000) / 16000)
    coarse = family(np.random.default_rng(3), np.arange(4000) / 8000)
    np.testing.assert_allclose(fine[::2], coarse, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_fastest_clip_stays_below_half_the_lowest_rate(family: Callable[..., np.ndarray]) -> None:
    for seed in range(5):
        sound = family(np.random.default_rng(seed), np.arange(96000) / 96000 * MAX_SCALE)
        power = np.abs(np.fft.rfft(sound)) ** 2
        assert power[min(RATES) // 2 :].sum() < 0.01 * power.sum()


@pytest.mark.parametrize("max_scale", [1, 1.5])
def test_a_set_at_one_scale_or_over_a_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_scale: float) -> None:
    scales = []

    def family(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
        scales.append(1 / (time[1] - time[0]))
        return np.sin(9 * time)

    monkeypatch.setattr(synthetic, "RATES", [8000])
    for seed in range(40):
        render_clip(tmp_path / "a.wav", family, np.random.default_rng(seed), max_scale)
    assert min(scales) == pytest.approx(8000 / max_scale, rel=0.05) and min(scales) > 7999 / max_scale
    assert max(scales) == pytest.approx(8000 * max_scale, rel=0.05) and max(scales) < 8001 * max_scale


@pytest.mark.parametrize("wrong", [{"clips_per_fold": 9}, {"max_scale": 3}, {"max_scale": 0.5}])
def test_values_out_of_range(tmp_path: Path, wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"data.{name}={value}"):
        Synthetic(tmp_path, **wrong)
