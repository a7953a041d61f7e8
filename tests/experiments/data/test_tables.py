"""CSV files as spreadsheets and programs write them."""

from pathlib import Path

import pytest

from experiments.data.tables import read_csv


def write(file: Path, content: str, encoding: str = "utf-8") -> Path:
    file.write_bytes(content.encode(encoding))
    return file


def test_quotation_marks_of_free_text_lose_no_line(tmp_path: Path) -> None:
    lines = [f"{n}.wav\t{'ab'[n % 2]}\t{n % 3}\t{quote}he said {n}" for n, quote in enumerate(['"', "", '"'] * 4)]
    tabs = write(tmp_path / "list.tsv", "\n".join(["file\tlabel\tfold\tsentence", *lines]))
    table = read_csv(tabs, ["file"], separator="\t", texts=True)
    assert table["file"].tolist() == [f"{n}.wav" for n in range(12)] and table["sentence"].iloc[0] == '"he said 0'
    commas = write(tmp_path / "list.csv", tabs.read_text().replace("\t", ","))
    with pytest.raises(
        ValueError, match=r"list.csv .*a quotation mark in line 2 begins a field that goes on to line 4"
    ):
        read_csv(commas, ["file"], texts=True)


def test_fields_of_a_tsv_may_be_quoted(tmp_path: Path) -> None:
    file = write(tmp_path / "list.tsv", '"file"\t"label"\n"a ""b"".wav"\tdog\n')
    assert read_csv(file, ["file"], separator="\t", texts=True).to_numpy().tolist() == [['a "b".wav', "dog"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_spreadsheets(tmp_path: Path, encoding: str, separator: str, end: str) -> None:
    rows = [["file", "label", "fold"], ["größe.wav", "Möwe", "1"], ["b.wav", "Hund", "2"]]
    file = write(tmp_path / "list.csv", end.join(separator.join(row) for row in rows) + end, encoding)
    table = read_csv(file, ["file", "label", "fold"], texts=True)
    assert [list(table), *table.to_numpy().tolist()] == rows
    assert table.attrs["decimal"] == {",": ".", ";": ","}[separator]
    assert read_csv(file, ["file"], whole=["fold"])["fold"].tolist() == [1, 2]


def test_a_separator_at_the_end_of_lines(tmp_path: Path) -> None:
    for lines in (
        ["file,label,fold", "a.wav,dog,1,", "b.wav,cat,2,"],
        ["file,label,fold,", "a.wav,dog,1,", "b.wav,cat,2,"],
    ):
        table = read_csv(write(tmp_path / "list.csv", "\n".join(lines)), ["file", "label", "fold"], texts=True)
        assert table[["file", "label", "fold"]].to_numpy().tolist() == [["a.wav", "dog", "1"], ["b.wav", "cat", "2"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_without_content_are_left_out_and_counted(tmp_path: Path, end: str) -> None:
    lines = ["file,label,fold", "", "0,dog,1", ",,", '"1, a",cat,2', "   ", " , ,", "", "2,dog,3", ",,", ",,,,", ""]
    file = write(tmp_path / "list.csv", end.join(lines))
    table = read_csv(file, ["file", "label", "fold"], whole=["fold"])
    assert list(table.itertuples(name=None)) == [(3, "0", "dog", 1), (5, "1, a", "cat", 2), (9, "2", "dog", 3)]
    assert read_csv(file, ["file"], texts=True).index.tolist() == [3, 5, 9]


@pytest.mark.parametrize(
    "content, message",
    [
        ("file,label\na.wav,dog, barking\n", "line 2 has 3 fields, the header 2"),
        ("file,label\na.wav,dog\nb.wav,dog,x\n", "line 3 has 3 fields, the header 2"),
        ('file,label\na.wav,"dog\nb.wav,dog\n', "a quotation mark in line 2 begins a field that goes on to line 3"),
        ("", "not a readable CSV file"),
        ("file,label,label\na.wav,dog,cat\n", "has the column label twice"),
        ("file,label\na\0.wav,dog\n", "is not a text file"),
        ("name,label\na.wav,dog\n", r"lacks the column file \(it has name, label\)"),
    ],
)
def test_a_broken_list_is_one_line_that_names_it(tmp_path: Path, content: str, message: str) -> None:
    file = write(tmp_path / "list.csv", content)
    with pytest.raises(ValueError, match=message) as error:
        read_csv(file, ["file"], texts=True)
    assert "\n" not in str(error.value) and str(file) in str(error.value)


def test_a_folder_is_not_a_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a folder; write the CSV file in it, or data=folder"):
        read_csv(tmp_path, ["file"])
