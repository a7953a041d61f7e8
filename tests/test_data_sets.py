import logging
from itertools import product
from pathlib import Path

import hydra
import numpy as np
import pandas as pd
import pytest
import soundfile
from hydra.utils import instantiate

from experiments.data import ESC50, UrbanSound8K, split_folds

CONF = Path(__file__).parent.parent / "conf"
RATE = 8000


def write_clip(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(16, level / 64), RATE)


@pytest.fixture
def urbansound(tmp_path):
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
def esc50(tmp_path):
    """Five folds of four classes, two of them in ESC-10; an .ogg among the .wav files."""
    root, rows = tmp_path / "ESC-50", []
    kinds = [(41, "chainsaw", True), (3, "cow", False), (0, "dog", True), (7, "hen", False)]
    for fold, (target, name, esc10) in product(range(1, 6), kinds):
        file = f"{fold}-1-A-{target}.{'ogg' if target == 41 else 'wav'}"
        rows.append((file, fold, target, name, esc10, 1, "A"))
        write_clip(root / "audio" / file, target)
    write_csv(root / "meta" / "esc50.csv", rows, "filename,fold,target,category,esc10,src_file,take")
    return root


def write_csv(path, rows, columns):
    path.parent.mkdir(parents=True)
    pd.DataFrame(rows, columns=columns.split(",")).to_csv(path, index=False)


def options(root, **more):
    return {"root": root, "sample_rate": RATE, "duration": 0.002, "cache_dir": root / "cache", "num_workers": 1} | more


@pytest.mark.parametrize("folds", [range(1, 11), range(1, 6), [4, 2, 9]])
def test_splits_are_disjoint_and_cover_every_fold(folds):
    for test_fold, val_fold in product(folds, [None, *folds]):
        if test_fold == val_fold:
            continue
        split = split_folds(folds, test_fold, val_fold)
        assert sorted(split["train"] + split["val"] + split["test"]) == sorted(folds)
        assert split["test"] == [test_fold]
        assert val_fold is None or split["val"] == [val_fold]


@pytest.mark.parametrize("folds", [[0, 1, 2], ["a", "b"]])
def test_without_validation_all_other_folds_are_trained_on(folds):
    for test_fold in folds:  # a fold 0 is another thing than none
        others = [fold for fold in folds if fold != test_fold]
        assert split_folds(folds, test_fold, val_fold=False) == {"train": others, "val": [], "test": [test_fold]}
    assert 0 not in folds or split_folds(folds, 1, val_fold=0)["val"] == [0]


def test_every_fold_is_validated_on_once_over_the_ten_tests():
    assert sorted(split_folds(range(1, 11), test)["val"][0] for test in range(1, 11)) == list(range(1, 11))


@pytest.mark.parametrize("test_fold", range(1, 11))
def test_files_of_the_stages_are_the_folders_of_their_folds(urbansound, test_fold):
    data = UrbanSound8K(**options(urbansound, test_fold=test_fold))
    folders = {stage: {file.parent.name for file in data.files(stage)} for stage in ("train", "val", "test")}
    assert folders["test"] == {f"fold{test_fold}"}
    assert folders["val"] == {f"fold{test_fold % 10 + 1}"}
    assert len(folders["train"]) == 8
    assert not folders["train"] & (folders["val"] | folders["test"])
    assert sum(len(data.split(stage)) for stage in ("train", "val", "test")) == 30


def test_items_are_the_clips_with_their_labels(urbansound):
    data = UrbanSound8K(**options(urbansound, test_fold=4))
    assert data.classes == ["bark", "drill", "siren"]
    assert (data.sample_rate, data.num_samples) == (RATE, 16)
    for stage in ("train", "val", "test"):
        for (x, label), file in zip(data.split(stage), data.files(stage), strict=True):
            level, target = file.name.split("-")[:2]
            assert label == int(target)
            assert x.shape == (1, 16)
            np.testing.assert_array_equal(x[0], int(level) / 64)


def test_esc50_and_its_subset(esc50):
    data = ESC50(**options(esc50))
    assert data.classes == ["dog", "cow", "hen", "chainsaw"]
    assert [file.name for file in data.files("test")] == ["1-1-A-41.ogg", "1-1-A-3.wav", "1-1-A-0.wav", "1-1-A-7.wav"]
    assert [label for _, label in data.split("test")] == [3, 1, 0, 2]
    subset = ESC50(**options(esc50, subset="esc10", test_fold=5))
    assert subset.classes == ["dog", "chainsaw"]
    assert [label for _, label in subset.split("test")] == [1, 0]
    assert [file.name for file in subset.files("val")] == ["1-1-A-41.ogg", "1-1-A-0.wav"]
    assert subset.split("test")[0][0].mean() == pytest.approx(41 / 64, abs=0.1)


@pytest.mark.parametrize(
    ("kind", "looked_for", "home"),
    [(UrbanSound8K, "metadata/UrbanSound8K.csv", "urbansounddataset"), (ESC50, "meta/esc50.csv", "karolpiczak/ESC-50")],
)
def test_wrong_root_says_what_was_looked_for_and_where_it_is(tmp_path, kind, looked_for, home):
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
        ({"duration": 0.0}, "data.duration=0.0 is no number above 0"),
        ({"duration": float("nan")}, "data.duration=nan is no number above 0"),
        ({"duration": float("inf")}, "data.duration=inf is no number above 0"),
        ({"sample_rate": "abc"}, "data.sample_rate=abc is no number above 0"),
        ({"test_fold": None}, "data.test_fold=None is not a fold"),
        ({"num_workers": -1}, "data.num_workers=-1 is less than 0"),
    ],
)
def test_wrong_argument(urbansound, wrong, message):
    with pytest.raises(ValueError, match=message):
        UrbanSound8K(**options(urbansound, **wrong))


def test_unknown_subset(esc50):
    with pytest.raises(ValueError, match="subset=esc11"):
        ESC50(**options(esc50, subset="esc11"))


def test_two_folds_leave_none_to_train_on():
    with pytest.raises(ValueError, match="at least three"):
        split_folds([1, 2], test_fold=1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("classID", "label", "lacks the column classID"),
        (",2,siren", ",,siren", "empty field in line 2"),
        (None, "", "not a readable CSV"),
        (None, "\x00\x81", "lacks the column|not a readable CSV"),
        (None, "slice_file_name,fold,classID,class\n", "no line below its head"),
        (",1,2,siren", ",one,2,siren", "something else than whole numbers in the column fold"),
        (",2,siren", ",two,siren", "something else than whole numbers in the column classID"),
    ],
)
def test_broken_metadata(urbansound, old, new, message):
    csv = urbansound / "metadata" / "UrbanSound8K.csv"
    csv.write_text(new if old is None else csv.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as error:
        UrbanSound8K(**options(urbansound))
    assert str(csv) in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",2,siren", ",2,siren ", "the class 'siren' is written as 'siren ', 'siren'"),
        (",2,siren", ",2,Siren", "the class 'siren' is written as 'Siren', 'siren'"),
        (",2,siren", ",7,siren", "the class siren has the numbers 7, 2"),
        (",2,siren", ",1,siren", "the class siren has the numbers 1, 2"),
        (",2,siren", ",2,bell", "the number 2 has the classes 'bell', 'siren'"),
        ("1-0-0-0.wav,1", "0-2-0-0.wav,1", r"0-2-0-0.wav stands in the metadata more than once \(in fold \[1\]\)"),
    ],
)
def test_metadata_that_contradict_themselves(urbansound, old, new, message):
    csv = urbansound / "metadata" / "UrbanSound8K.csv"
    csv.write_text(csv.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        UrbanSound8K(**options(urbansound))


def test_a_file_in_two_folds_is_not_in_test_and_training(esc50):
    csv = esc50 / "meta" / "esc50.csv"
    csv.write_text(csv.read_text() + "1-1-A-0.wav,4,0,dog,True,1,A\n")
    with pytest.raises(ValueError, match=r"1-1-A-0.wav stands in the metadata more than once \(in fold \[1, 4\]\)"):
        ESC50(**options(esc50))


@pytest.mark.parametrize("name", ["None", "NA", "null", "nan", "7"])
def test_any_name_is_a_class(urbansound, name):
    csv = urbansound / "metadata" / "UrbanSound8K.csv"
    csv.write_text(csv.read_text().replace("bark", name))
    assert UrbanSound8K(**options(urbansound)).classes == [name, "drill", "siren"]


def test_names_of_files_and_classes_may_be_numbers(esc50):
    csv = esc50 / "meta" / "esc50.csv"
    table = pd.read_csv(csv)
    for row, name in enumerate(table["filename"]):
        (esc50 / "audio" / name).rename(esc50 / "audio" / str(row))
    table.assign(filename=range(len(table)), category=table["target"]).to_csv(csv, index=False)
    data = ESC50(**options(esc50))
    assert data.classes == ["0", "3", "7", "41"]
    assert len(data.split("test")) == 4


def test_missing_file_is_an_error_or_a_logged_skip(urbansound, caplog):
    gone = urbansound / "audio" / "fold1" / "1-0-0-0.wav"
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{gone} .*1 of 30 files.*on_bad_file=skip"):
        UrbanSound8K(**options(urbansound))
    data = UrbanSound8K(**options(urbansound, on_bad_file="skip"))
    assert f"skipped 1 of 30 clips:\n  {gone}" in caplog.text
    assert [label for _, label in data.split("test")] == [2, 1]


def test_bad_files_are_left_out_counted_and_logged(urbansound, caplog):
    bad = [urbansound / "audio" / "fold2" / "3-2-0-0.wav", urbansound / "audio" / "fold5" / "13-0-0-0.wav"]
    for path in bad:
        path.write_bytes(b"no audio")
    with caplog.at_level(logging.WARNING):
        data = UrbanSound8K(**options(urbansound, on_bad_file="skip"))
        splits = {stage: data.split(stage) for stage in ("train", "val", "test")}
    assert "skipped 2 of 30 clips" in caplog.text
    assert all(str(path) in caplog.text for path in bad)
    assert {stage: len(split) for stage, split in splits.items()} == {"train": 23, "val": 2, "test": 3}
    for stage, split in splits.items():  # the clips after a skipped one still have their own sound
        for (x, _), file in zip(split, data.files(stage), strict=True):
            assert float(x.mean()) == int(file.name.split("-")[0]) / 64


def test_split_without_a_usable_clip(urbansound):
    for path in (urbansound / "audio" / "fold1").iterdir():
        path.unlink()
    data = UrbanSound8K(**options(urbansound, on_bad_file="skip"))
    assert len(data.split("val")) == 3
    with pytest.raises(ValueError, match=r"no usable clip in fold \[1\] \(test\)"):
        data.split("test")


@pytest.mark.parametrize("name", ["urbansound8k", "esc50", "esc10"])
def test_config_gives_the_set(request, name):
    root = request.getfixturevalue("urbansound" if name == "urbansound8k" else "esc50")
    with hydra.initialize_config_dir(str(CONF), version_base=None):
        overrides = [f"+data={name}", f"data.root={root}", "data.test_fold=3", "data.on_bad_file=skip"]
        config = hydra.compose(overrides=overrides).data
    assert {"root", "test_fold", "val_fold", "sample_rate", "duration", "cache_dir", "on_bad_file"} <= set(config)
    data = instantiate(config)
    assert data.folds["test"] == [3]
    assert len(data.classes) == {"urbansound8k": 3, "esc50": 4, "esc10": 2}[name]
