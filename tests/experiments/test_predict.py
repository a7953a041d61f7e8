"""The command for sounds: tables, files and pictures; windows of long recordings; bad files beside good ones."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import experiments
from experiments import predict
from experiments.data.inputs import Waveform
from experiments.data.sets.urbansound8k import UrbanSound8K
from experiments.data.sound.recordings import read_windows
from experiments.evaluation.prediction import Prediction
from experiments.loaded import Trained
from experiments.training.tasks.multi_class import MultiClass
from tests.experiments.runs import predict_command as command
from tests.experiments.runs import rows, run, saved, tiny, write_set
from wavenets.models import ScalogramNet

RATE, LENGTH = 8000, 800  # of the network's inputs


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    run(folder, *tiny(write_set(tmp_path_factory.mktemp("set"))), "trainer.max_epochs=1", "rescale=[]")
    return folder


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-0.5, 0.5, shape)


def predictions(trained: Trained, *files: Path, **options: Any) -> list[Prediction]:
    outcomes = list(trained.predictions(map(str, files), **options))
    assert all(isinstance(outcome, Prediction) for outcome in outcomes), outcomes
    return outcomes  # type: ignore[return-value]


def test_inputs_are_those_of_the_test(trained: Path, tmp_path: Path) -> None:
    root = Path(experiments.load(trained).card.config["data"]["root"])
    for fold in range(1, 11):  # 4,000 samples: 0.5 s; shorter than the clip, as long, and longer by a rounding error
        for row, length in enumerate((300, 800, 804)):
            file = root / "audio" / f"fold{fold}" / f"{3 * (fold - 1) + row}.wav"
            soundfile.write(file, noise(6 * length, 2), 48000, subtype="PCM_24")
    data = UrbanSound8K(root, duration=0.1, sample_rate=RATE, cache_dir=tmp_path, num_workers=1)
    clips = data.split("test")
    for item, file in enumerate(data.files("test")):
        (window,) = read_windows(file, RATE, LENGTH)
        assert np.array_equal(window.clip, clips[item][0].numpy())


def test_a_recording_is_judged_window_by_window(trained: Path, tmp_path: Path) -> None:
    loaded = experiments.load(trained)
    soundfile.write(tmp_path / "long.wav", noise(3000), RATE)
    sound = torch.from_numpy(soundfile.read(tmp_path / "long.wav", dtype="float32")[0])
    for hop, starts in (None, [0, 800, 1600, 2200]), (0.05, [0, 400, 800, 1200, 1600, 2000, 2200]):
        (prediction,) = predictions(loaded, tmp_path / "long.wav", hop=hop, batch_size=3)
        assert prediction.spans == [(start / RATE, (start + LENGTH) / RATE) for start in starts]
        with torch.inference_mode():
            logits = loaded.network(torch.stack([sound[None, start : start + LENGTH] for start in starts]))
        assert np.allclose(prediction.probabilities, logits.softmax(1).numpy(), atol=1e-6)
        names, means = zip(*prediction.ranking(), strict=True)
        assert list(means) == sorted(means, reverse=True) and sum(means) == pytest.approx(1)
        expected = logits.softmax(1).mean(0)
        assert dict(zip(names, means, strict=True)) == pytest.approx(
            {f"class{i}": expected[i].item() for i in range(3)}, abs=1e-6
        )


@pytest.mark.parametrize("sound", [3200, 400])
def test_times_are_those_of_the_file_where_silence_was_cut_off(tmp_path: Path, sound: int) -> None:
    """Of a sound from 1.5 s on, at another rate; a short one ends before its window does."""
    x = np.zeros(6 * 20_000)
    x[6 * 12_000 : 6 * (12_000 + sound)] = noise(6 * sound)
    soundfile.write(tmp_path / "night.wav", x, 6 * RATE)
    windows = list(read_windows(tmp_path / "night.wav", RATE, LENGTH, trim=40))
    assert abs(windows[0].start - 12_000) < 0.1 * RATE  # silence is cut off at multiples of 512 samples
    assert abs(windows[-1].end - (12_000 + sound)) < 0.1 * RATE
    assert windows[0].clip.any() and len(windows) == -(-sound // LENGTH) + (sound == 3200)
    silent = list(read_windows(tmp_path / "night.wav", RATE, LENGTH))
    assert (silent[0].start, silent[-1].end, len(silent)) == (0, 20_000, 25)


def test_windows_of_several_recordings_share_batches(trained: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.wav" for n in range(5)]
    for number, file in enumerate(files):
        soundfile.write(file, noise(200 + 700 * number), RATE)
    loaded = experiments.load(trained)
    sizes: list[int] = []
    loaded.network.register_forward_hook(lambda _, x, y: sizes.append(len(x[0])))
    together = predictions(loaded, *files, batch_size=5)
    assert sizes == [5, 5, 2]  # 1 + 2 + 2 + 3 + 4 windows
    for file, prediction in zip(files, together, strict=True):
        (alone,) = predictions(loaded, file, batch_size=1)
        assert prediction.file == str(file)
        assert np.allclose(prediction.probabilities, alone.probabilities, atol=1e-6)


def test_a_multi_label_network_has_a_probability_for_each_tag(tmp_path: Path) -> None:
    network = ScalogramNet(num_classes=3, base=2, num_scales=5, width=8, pool=16).eval()
    loaded = experiments.load(saved(network, tmp_path / "run", "multi_label", Waveform(RATE, 1600), ["a", "b", "c"]))
    soundfile.write(tmp_path / "a.wav", noise(1600), RATE)
    (prediction,) = predictions(loaded, tmp_path / "a.wav")
    with torch.inference_mode():
        sound = torch.from_numpy(soundfile.read(tmp_path / "a.wav", dtype="float32")[0])
        expected = network(sound[None, None]).sigmoid()[0].numpy()
    assert np.allclose(prediction.probabilities[0], expected, atol=1e-6)
    assert prediction.predicted == "|".join(name for name, p in zip("abc", expected, strict=True) if p >= 0.5)


def test_episodes_follow_the_likeliest_class() -> None:
    spans = [(n / 10, n / 10 + 0.2) for n in range(5)]
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]] + [[1, 0]] * 2)
    made = Prediction("a", MultiClass(2), ["x", "y"], probabilities, spans, [False] * 5)
    assert made.episodes() == [
        (0.0, 0.2, "x", pytest.approx(0.8)),
        (0.2, 0.3, "y", 0.8),
        (0.3, pytest.approx(0.6), "x", 1.0),
    ]


def test_the_command_writes_what_it_prints(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Good files beside bad ones, names that need care, and a silent file."""
    data = tmp_path / "data"
    for folder, length in ("one", 800), ("zwölf", 2400):
        (data / folder).mkdir(parents=True)
        soundfile.write(data / folder / "a$b$.wav", noise(length), RATE)
    soundfile.write(data / "silent.wav", np.zeros(500), RATE)
    (data / "zwölf" / "bad.wav").write_text("no sound")
    (data / "odd.au").write_bytes(b".snd" + bytes(100))
    (data / "skipped.m4a").touch()
    asked = [f"csv={tmp_path}/files.csv", f"json={tmp_path}/all.json", f"windows={tmp_path}/windows.csv"]
    assert command(monkeypatch, trained, f"files=[{data}]", *asked, f"pictures={tmp_path}/pictures") == 1
    out, err = capsys.readouterr()
    assert out.count("over time") == 1 and out.count("(silent)") == 1 and out.count("predictions") == 1
    lines = [line for line in err.splitlines() if line.startswith(("error", "skipped"))]
    assert lines[0] == "skipped 1 file: .m4a"
    assert [("odd.au" in line, "bad.wav cannot be decoded" in line) for line in lines[1:]] == [
        (True, False),
        (False, True),
    ]
    written = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert [Path(e["file"]).name for e in written["errors"]] == ["odd.au", "bad.wav"]
    assert sorted(len(p["windows"]) for p in written["predictions"]) == [1, 1, 3]
    files, windows = rows(tmp_path / "files.csv"), rows(tmp_path / "windows.csv")
    assert list(files[0]) == ["file", "predicted", "p", "silent", "p_class0", "p_class1", "p_class2"]
    for row, prediction in zip(files, written["predictions"], strict=True):
        assert row["file"] == prediction["file"] and row["predicted"] == prediction["predicted"]
        assert {name: float(row[f"p_{name}"]) for name in prediction["probabilities"]} == prediction["probabilities"]
        assert float(row["p"]) == max(prediction["probabilities"].values())
        assert row["silent"] == str(int("silent" in row["file"]))
    ends = {Path(row["file"]).parent.name + Path(row["file"]).name: float(row["end"]) for row in windows}
    assert ends == {"onea$b$.wav": 0.1, "zwölfa$b$.wav": 0.3, "datasilent.wav": 0.0625}
    nested = [window for p in written["predictions"] for window in p["windows"]]
    for row, window in zip(windows, nested, strict=True):
        assert {name: float(row[f"p_{name}"]) for name in window["probabilities"]} == window["probabilities"]
    pictures = sorted(file.name for file in (tmp_path / "pictures").iterdir())
    assert pictures == ["a$b$.png", "a$b$_2.png", "silent.png"]
    assert not list(tmp_path.glob("*.partial"))


def test_events_are_written_and_silence_is_in_none(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sound, noise at -70 dB, digital silence, sound: each of two windows."""
    sound = noise(1600)
    parts = [sound, sound / np.abs(sound).max() * 10 ** (-70 / 20), np.zeros(1600), sound]
    soundfile.write(tmp_path / "night.wav", np.concatenate(parts), RATE, subtype="FLOAT")
    common = f"files=[{tmp_path}/night.wav]", f"events={tmp_path}/events", "threshold=0"
    for silence, ends in (-60, [(0, 0.2), (0.6, 0.8)]), (-80, [(0, 0.4), (0.6, 0.8)]), ("null", [(0, 0.4), (0.6, 0.8)]):
        assert command(monkeypatch, trained, *common, f"silence={silence}", f"windows={tmp_path}/windows.csv") == 0
        lines = [line.split("\t") for line in (tmp_path / "events" / "night.txt").read_text().splitlines()]
        times = sorted({(float(begin), float(end)) for begin, end, _ in lines})
        assert times == ends and len(lines) == 3 * len(ends)  # of every class
        marks = [row["silent"] for row in rows(tmp_path / "windows.csv")]
        assert marks == list("00111100" if silence == -60 else "00001100")
        assert "silent" in capsys.readouterr().out
    assert command(monkeypatch, trained, *common, "format=raven", "threshold={class0:1,class1:1,class2:1}") == 0
    assert (tmp_path / "events" / "night.selections.txt").read_text().count("\n") == 1  # the head
    assert command(monkeypatch, trained, *common, "threshold={owl:0.5}") == "error: " + (
        "threshold has the unknown class owl; the classes are class0, class1, class2"
    )


def test_one_table_and_a_count_of_each_class(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", noise(1700 + number), RATE)
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, trained, "files=['*.wav']", "top=2") == 0
    out = capsys.readouterr().out
    assert [out.count(f"{number}.wav") for number in range(3)] == [1, 1, 1] and "over time" not in out
    loaded = experiments.load(trained)
    classes = [prediction.predicted for prediction in predictions(loaded, *map(Path, ("0.wav", "1.wav", "2.wav")))]
    counts = dict(part.rsplit(" ", 1) for part in out.splitlines()[-1].split(", "))
    assert {name: int(count) for name, count in counts.items()} == {name: classes.count(name) for name in classes}
    assert command(monkeypatch, trained, "files=['*.wav']", "verbose=true") == 0
    assert capsys.readouterr().out.count("over time") == 3


def test_bad_files_are_named(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "good [1].wav", np.ones(800), 8000)
    (tmp_path / "bad.wav").write_text("no sound")
    files = ",".join(f'"{tmp_path}/{name}"' for name in ("bad.wav", "missing.wav", "good [1].wav"))
    assert command(monkeypatch, trained, f"files=[{files}]") == 1
    out, err = capsys.readouterr()
    assert [line.split(" cannot")[0] for line in err.splitlines() if "cannot" in line] == [f"error: {tmp_path}/bad.wav"]
    assert f"error: {tmp_path}/missing.wav not found" in err.splitlines()
    assert "Traceback" not in err
    assert "good [1].wav" in out


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("batch_size=0", "batch_size=0 is not a whole number above 0"),
        ("hop=0", "hop=0 is not a number of seconds above 0"),
        ("json=none/x.json", "none not found; create it first, to write json=none/x.json"),
        ("csv=none/x.csv", "none not found"),
        ("csv=.", "csv=. is a folder; name a file to write"),
        ("maps=x", "maps=x is for images; ckpt=.* was trained on sounds"),
        ("overlays=true", "overlays=true needs a folder to write to; add maps=FOLDER"),
        ("files=[]", "is empty; name at least one file"),
        ("top=-1", "top=-1 is not a whole number above 0"),
        ("top=abc", "top=abc is not a whole number above 0"),
    ],
)
def test_mistakes_are_found_first(argument: str, message: str, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["files=[x.wav]"] if not argument.startswith("files") else []
    monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={trained}", *given, argument])
    with pytest.raises(SystemExit, match=message):
        predict.main()
