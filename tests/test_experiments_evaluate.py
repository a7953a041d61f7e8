"""Testing again, predicting, and playing at other speeds."""

import contextlib
import copy
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import soundfile
import torch
from hydra import compose, initialize_config_dir

from experiments import evaluate, predict
from experiments.data import UrbanSound8K
from experiments.data.playback import play
from experiments.data.relabel import Relabelled
from experiments.run import Results, load_network
from experiments.training.place import place
from tests.experiment_runs import CONF, run, tiny, write_set


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    run(folder, *tiny(write_set(tmp_path_factory.mktemp("set"))))
    return folder


def test_evaluate_gives_the_results_of_the_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={trained}"])
    evaluate.main()
    at_the_end = json.loads((trained / "results.json").read_text())
    again = json.loads((trained / "checkpoints" / "best.json").read_text())
    for key in "overrides", "epochs", "seconds":  # of the training
        del again[key], at_the_end[key]
    assert again == at_the_end
    assert (trained / "checkpoints" / "best_rescaled.png").exists()


def test_evaluate_elsewhere_and_at_other_speeds(trained: Path, tmp_path: Path) -> None:
    root = write_set(tmp_path / "moved")
    changes = [f"ckpt={trained}/checkpoints/last.ckpt", f"++data.root={root}", f"++data.cache_dir={tmp_path}/cache"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        results, file = evaluate.evaluate(compose("evaluate", [*changes, "rescale=[0.25,0.7,4]"]))
    assert list(results.rescaled) == ["0.25", "0.7", "4"]
    assert file == trained / "checkpoints" / "last.json"


def evaluated(*arguments: str) -> Results:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return evaluate.evaluate(compose("evaluate", list(arguments)))[0]


def test_evaluate_on_another_fold_or_with_any_other_value_of_the_data(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last = Path(shutil.copy(trained / "checkpoints" / "last.ckpt", trained / "copy.ckpt"))
    monkeypatch.setattr(
        sys, "argv", ["evaluate", f"ckpt={last}", "data.test_fold=3", "data.duration=0.2", "rescale=[]"]
    )
    evaluate.main()
    results = Results.load(last.with_suffix(".json"))
    assert (results.test_fold, results.rescaled) == (3, {})
    assert "was trained or validated on fold 3" in capsys.readouterr().out
    root = Results.load(trained / "results.json")
    assert results.test["loss"] != root.test["loss"]


def test_classes_are_found_by_their_names(trained: Path, tmp_path: Path) -> None:
    same = f"ckpt={trained}", f"++data.cache_dir={tmp_path}/cache", "rescale=[]"
    before = evaluated(*same)
    csv = write_set(tmp_path / "set") / "metadata" / "UrbanSound8K.csv"
    table = pd.read_csv(csv)
    table.assign(classID=(table["classID"] + 1) % 3).to_csv(csv, index=False)
    other = evaluated(*same, f"++data.root={tmp_path}/set")
    assert (other.classes, other.test, other.confusion) == (before.classes, before.test, before.confusion)
    table.assign(**{"class": table["class"].replace("class1", "cow")}).to_csv(csv, index=False)
    with pytest.raises(ValueError, match="does not know the class cow; it knows class0, class1, class2"):
        evaluated(*same, f"++data.root={tmp_path}/set")
    table[table["classID"] != 1].to_csv(csv, index=False)  # fewer classes are no harm
    fewer = evaluated(*same, f"++data.root={tmp_path}/set")
    assert fewer.test_clips == 2 and fewer.confusion is not None and len(fewer.confusion) == 3


def test_targets_with_a_value_for_each_class_are_found_by_name() -> None:
    source = SimpleNamespace(classes=["a", "b"], quantity="", split=lambda _: [(0, torch.tensor([0.25, 0.75]))])
    ((_, target),) = copy.copy(Relabelled(source, ["b", "c", "a"])).split("test")
    assert target.tolist() == [0.75, 0, 0.25]


@pytest.mark.parametrize("command", [evaluate, predict])
def test_precision_and_device_are_the_run_s_or_asked_for(
    command: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = []
    monkeypatch.setattr(command, "place", lambda network, trainer: placed.append(trainer) or place(network, trainer))
    soundfile.write(tmp_path / "a.wav", np.ones(800), 8000)
    arguments = [f"files=[{tmp_path}/a.wav]"] if command is predict else ["rescale=[]"]
    for changes in [], ["trainer.precision=bf16-mixed", "trainer.accelerator=cpu"]:
        monkeypatch.setattr(sys, "argv", ["command", f"ckpt={trained}", *arguments, *changes])
        with contextlib.suppress(SystemExit):
            command.main()
    assert [trainer["precision"] for trainer in placed] == ["32-true", "bf16-mixed"]
    assert [trainer["accelerator"] for trainer in placed] == ["auto", "cpu"]
    monkeypatch.setattr(sys, "argv", ["command", f"ckpt={trained}", *arguments, "trainer.precision=7"])
    with pytest.raises(SystemExit, match="error: Precision 7 is invalid"):
        command.main()


def test_a_network_of_nan_gives_no_result(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    for name, weight in checkpoint["state_dict"].items():
        weight.fill_(torch.nan) if weight.is_floating_point() and not name.endswith("_extra_state") else None
    torch.save(checkpoint, tmp_path / "nan.ckpt")
    with pytest.raises(ValueError, match="the network gives NaN"):
        evaluated(f"ckpt={tmp_path}/nan.ckpt")
    soundfile.write(tmp_path / "a.wav", np.ones(800), 8000)
    monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={tmp_path}/nan.ckpt", f"files=[{tmp_path}/a.wav]"])
    with pytest.raises(SystemExit, match="error: the network gives NaN"):
        predict.main()
    assert "%" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["files=[]"], "names no file"),
        (["files=[x.wav]", "top=-1"], "top=-1 is no number of classes"),
        (["files=[x.wav]", "top=abc"], "top=abc is no number of classes"),
        (["files=[x.wav]", "ckpt=null"], "ckpt is null"),
    ],
)
def test_predict_s_mistakes(arguments: list[str], message: str, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={trained}", *arguments])
    with pytest.raises(SystemExit, match=message):
        predict.main()


def test_a_checkpoint_is_not_overwritten_by_its_results(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path / "x.json")
    with pytest.raises(ValueError, match="json would be overwritten"):
        evaluated(f"ckpt={tmp_path}/x.json")


@pytest.mark.parametrize("rescale", ["2", "[abc]", "abc"])
def test_factors_that_are_no_list_of_numbers(rescale: str, trained: Path) -> None:
    with pytest.raises(ValueError, match=r"rescale=.* is no list of numbers; write rescale=\[0.5,1,2\]"):
        evaluated(f"ckpt={trained}", f"rescale={rescale}")


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_named(damage: str, trained: Path, tmp_path: Path) -> None:
    content = bytearray((trained / "checkpoints" / "best.ckpt").read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0xFF  # torch would load it
    (tmp_path / "best.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"best.ckpt is damaged"):
        load_network(tmp_path / "best.ckpt")


@pytest.mark.parametrize("command", [evaluate, predict])
def test_a_file_that_is_no_checkpoint(
    command: object, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_checkpoint = shutil.copy(trained / "config.yaml", tmp_path / "best.ckpt")
    for path, complaint in (no_checkpoint, "is not a checkpoint"), (tmp_path / "none.ckpt", "not found"):
        arguments = ["files=[a.wav]"] if command is predict else []
        monkeypatch.setattr(sys, "argv", ["command", f"ckpt={path}", *arguments])
        with pytest.raises(SystemExit, match=complaint):
            command.main()  # type: ignore[attr-defined]


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.71, 1.41, 2, 4])
def test_a_tone_moves_by_the_factor(factor: float) -> None:
    rate, hertz = 8000, 500
    tone = torch.sin(2 * torch.pi * hertz * torch.arange(rate) / rate)[None]
    frequencies, power = scipy.signal.periodogram(play(tone, factor)[0].numpy(), rate)
    assert frequencies[power.argmax()] == pytest.approx(hertz * factor, abs=2)


def test_play_against_another_resampler() -> None:
    rng = np.random.default_rng(0)
    smooth = scipy.signal.sosfiltfilt(scipy.signal.butter(6, 0.15, output="sos"), rng.standard_normal(4000))
    sound = torch.from_numpy(smooth.astype(np.float32))[None]
    fast = play(sound, 2)[0].numpy()
    assert len(fast) == 2000
    expected = scipy.signal.resample_poly(smooth, 1, 2)
    np.testing.assert_allclose(fast[100:1900], expected[100:1900], atol=2e-3 * np.abs(expected).max())
    slow = play(sound, 0.5)[0].numpy()
    expected = scipy.signal.resample(smooth, 8000)
    np.testing.assert_allclose(slow[200:7800], expected[200:7800], atol=2e-3 * np.abs(expected).max())


def test_played_clips_are_neither_padded_nor_cut_unless_it_is_asked_for(tmp_path: Path) -> None:
    root = write_set(tmp_path)
    options = {"sample_rate": 8000, "duration": 0.25, "cache_dir": tmp_path / "cache", "num_workers": 1}
    whole, fitted = (UrbanSound8K(root, fit_rescaled=fit, **options) for fit in (False, True))  # type: ignore[arg-type]
    for factor, length in (0.5, 4000), (1.41, 1419), (2, 1000):
        clip, label = whole.rescaled("test", factor)[1]
        assert clip.shape == (1, length) and label == whole.split("test")[1][1]
        cut, _ = fitted.rescaled("test", factor)[1]
        assert cut.shape == (1, 2000)
        around, start = (clip, cut) if length > 2000 else (cut, clip), abs(length - 2000) // 2
        assert torch.equal(around[0][:, start : start + around[1].shape[1]], around[1])


def test_play_at_the_original_speed_changes_nothing() -> None:
    clip = torch.randn(1, 999)
    assert torch.equal(play(clip, 1), clip)


@pytest.mark.parametrize("factor", [0.2, 4.1, -1, float("nan")])
def test_only_speeds_from_a_quarter_to_four(factor: float, tmp_path: Path) -> None:
    clips = UrbanSound8K(write_set(tmp_path), cache_dir=tmp_path / "cache", num_workers=1)
    with pytest.raises(ValueError, match=rf"rescale={factor:g} is out of range.* 0\.25"):
        clips.rescaled("test", factor)
