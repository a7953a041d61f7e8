"""Lists that contradict themselves, and arguments out of range."""

from pathlib import Path
from typing import Any

import pytest
import soundfile

from experiments.data.sets.listing import CSV
from experiments.data.sound.audio_set import AudioSet
from tests.experiments.data.sets.lists import RATE, STAGES, options, ramp, write_listing, write_sounds


def test_numbers_that_are_none(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    for wrong in "tall", "", "nan", "1,5":
        rows = [(name, [1, wrong, 2][n], STAGES[n]) for n, name in enumerate(names)]
        with pytest.raises(
            ValueError, match=r"line 3 of .*metadata.csv has .* in the column value, which is not a number"
        ):
            CSV(write_listing(tmp_path, rows, "file,value,split"), **options(tmp_path))
    (tmp_path / "metadata.csv").write_text(
        "file;value;split\n" + "".join(f"{n};1,5;{s}\n" for n, s in zip(names, STAGES, strict=True))
    )
    assert CSV(tmp_path / "metadata.csv", **options(tmp_path)).split("val")[0][1].tolist() == [1.5]


@pytest.mark.parametrize(
    "group, message",
    [
        ("doctor", r"data.group=doctor is not a column of the list \(file, label, fold\) or a regular expression with"),
        ("(", "is not a column of the list .* or a regular expression"),
        ("(zebra)", r"data.group=\(zebra\) does not match sub folder/0.wav"),
    ],
)
def test_groups_that_are_none(tmp_path: Path, group: str, message: str) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    file = write_listing(tmp_path, [(name, "a", n) for n, name in enumerate(names)], "file,label,fold")
    with pytest.raises(ValueError, match=message):
        CSV(file, **options(tmp_path, group=group))


@pytest.mark.parametrize(
    "patients, message",
    [
        (["P1", " ", "P2"], "line 3 of the list has an empty field in the column patient"),
        (["P1", "P2", ""], "line 4 of the list has an empty field in the column patient"),
        (["P1", "p1", "P2"], "data.group=patient: the groups 'P1' and 'p1' differ in case, blanks or invisible"),
        (["P1", "P\u200b1", "P2"], r"the groups 'P1' and 'P\\u200b1' differ in case"),
    ],
)
def test_groups_that_are_empty_or_look_alike(tmp_path: Path, patients: list[str], message: str) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    rows = [(name, "a", n, patient) for n, (name, patient) in enumerate(zip(names, patients, strict=True))]
    with pytest.raises(ValueError, match=message):
        CSV(write_listing(tmp_path, rows, "file,label,fold,patient"), **options(tmp_path, group="patient"))


def test_groups_in_names_that_look_alike(tmp_path: Path) -> None:
    rows = [(name, "a", n) for n, name in enumerate(["P1_a.wav", "p1_b.wav", "P2_a.wav"])]
    with pytest.raises(ValueError, match="the groups 'P1' and 'p1' differ in case"):
        CSV(write_listing(tmp_path, rows, "file,label,fold"), **options(tmp_path, group="(?i)(P[0-9])_"))


@pytest.mark.parametrize(
    "columns, wrong, message",
    [
        ("file,label,fold", "1.wav,,1", "line 7 of data.metadata has no label"),
        ("file,value,fold", "1.wav,tall,1", "line 7 of .* has 'tall' in the column value"),
        ("file,label,fold", "1.wav,a,", "line 7 of .* has no fold"),
        ("file,label,fold,patient", "1.wav,a,1,", "line 7 of the list has an empty field in the column patient"),
        ("file,label,fold", ",a,1", "empty field in line 7"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_errors_below_blank_lines_name_the_line(
    tmp_path: Path, columns: str, wrong: str, message: str, end: str
) -> None:
    width = len(columns.split(","))
    good = ",".join(["0.wav", "1", "1", "1"][:width])
    lines = [columns, "", good, "," * (width - 1), "  ", "", wrong]
    (tmp_path / "list.csv").write_text(end.join(lines), newline="")
    with pytest.raises(ValueError, match=message):
        CSV(tmp_path / "list.csv", group="patient" if "patient" in columns else None, **options(tmp_path))


@pytest.mark.parametrize(
    "columns, rows, message",
    [
        ("file,fold", [("0.wav", 1)], "columns file, fold; it needs the column label, mask or value, or data.values"),
        ("file,label", [("0.wav", 1)], "data.folds=5 is more than the 1 examples of the largest class"),
        ("file,label,mask", [("0.wav", 1, "0.png")], "the columns label and mask; rename the one that is not to be"),
        ("file,label,fold", [("0.wav", "a", 1), ("1.wav", "A", 2), ("2.wav", "a", 3)], "'A' and 'a' differ in case"),
        ("name,label,fold", [("0.wav", 1, 1)], "lacks the column file"),
        ("file,label,fold", [("0.wav", "a", 1), ("0.wav", "a", 2)], r"0.wav is listed twice \(in 1 and 2\)"),
        ("file,label,fold", [("0.wav", "a", 1), (" ../x/0.wav", "a", 2)], r"x/0.wav are one file, listed twice"),
        ("file,label,fold", [("0.wav", "a", 1), (None, "a", 2)], "empty field in line 3"),
        ("file,label,fold", [("0.wav", "a", 1), ("1.wav", "a", None), ("2.wav", "a", 2)], "line 3 of .* has no fold"),
        ("file,label,fold", [("0.wav", "a", 1), ("1.wav", " ", 2), ("2.wav", "a", 3)], "line 3 of .* has no label"),
        (
            "file,label,fold",
            [("0.wav", "a", 1), ("1.png", "a", 2), ("2.wav", "a", 3)],
            "1.png is an image and .*0.wav is not",
        ),
        ("file,label,fold", [("0.wav", "a", 1), ("1.wav", "a", 2)], "needs at least three"),
        ("file,label,split", [("0.wav", "a", "train"), ("1.wav", "a", "tset")], "has the split 'tset'"),
        ("file,label,split", [("0.wav", "a", "train"), ("1.wav", "a", "val")], "has no test examples in its split"),
        (
            "file,label,fold",
            [("no.wav", "a", 1), ("1.wav", "a", 2), ("2.wav", "a", 3)],
            "no.wav is in the metadata but not",
        ),
        ("file,label,fold", [], "no line below its header; correct it"),
    ],
)
def test_a_broken_listing_is_told_in_one_line(tmp_path: Path, columns: str, rows: Any, message: str) -> None:
    tmp_path /= "x"
    write_sounds(tmp_path, [])
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", ramp(0, 80), RATE)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        CSV(write_listing(tmp_path, rows, columns), **options(tmp_path))
    assert "\n" not in str(error.value)


def test_a_class_is_named_once(tmp_path: Path) -> None:
    rows = [(name, "a", n) for n, name in enumerate(write_sounds(tmp_path, [80] * 3))]
    with pytest.raises(ValueError, match=r"data.classes=\['b', 'a', 'a'\] names a class twice; leave one out"):
        CSV(write_listing(tmp_path, rows, "file,label,fold"), **options(tmp_path, classes=["b", "a", "a"]))


def test_arguments_out_of_range(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    file = write_listing(tmp_path, [(name, "a", i) for i, name in enumerate(names)], "file,label,fold")
    for wrong, message in (
        ({"duration": None}, r"set data.window to cut them"),
        ({"sample_rate": 8000.5}, r"data.sample_rate=8000.5 is not a whole number of Hz"),
        ({"duration": 1, "window": 2}, "data.window=2 s is longer than data.duration=1 s"),
        ({"duration": None, "window": 0.01, "hop": 1e-6}, "less than one sample"),
    ):
        with pytest.raises(ValueError, match=message):
            CSV(file, **options(tmp_path, **wrong))
    data = CSV(file, **options(tmp_path, sample_rate=16e3))
    assert isinstance(data, AudioSet) and len(data.split("test")) == 1 and data.sample_rate == 16_000
    with pytest.raises(FileNotFoundError, match=r"none.csv not found: data.metadata must be a CSV file"):
        CSV(tmp_path / "none.csv")
