"""MagnaTagATune and Speech Commands, rendered small in the layout of their downloads."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hydra.utils import instantiate

from experiments.data.sets.magnatagatune import MagnaTagATune
from experiments.data.sets.speech_commands import COMMANDS, BackgroundNoise, SpeechCommands
from tests.experiments.runs import composed, run, write_music

STAGES: Any = ("train", "val", "test")


def test_music_is_split_by_folder_and_cut_into_segments(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_music(tmp_path / "set", seconds=0.5)
    small = f"data.root={root}", f"data.cache_dir={tmp_path}/cache", "data.num_workers=1"
    data: Any = instantiate(composed("data=magnatagatune", *small, "data.duration=0.4", "data.window=0.04").data)
    assert data.__class__.__name__ == MagnaTagATune.__name__ and data.num_samples == 882
    folders = {stage: [file.parent.name for file in data.files(stage)][::10] for stage in STAGES}
    assert folders == {"train": list("0123456789ab"), "val": ["c"], "test": ["d", "e"]}  # that of f is empty
    assert "skipped 1 of 16 files" in caplog.text and "f/piece-15.mp3" in caplog.text
    assert [len(data.split(stage)) for stage in STAGES] == [120, 10, 20]
    assert data.recordings("test") == sorted(data.recordings("test")) and len(set(data.recordings("test"))) == 2
    table = pd.read_csv(root / "annotations_final.csv", sep="\t")
    counts = table.drop(columns=["clip_id", "mp3_path"]).sum()
    assert len(data.classes) == 50 and counts[data.classes].min() >= counts.drop(data.classes).max()
    assert list(counts[data.classes]) == sorted(counts[data.classes], reverse=True)
    for (x, target), file in zip(data.split("test"), data.files("test"), strict=True):
        row = table.set_index("mp3_path").loc[f"{file.parent.name}/{file.name}"]
        assert x.shape == (1, 882) and target.tolist() == row[data.classes].tolist()


def test_music_without_one_of_the_tags_is_left_out(tmp_path: Path) -> None:
    root = write_music(tmp_path / "set", seconds=0.1)
    data = MagnaTagATune(root, duration=0.1, cache_dir=tmp_path, num_workers=1, on_bad_file="skip")
    assert "piece-16.mp3" not in [file.name for file in data.files("train")]


def test_music_is_tested_piece_by_piece(tmp_path: Path) -> None:
    data = f"data.root={write_music(tmp_path / 'set', seconds=1.2)}", "data.duration=1.2", "data.window=0.4"
    results = run(
        tmp_path / "run", "data=magnatagatune", *data, f"data.cache_dir={tmp_path}/cache",
        "data.num_workers=1", "model=mnet", "model.depth=3", "trainer=cpu", "trainer.max_epochs=1", "batch_size=23",
        "rescale=[]",
    )  # fmt: skip
    assert results["test_examples"] == 2 and results["monitor"] == "auroc" and len(results["classes"]) == 50


@pytest.mark.parametrize(
    "old, new, message",
    [
        (None, None, "annotations_final.csv not found: data.root must hold .*download them from http"),
        ("mp3_path", "path", "lacks the column mp3_path"),
        ('"0"', '"7"', "neither 0 nor 1"),
        ('"c/piece', '"x/piece', "in none of the folders"),
    ],
)
def test_broken_annotations(tmp_path: Path, old: str | None, new: str | None, message: str) -> None:
    root = write_music(tmp_path, seconds=0.1)
    file = root / "annotations_final.csv"
    file.write_text(file.read_text().replace(old, new)) if old and new else file.unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        MagnaTagATune(root)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Speech Commands: six files of each of 35 words, one to validate and one to test; and four noises."""
    root = tmp_path / "speech_commands"
    names = [*COMMANDS, *(f"word{number:02}" for number in range(25))]
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for label, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for take in range(6):
            sound = np.full(1600 if take else 1000, (label + 1) / 64)
            soundfile.write(root / name / f"{take:08x}_nohash_0.wav", sound, 16000)
        lists["validation_list.txt"].append(f"{name}/{4:08x}_nohash_0.wav")
        lists["testing_list.txt"].append(f"{name}/{5:08x}_nohash_0.wav")
    for file, lines in lists.items():
        (root / file).write_text("\n".join(lines) + "\n")
    (root / "_background_noise_").mkdir()
    for number, name in enumerate(["a", "b", "c", "d"]):
        soundfile.write(root / "_background_noise_" / f"{name}.wav", np.full(4000, -(number + 1) / 64), 16000)
    return root


def options(root: Path, **more: Any) -> dict[str, Any]:
    return {"sample_rate": 16000, "duration": 0.1, "cache_dir": root.parent / "cache", "num_workers": 1} | more


def test_spoken_words_have_their_own_lists(speech: Path) -> None:
    data: Any = SpeechCommands(speech, **options(speech))
    assert data.classes == sorted([*COMMANDS, *(f"word{number:02}" for number in range(25))])
    assert [len(data.split(stage)) for stage in STAGES] == [140, 35, 35]
    for stage, takes in ("train", "0123"), ("val", "4"), ("test", "5"):
        assert {file.name[7] for file in data.files(stage)} == set(takes)
    for (x, label), file in zip(data.split("val"), data.files("val"), strict=True):
        assert data.classes[label] == file.parent.name and x.shape == (1, 1600)


def test_twelve_classes_with_unknown_words_and_silence(speech: Path) -> None:
    data: Any = SpeechCommands(speech, num_classes=12, silence_hop=0.05, seed=3, **options(speech))
    assert data.classes == [*COMMANDS, "unknown", "silence"]
    for stage, unknown, noises in ("train", 4, "cd"), ("val", 1, "a"), ("test", 1, "b"):
        clips, files = data.split(stage), data.files(stage)
        names = np.array(data.classes)[[label for _, label in clips]]
        assert (names == "unknown").sum() == unknown
        assert all(
            file.parent.name not in COMMANDS for file, name in zip(files, names, strict=True) if name == "unknown"
        )
        assert [file.stem for file, name in zip(files, names, strict=True) if name == "silence"] == [
            noise for noise in noises for _ in range(4)
        ]
        assert all((x < 0).all() == (name == "silence") for (x, _), name in zip(clips, names, strict=True))
    again = SpeechCommands(speech, num_classes=12, silence_hop=0.05, seed=3, **options(speech))
    other = SpeechCommands(speech, num_classes=12, silence_hop=0.05, seed=4, **options(speech))
    assert data.files("train") == again.files("train") != other.files("train")


def test_noise_behind_words_is_that_of_training(speech: Path) -> None:
    behind = BackgroundNoise(speech, 16000, volume=0.5, probability=0.7)
    x = torch.full((1, 1600), 0.5)
    made = torch.cat([behind(x, np.random.default_rng(number)) for number in range(300)])
    assert torch.equal(made[7:8], behind(x, np.random.default_rng(7)))
    added = (made - 0.5)[:, 0]
    assert torch.equal(made, made[:, :1].expand(-1, 1600))  # the noises are constant
    assert 0.6 < (added != 0).float().mean() < 0.8
    assert -0.5 * 4 / 64 <= added.min() < -0.5 * 3.5 / 64 and added.max() == 0  # those of c and d, 3 and 4 of 64


def test_a_run_with_noise_behind_words(speech: Path, tmp_path: Path) -> None:
    data = f"data.root={speech}", "data.num_classes=12", "data.duration=0.1", "data.silence_hop=0.1"
    results = run(
        tmp_path / "run", "data=speech_commands", "augment=background_noise", *data, "model=mnet", "model.depth=3",
        f"data.cache_dir={tmp_path}/cache", "data.num_workers=1", "trainer=cpu", "trainer.max_epochs=1", "rescale=[]",
    )  # fmt: skip
    assert len(results["details"]["confusion"]) == 12 and results["test_fold"] is None


def test_what_is_not_speech_commands(speech: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"validation_list.txt not found: data.root must .* from http"):
        SpeechCommands(tmp_path)
    with pytest.raises(ValueError, match=r"data.num_classes=20 is unknown"):
        SpeechCommands(speech, num_classes=20)
    testing = speech / "testing_list.txt"
    whole = testing.read_text()
    for line, message in (
        ("yes/none.wav", "none.wav is in testing_list.txt but not on disk"),
        (
            f"yes/{4:08x}_nohash_0.wav",
            "is in validation_list.txt and testing_list.txt",
        ),
    ):
        testing.write_text(f"{whole}{line}\n")
        with pytest.raises(ValueError, match=message):
            SpeechCommands(speech)
    for name in "a", "b":
        (speech / "_background_noise_" / f"{name}.wav").unlink()
    testing.write_text(whole)
    with pytest.raises(FileNotFoundError, match="holds 2 noises, and at least three are needed"):
        SpeechCommands(speech, num_classes=12)
