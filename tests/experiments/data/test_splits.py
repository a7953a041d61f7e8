"""Splits: folds that are drawn, and what a listing may contain."""

import logging
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from experiments.data.source import Source, Stage
from experiments.data.splits import check_files, check_groups, check_names, log_counts, split_folds, stratified_folds


@pytest.mark.parametrize("folds", [range(1, 11), range(1, 6), [4, 2, 9]])
def test_splits_are_disjoint_and_cover_every_fold(folds: Any) -> None:
    for test_fold, val_fold in product(folds, [None, *folds]):
        if test_fold == val_fold:
            continue
        split = split_folds(folds, test_fold, val_fold)
        assert sorted(split["train"] + split["val"] + split["test"]) == sorted(folds)
        assert split["test"] == [test_fold]
        assert val_fold is None or split["val"] == [val_fold]


@pytest.mark.parametrize("folds", [[0, 1, 2], ["a", "b"]])
def test_without_validation_all_other_folds_are_trained_on(folds: Any) -> None:
    for test_fold in folds:  # a fold 0 is another thing than none
        others = [fold for fold in folds if fold != test_fold]
        assert split_folds(folds, test_fold, val_fold=False) == {"train": others, "val": [], "test": [test_fold]}
    assert 0 not in folds or split_folds(folds, 1, val_fold=0)["val"] == [0]


def test_every_fold_is_validated_on_once_over_the_ten_tests() -> None:
    assert sorted(split_folds(range(1, 11), test)["val"][0] for test in range(1, 11)) == list(range(1, 11))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_drawn_folds_have_the_same_share_of_each_class(count: int) -> None:
    classes = ["a"] * 41 + ["b"] * 17 + ["c"] * 9
    folds = stratified_folds(classes, count=count, seed=3)
    assert sorted(set(folds)) == list(range(1, count + 1))
    for name in "abc":
        sizes = Counter(fold for fold, of in zip(folds, classes, strict=True) if of == name)
        assert max(sizes.values()) - min(sizes.values()) <= 1 and len(sizes) == count
    assert folds == stratified_folds(classes, count=count, seed=3) != stratified_folds(classes, count=count, seed=4)


def test_a_group_is_in_one_fold_and_the_shares_are_kept() -> None:
    rng = np.random.default_rng(0)
    groups = [f"patient {number}" for number in rng.integers(0, 60, 600)]
    classes = [int(group.split()[1]) % 3 == 0 for group in groups]  # a class depends on the patient
    folds = np.array(stratified_folds(classes, groups, 5, seed=1))
    assert all(len(set(folds[np.array(groups) == group])) == 1 for group in set(groups))
    shares = [np.array(classes)[folds == fold].mean() for fold in range(1, 6)]
    assert np.ptp(shares) < 0.1 and np.ptp(np.bincount(folds)[1:]) < 60


def test_without_classes_folds_are_of_one_size() -> None:
    folds = stratified_folds([0] * 23, count=5)
    assert sorted(Counter(folds).values()) == [4, 4, 5, 5, 5]
    assert folds != sorted(folds)


def test_a_rare_class_is_in_some_folds(recwarn: pytest.WarningsRecorder) -> None:
    folds = stratified_folds(["a"] * 20 + ["b"] * 2, count=5)
    assert len(set(folds[20:])) == 2 and not recwarn.list


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((["a", "b", "a"], None, 3), "data.folds=3 is more than the 2 examples of the largest class"),
        (([0] * 9, ["p", "q"] * 4 + ["p"], 3), "data.folds=3 is more than the 2 groups of data.group"),
        (([0] * 9, None, 1), "data.folds=1 is not a whole number of at least 2"),
        (([0] * 9, None, 2.5), "data.folds=2.5 is not a whole number"),
    ],
)
def test_too_few_examples_for_the_folds(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stratified_folds(*arguments)


@pytest.mark.parametrize("folds", [[1], [1, 2], ["a"]])
def test_too_few_folds(folds: list[Any]) -> None:
    with pytest.raises(ValueError, match="leaves none to train on; it needs at least three"):
        split_folds(folds, folds[0])


@pytest.mark.parametrize(
    "other",
    ["Dog", "DOG", " dog", "dog ", "d\u200bog", "dog\ufeff", "do\u00adg", "hot  air", "hot\u00a0air"],
    ids=lambda name: ascii(name),
)
def test_classes_that_look_alike(other: str) -> None:
    with pytest.raises(ValueError, match="differ in case, blanks or invisible characters only"):
        check_names(["hot air", "dog", other])


def test_accents_are_compared_as_they_look() -> None:
    with pytest.raises(ValueError, match=r"'caf\\xe9' and 'cafe\\u0301'"):
        check_names(["caf\u00e9", "cafe\u0301"])
    check_names(["café", "cafe", "caffè", "café", "1", "01"])


def test_a_file_under_two_names_is_listed_twice(tmp_path: Path) -> None:
    (tmp_path / "0.wav").touch()
    (tmp_path / "link.wav").symlink_to("0.wav")
    (tmp_path / "hard.wav").hardlink_to(tmp_path / "0.wav")
    (tmp_path / "sub").mkdir()
    for other in "link.wav", "hard.wav", "./0.wav", "sub/../0.wav":
        with pytest.raises(ValueError, match=r"0.wav.* listed twice \(in train and test\)"):
            check_files([tmp_path / "0.wav", f"{tmp_path}/{other}"], ["train", "test"])
    check_files([tmp_path / "0.wav", tmp_path / "1.wav"])


def test_a_group_in_two_stages() -> None:
    check_groups(["p", "p", "q"], ["train", "train", "test"])
    with pytest.raises(ValueError, match="the group p is in train and in test"):
        check_groups(["p", "q", "p"], ["train", "train", "test"])


class Labelled(Dataset[Any]):
    def __init__(self, labels: Any) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)


class Set(Source):
    def __init__(self, classes: list[str], **labels: Any) -> None:
        self.classes, self.of = classes, labels

    def split(self, stage: Stage) -> Any:
        return self.of[stage]


def test_counts_are_logged_and_a_class_that_cannot_be_learned(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stages = {"train": [0, 0, 1], "val": [1], "test": [2, 2]}
    source = Set(["a", "b", "rare"], **{stage: Labelled(np.array(some)) for stage, some in stages.items()})
    log_counts(source)
    assert caplog.messages == [
        "train: 3 examples (a 2, b 1, rare 0)",
        "no training example has the class rare, which cannot be learned",
        "val: 1 examples (a 0, b 1, rare 0)",
        "test: 2 examples (a 0, b 0, rare 2)",
    ]


def test_counts_of_several_labels_and_of_numbers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hot = np.array([[1, 1, 0], [0, 1, 0]], np.float32)
    log_counts(Set(["a", "b", "c"], train=Labelled(hot)), ["train"])
    log_counts(Set(["age"], train=Labelled(np.array([[1.5], [2.5]]))), ["train"])
    log_counts(Set(["a"], train=TensorDataset(torch.zeros(4))), ["train"])
    log_counts(Set([str(n) for n in range(30)], train=Labelled(np.repeat(np.arange(30), 2))), ["train"])
    assert [record.message for record in caplog.records if record.levelno == logging.INFO] == [
        "train: 2 examples (a 1, b 2, c 0)",
        "train: 2 examples",
        "train: 4 examples",
        "train: 60 examples (30 classes of 2 to 2)",
    ]
    assert "no training example has the class c," in caplog.text


def test_a_stage_without_folds_is_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = Set(["a"], train=Labelled(np.zeros(3, int)), test=Labelled(np.zeros(2, int)))
    source.folds = {"train": [1, 2], "val": [], "test": [3]}
    log_counts(source)
    assert caplog.messages == ["train: 3 examples (a 3)", "test: 2 examples (a 2)"]
