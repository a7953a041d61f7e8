"""Predicting: files, folders and globs; windows of long recordings; tables, files and pictures."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from experiments import predict
from experiments.data import UrbanSound8K
from experiments.data.recordings import find_sounds, read_recording
from experiments.report.prediction import Prediction
from experiments.report.prediction import predict as judge
from experiments.run import load_network
from experiments.training.task import MultiClass, MultiLabel
from tests.experiment_runs import run, tiny, write_set

RATE, LENGTH = 8000, 800  # of the network's inputs


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    run(folder, *tiny(write_set(tmp_path_factory.mktemp("set"))), "trainer.max_epochs=1", "rescale=[]")
    return folder


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-0.5, 0.5, shape)


def predictions(trained: Path, *files: Path, **options: object) -> list[Prediction]:
    network, card = load_network(trained / "checkpoints" / "best.ckpt")
    outcomes = list(judge(network, card, MultiClass(3), map(str, files), **options))  # type: ignore[arg-type]
    assert all(isinstance(outcome, Prediction) for outcome in outcomes), outcomes
    return outcomes  # type: ignore[return-value]


def test_inputs_are_those_of_the_test(trained: Path, tmp_path: Path) -> None:
    _, card = load_network(trained / "checkpoints" / "best.ckpt")
    root = Path(card.config["data"]["root"])
    for fold in range(1, 11):  # 4,000 samples: 0.5 s; shorter than the clip, as long, and longer by a rounding error
        for row, length in enumerate((300, 800, 804)):
            file = root / "audio" / f"fold{fold}" / f"{3 * (fold - 1) + row}.wav"
            soundfile.write(file, noise(6 * length, 2), 48000, subtype="PCM_24")
    data = UrbanSound8K(root, duration=0.1, sample_rate=RATE, cache_dir=tmp_path, num_workers=1)
    for (x, _), file in zip(data.split("test"), data.files("test"), strict=True):
        (clip,) = read_recording(file, RATE, LENGTH).clips()
        assert np.array_equal(clip, x.numpy())


def test_a_recording_is_judged_window_by_window(trained: Path, tmp_path: Path) -> None:
    network, _ = load_network(trained / "checkpoints" / "best.ckpt")
    soundfile.write(tmp_path / "long.wav", noise(3000), RATE)
    sound = torch.from_numpy(soundfile.read(tmp_path / "long.wav", dtype="float32")[0])
    for hop, starts in (None, [0, 800, 1600, 2200]), (0.05, [0, 400, 800, 1200, 1600, 2000, 2200]):
        (prediction,) = predictions(trained, tmp_path / "long.wav", hop=hop, batch_size=3)
        assert prediction.spans == [(start / RATE, (start + LENGTH) / RATE) for start in starts]
        with torch.inference_mode():
            logits = network(torch.stack([sound[None, start : start + LENGTH] for start in starts]))
        assert np.allclose(prediction.probabilities, logits.softmax(1).numpy(), atol=1e-6)
        names, means = zip(*prediction.ranking(), strict=True)
        assert list(means) == sorted(means, reverse=True) and sum(means) == pytest.approx(1)
        expected = logits.softmax(1).mean(0)
        assert dict(zip(names, means, strict=True)) == pytest.approx(
            {f"class{i}": expected[i].item() for i in range(3)}, abs=1e-6
        )


@pytest.mark.parametrize("sound, first", [(3200, 12_000), (400, 11_800)])
def test_times_are_those_of_the_file_where_silence_was_cut_off(tmp_path: Path, sound: int, first: int) -> None:
    """Of a sound from 1.5 s on, at another rate; a short one is centred in its window."""
    x = np.zeros(6 * 20_000)
    x[6 * 12_000 : 6 * (12_000 + sound)] = noise(6 * sound)
    soundfile.write(tmp_path / "night.wav", x, 6 * RATE)
    recording = read_recording(tmp_path / "night.wav", RATE, LENGTH, trim=40)
    prediction = Prediction("night.wav", recording, RATE, ["a"], np.ones((len(recording.starts), 1)))
    assert abs(prediction.spans[0][0] - first / RATE) < 0.1  # librosa cuts at multiples of 512 samples
    assert abs(prediction.spans[-1][1] - (first + max(sound, LENGTH)) / RATE) < 0.1
    silent = read_recording(tmp_path / "night.wav", RATE, LENGTH)
    assert silent.begin == 0 and len(silent.signal) == 20_000


def test_windows_of_several_recordings_share_batches(trained: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.wav" for n in range(5)]
    for number, file in enumerate(files):
        soundfile.write(file, noise(200 + 700 * number), RATE)
    network, card = load_network(trained / "checkpoints" / "best.ckpt")
    sizes: list[int] = []
    network.register_forward_hook(lambda _, x, y: sizes.append(len(x[0])))
    together = list(judge(network, card, MultiClass(3), map(str, files), batch_size=5))
    assert sizes == [5, 5, 2]  # 1 + 2 + 2 + 3 + 4 windows
    for file, prediction in zip(files, together, strict=True):
        (alone,) = predictions(trained, file, batch_size=1)
        assert isinstance(prediction, Prediction) and prediction.file == str(file)
        assert np.allclose(prediction.probabilities, alone.probabilities, atol=1e-6)


def test_a_multi_label_network_gives_a_probability_for_each_tag(trained: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(800), RATE)
    network, card = load_network(trained / "checkpoints" / "best.ckpt")
    (prediction,) = judge(network, card, MultiLabel(3), [str(tmp_path / "a.wav")])
    assert isinstance(prediction, Prediction)
    with torch.inference_mode():
        sound = torch.from_numpy(soundfile.read(tmp_path / "a.wav", dtype="float32")[0])
        assert np.allclose(prediction.probabilities, network(sound[None, None]).sigmoid().numpy(), atol=1e-6)


def test_episodes_follow_the_likeliest_class(trained: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(4000), RATE)
    (prediction,) = predictions(trained, tmp_path / "a.wav")
    made = Prediction(
        "a", prediction.recording, RATE, ["x", "y"], np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]] + [[1, 0]] * 2)
    )
    assert made.episodes() == [
        (0.0, 0.2, "x", pytest.approx(0.8)),
        (0.2, pytest.approx(0.3), "y", 0.8),
        (pytest.approx(0.3), 0.5, "x", 1.0),
    ]


def test_files_folders_and_globs(tmp_path: Path) -> None:
    names = "a.wav", "b [1].flac", "deep/er/c.OGG", "deep/d.mp3", "deep/notes.txt"
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(*patterns: str) -> list[str]:
        return [str(Path(file).relative_to(tmp_path)) for file in find_sounds(f"{tmp_path}/{p}" for p in patterns)]

    assert found("") == ["a.wav", "b [1].flac", "deep/d.mp3", "deep/er/c.OGG"]
    assert found("deep") == ["deep/d.mp3", "deep/er/c.OGG"]
    assert found("*.wav", "deep/**/*.OGG", "a.wav") == ["a.wav", "deep/er/c.OGG"]
    assert found("b [1].flac", "none.wav") == ["b [1].flac", "none.wav"]
    (tmp_path / "empty").mkdir()
    for pattern, message in ("empty", "empty holds no audio file"), ("*.aiff", r"no file matches .*\*.aiff"):
        with pytest.raises(FileNotFoundError, match=message):
            found(pattern)


def command(monkeypatch: pytest.MonkeyPatch, trained: Path, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={trained}", *arguments])
    with pytest.raises(SystemExit) as end:
        predict.main()
    return end.value.code


def test_the_command_writes_what_it_tells(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, length in ("one", 800), ("two", 2400):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "a$b$.wav", noise(length), RATE)
    (tmp_path / "two" / "bad.wav").write_text("no sound")
    asked = [f"{key}={tmp_path}/all.{key}" for key in ("json", "csv")]
    assert command(monkeypatch, trained, f"files=[{tmp_path}]", *asked, f"pictures={tmp_path}/pictures", "top=2") == 1
    out, err = capsys.readouterr()
    assert out.count("window by window") == 1 and "probability" in out
    assert "bad.wav cannot be decoded" in err and len(err.splitlines()) == 1
    written = json.loads((tmp_path / "all.json").read_text())
    assert [Path(e["file"]).name for e in written["errors"]] == ["bad.wav"]
    assert [len(p["windows"]) for p in written["predictions"]] == [1, 3]
    with (tmp_path / "all.csv").open() as content:
        rows = list(csv.DictReader(content))
    assert [float(row["start"]) for row in rows] == [0, 0, 0.1, 0.2]
    windows = [window for p in written["predictions"] for window in p["windows"]]
    for row, window in zip(rows, windows, strict=True):
        assert {name: float(row[name]) for name in ("class0", "class1", "class2")} == window["probabilities"]
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == ["a$b$.png", "a$b$_2.png"]


def test_predict_names_bad_files(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "good [1].wav", np.ones(800), 8000)
    (tmp_path / "bad.wav").write_text("no sound")
    files = ",".join(f'"{tmp_path}/{name}"' for name in ("bad.wav", "missing.wav", "good [1].wav"))
    monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={trained}", f"files=[{files}]"])
    with pytest.raises(SystemExit) as end:
        predict.main()
    out, err = capsys.readouterr()
    assert end.value.code == 1
    assert [line.split(" cannot")[0] for line in err.splitlines() if "cannot" in line] == [f"error: {tmp_path}/bad.wav"]
    assert f"error: {tmp_path}/missing.wav not found" in err.splitlines()
    assert "Traceback" not in err
    assert "good [1].wav" in out and "probability" in out


def test_mistakes_are_told_first(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for argument, message in (
        ("batch_size=0", "batch_size=0 is no number of windows"),
        ("hop=0", "hop=0 is no number of seconds above 0"),
        (f"json={tmp_path}/none/x.json", "none not found, where .*x.json is to be written"),
    ):
        monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={trained}", "files=[x.wav]", argument])
        with pytest.raises(SystemExit, match=message):
            predict.main()
