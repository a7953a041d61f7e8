"""Published sets in folds: ESC-50 and UrbanSound8K."""

import logging
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hydra.utils import instantiate

from experiments.data.sets.esc50 import ESC50
from experiments.data.sets.urbansound8k import UrbanSound8K
from experiments.data.sound.audio_set import AudioSet
from experiments.data.source import Stage
from tests.experiments.runs import composed

RATE = 8000
STAGES: tuple[Stage, ...] = ("train", "val", "test")


def write_clip(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(16, level / 64), RATE)


@pytest.fixture
def urbansound(tmp_path: Path) -> Path:
    """Ten folds of three clips; every clip has a level of its own. The classes are not in the order of the files."""
    root, rows = tmp_path / "UrbanSound8K", []
    for level, (fold, (target, name)) in enumerate(product(range(1, 11), [(2, "siren"), (0, "bark"), (1, "drill")])):
        rows.append((f"{level}-{target}-0-0.wav", level, 0.0, 0.002, 1, fold, target, name))
        write_clip(root / "audio" / f"fold{fold}" / rows[-1][0], level)
    write_csv(
        root / "metadata" / "UrbanSound8K.csv",
        rows,
        "slice_file_name,fsID,start,end,salience,fold,classID,class",
    )
    return root


@pytest.fixture
def esc50(tmp_path: Path) -> Path:
    """Five folds of four classes, two of them in ESC-10; an .ogg among the .wav files."""
    root, rows = tmp_path / "ESC-50", []
    kinds = [(41, "chainsaw", True), (3, "cow", False), (0, "dog", True), (7, "hen", False)]
    for fold, (target, name, esc10) in product(range(1, 6), kinds):
        file = f"{fold}-1-A-{target}.{'ogg' if target == 41 else 'wav'}"
        rows.append((file, fold, target, name, esc10, 1, "A"))
        write_clip(root / "audio" / file, target)
    write_csv(root / "meta" / "esc50.csv", rows, "filename,fold,target,category,esc10,src_file,take")
    return root


def write_csv(path: Path, rows: list[Any], columns: str) -> None:
    path.parent.mkdir(parents=True)
    pd.DataFrame(rows, columns=columns.split(",")).to_csv(path, index=False)


def options(root: Path, **more: Any) -> dict[str, Any]:
    return {"root": root, "sample_rate": RATE, "duration": 0.002, "cache_dir": root / "cache", "num_workers": 1} | more


@pytest.mark.parametrize("test_fold", range(1, 11))
def test_files_of_the_stages_are_the_folders_of_their_folds(urbansound: Path, test_fold: int) -> None:
    data: Any = UrbanSound8K(**options(urbansound, test_fold=test_fold))
    folders = {stage: {file.parent.name for file in data.files(stage)} for stage in STAGES}
    assert folders["test"] == {f"fold{test_fold}"}
    assert folders["val"] == {f"fold{test_fold % 10 + 1}"}
    assert len(folders["train"]) == 8
    assert not folders["train"] & (folders["val"] | folders["test"])
    assert sum(len(data.split(stage)) for stage in STAGES) == 30


def test_items_are_the_clips_with_their_labels(urbansound: Path) -> None:
    data: Any = UrbanSound8K(**options(urbansound, test_fold=4))
    assert data.classes == ["bark", "drill", "siren"]
    assert (data.sample_rate, data.num_samples) == (RATE, 16)
    for stage in STAGES:
        for (x, label), file in zip(data.split(stage), data.files(stage), strict=True):
            level, target = file.name.split("-")[:2]
            assert label == int(target)
            assert x.shape == (1, 16)
            np.testing.assert_array_equal(x[0], int(level) / 64)


def test_the_group_of_a_clip_is_the_recording_that_it_was_cut_from(urbansound: Path, esc50: Path) -> None:
    data: Any = UrbanSound8K(**options(urbansound))
    assert len(data.group_of) == 30 and all(path.name.split("-")[0] == group for path, group in data.group_of.items())
    subset: Any = ESC50(**options(esc50), subset="esc10")
    assert len(subset.group_of) == 10 and set(subset.group_of.values()) == {"1"}


def test_esc50_and_its_subset(esc50: Path) -> None:
    data: Any = ESC50(**options(esc50))
    assert data.classes == ["dog", "cow", "hen", "chainsaw"]
    assert [file.name for file in data.files("test")] == ["1-1-A-41.ogg", "1-1-A-3.wav", "1-1-A-0.wav", "1-1-A-7.wav"]
    assert [label for _, label in data.split("test")] == [3, 1, 0, 2]
    subset: Any = ESC50(**options(esc50, subset="esc10", test_fold=5))
    assert subset.classes == ["dog", "chainsaw"]
    assert [label for _, label in subset.split("test")] == [1, 0]
    assert [file.name for file in subset.files("val")] == ["1-1-A-41.ogg", "1-1-A-0.wav"]
    assert subset.split("test")[0][0].mean() == pytest.approx(41 / 64, abs=0.1)


@pytest.mark.parametrize(
    ("kind", "looked_for", "home"),
    [(UrbanSound8K, "metadata/UrbanSound8K.csv", "urbansounddataset"), (ESC50, "meta/esc50.csv", "karolpiczak/ESC-50")],
)
def test_wrong_root_says_what_was_looked_for_and_where_it_is(
    tmp_path: Path, kind: Any, looked_for: str, home: str
) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/{looked_for}.*{home}"):
        kind(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"test_fold": 11}, r"test_fold=11 .*\[1, 2, 3, 4, 5, 6, 7, 8, 9, 10\]"),
        ({"val_fold": 0}, "val_fold=0"),
        ({"test_fold": 3, "val_fold": 3}, "both 3"),
        ({"on_bad_file": "ignore"}, "on_bad_file=ignore"),
        ({"duration": 1e-6}, "less than one sample"),
        ({"duration": 0.0}, "data.duration=0.0 is not a number above 0"),
        ({"duration": float("nan")}, "data.duration=nan is not a number above 0"),
        ({"duration": float("inf")}, "data.duration=inf is not a number above 0"),
        ({"sample_rate": "abc"}, "data.sample_rate=abc is not a number above 0"),
        ({"test_fold": None}, "data.test_fold=None is not a fold"),
        ({"num_workers": -1}, "data.num_workers=-1 is less than 0"),
    ],
)
def test_wrong_argument(urbansound: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UrbanSound8K(**options(urbansound, **wrong))


def test_unknown_subset(esc50: Path) -> None:
    with pytest.raises(ValueError, match="subset=esc11"):
        ESC50(**options(esc50, subset="esc11"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("classID", "label", "lacks the column classID"),
        (",2,siren", ",,siren", "empty field in line 2"),
        (None, "", "not a readable CSV"),
        (None, "\x00\x81", "lacks the column|not a readable CSV"),
        (None, "slice_file_name,fold,classID,class\n", "no line below its header"),
        (",1,2,siren", ",one,2,siren", "values that are not whole numbers in the column fold"),
        (",2,siren", ",two,siren", "values that are not whole numbers in the column classID"),
    ],
)
def test_broken_metadata(urbansound: Path, old: Any, new: str, message: str) -> None:
    csv = urbansound / "metadata" / "UrbanSound8K.csv"
    csv.write_text(new if old is None else csv.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as error:
        UrbanSound8K(**options(urbansound))
    assert str(csv) in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",2,siren", ",2,siren ", "the classes 'siren ' and 'siren' differ in case, blanks"),
        (",2,siren", ",2,Siren", "the classes 'Siren' and 'siren' differ in case, blanks"),
        (",2,siren", ",7,siren", "the class siren has the numbers 7, 2"),
        (",2,siren", ",1,siren", "the class siren has the numbers 1, 2"),
        (",2,siren", ",2,bell", "the number 2 has the classes 'bell', 'siren'"),
        ("1-0-0-0.wav,1", "0-2-0-0.wav,1", r"0-2-0-0.wav is listed twice \(in 1 and 1\)"),
    ],
)
def test_metadata_that_contradict_themselves(urbansound: Path, old: Any, new: str, message: str) -> None:
    csv = urbansound / "metadata" / "UrbanSound8K.csv"
    csv.write_text(csv.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        UrbanSound8K(**options(urbansound))


def test_a_file_in_two_folds_is_not_in_test_and_training(esc50: Path) -> None:
    csv = esc50 / "meta" / "esc50.csv"
    csv.write_text(csv.read_text() + "1-1-A-0.wav,4,0,dog,True,1,A\n")
    with pytest.raises(ValueError, match=r"1-1-A-0.wav is listed twice \(in 1 and 4\)"):
        ESC50(**options(esc50))


@pytest.mark.parametrize("name", ["None", "NA", "null", "nan", "7"])
def test_any_name_is_a_class(urbansound: Path, name: str) -> None:
    csv = urbansound / "metadata" / "UrbanSound8K.csv"
    csv.write_text(csv.read_text().replace("bark", name))
    assert UrbanSound8K(**options(urbansound)).classes == [name, "drill", "siren"]


def test_names_of_files_and_classes_may_be_numbers(esc50: Path) -> None:
    csv = esc50 / "meta" / "esc50.csv"
    table = pd.read_csv(csv)
    for row, name in enumerate(table["filename"]):
        (esc50 / "audio" / name).rename(esc50 / "audio" / str(row))
    table.assign(filename=range(len(table)), category=table["target"]).to_csv(csv, index=False)
    data: Any = ESC50(**options(esc50))
    assert data.classes == ["0", "3", "7", "41"]
    assert len(data.split("test")) == 4


def test_missing_file_is_an_error_or_a_logged_skip(urbansound: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = urbansound / "audio" / "fold1" / "1-0-0-0.wav"
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{gone} .*1 of 30 files.*on_bad_file=skip"):
        UrbanSound8K(**options(urbansound))
    data: Any = UrbanSound8K(**options(urbansound, on_bad_file="skip"))
    assert f"skipped 1 of 30 files:\n  {gone}" in caplog.text
    assert [label for _, label in data.split("test")] == [2, 1]


def test_bad_files_are_left_out_counted_and_logged(urbansound: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = [urbansound / "audio" / "fold2" / "3-2-0-0.wav", urbansound / "audio" / "fold5" / "13-0-0-0.wav"]
    for path in bad:
        path.write_bytes(b"no audio")
    with caplog.at_level(logging.WARNING):
        data: Any = UrbanSound8K(**options(urbansound, on_bad_file="skip"))
        splits: Any = {stage: data.split(stage) for stage in STAGES}
    assert "skipped 2 of 30 files" in caplog.text
    assert all(str(path) in caplog.text for path in bad)
    assert {stage: len(split) for stage, split in splits.items()} == {"train": 23, "val": 2, "test": 3}
    for stage, split in splits.items():  # the clips after a skipped one still have their own sound
        for (x, _), file in zip(split, data.files(stage), strict=True):
            assert float(x.mean()) == int(file.name.split("-")[0]) / 64


def test_split_without_a_usable_clip(urbansound: Path) -> None:
    for path in (urbansound / "audio" / "fold1").iterdir():
        path.unlink()
    data: Any = UrbanSound8K(**options(urbansound, on_bad_file="skip"))
    assert len(data.split("val")) == 3
    with pytest.raises(ValueError, match=r"no usable clip in fold \[1\] \(test\)"):
        data.split("test")


@pytest.mark.parametrize("name", ["urbansound8k", "esc50", "esc10"])
def test_config_gives_the_set(request: pytest.FixtureRequest, name: str) -> None:
    root = request.getfixturevalue("urbansound" if name == "urbansound8k" else "esc50")
    config = composed(f"data={name}", f"data.root={root}", "data.test_fold=3", "data.on_bad_file=skip").data
    assert {"root", "test_fold", "val_fold", *signature(AudioSet).parameters} - {"recordings", "classes"} <= set(config)
    data = instantiate(config)
    assert data.folds["test"] == [3]
    assert len(data.classes) == {"urbansound8k": 3, "esc50": 4, "esc10": 2}[name]
