"""CSV files as spreadsheets and programs of many countries write them."""

import csv
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd


def read_csv(
    file: Path,
    columns: Sequence[str],
    home: str = "",
    whole: Sequence[str] = (),
    separator: str = ",",
    texts: bool = False,
) -> pd.DataFrame:
    """Read the CSV file of a set.

    Lines without content are left out; the index of the table is the number of each line in the file, from 1.
    Quotation marks in a ``.tsv`` file are characters like others. A file whose head has semicolons and no comma is
    separated by semicolons, as spreadsheets of many countries write it; its decimal sign is then the comma.

    Args:
        file: The file, in UTF-8, UTF-16 or Windows-1252.
        columns: The columns that are needed.
        home: Where the set is downloaded, for the error messages. Empty: the set is the user's.
        whole: Those of the columns that hold whole numbers.
        separator: What separates the fields.
        texts: If True, all fields are texts, so that 01 is not 1. The attribute ``attrs["decimal"]`` of the table is
            the decimal sign.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a CSV file, lacks a column, or has an empty field or a text in place of a whole number.
    """
    again = f"download it again from {home}" if home else "correct it"
    _check_is_file(file, home)
    text = _text(file)
    head = text.partition("\n")[0]
    if separator == "," and ";" in head and "," not in head:
        separator = ";"
    kind: Any = str if texts else None
    plain, decimal = file.suffix.lower() == ".tsv", "," if separator == ";" else "."
    quoting: Literal[0, 3] = csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL
    try:
        lines = _filled_lines(text, separator, quoting)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of separators at the end of lines
            table = pd.read_csv(
                io.StringIO("".join(lines.values())),
                sep=separator,
                quoting=quoting,
                decimal=decimal,
                index_col=False,
                keep_default_na=False,  # None, NA and nan are names like others
                na_values=[""],
                dtype=kind,
            )
        table.index = pd.Index(list(lines)[1:])
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{file} is not a readable CSV file ({' '.join(str(error).split())}); {again}") from error
    if plain:
        table = table.rename(columns=_unquoted).map(_unquoted)
    table = table.rename(columns=str.strip)
    table.attrs["decimal"] = decimal
    if lacking := [column for column in columns if column not in table]:
        raise ValueError(f"{file} lacks the column {', '.join(lacking)} (it has {', '.join(map(str, table))}); {again}")
    if (empty := table[list(columns)].isna().any(axis=1)).any():
        raise ValueError(f"{file} has an empty field in line {empty.idxmax()}; {again}")
    if table.empty:
        raise ValueError(f"{file} has no line below its header; {again}")
    for column in whole:
        if not pd.api.types.is_integer_dtype(table[column]):
            raise ValueError(f"{file} has values that are not whole numbers in the column {column}; {again}")
    return table


def _check_is_file(file: Path, home: str) -> None:
    if file.is_dir() and not home:
        raise ValueError(f"data.metadata={file} is a folder; write the CSV file in it, or data=folder data.root={file}")
    if not file.is_file():
        unpacked = f"data.root must be the unpacked download, which holds {file.parent.name}/{file.name} and audio/"
        what = f"{unpacked}; download it from {home}" if home else "data.metadata must be a CSV file"
        raise FileNotFoundError(f"{file.absolute()} not found: {what}")


def _text(file: Path) -> str:
    """Return the text of a file."""
    content = file.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _filled_lines(text: str, separator: str, quoting: Literal[0, 3]) -> dict[int, str]:
    """Return the number, from 1, and the text of each line with content, of a file in which each line is a row.

    The rows must not have more fields than the head.

    Raises:
        ValueError: A quotation mark makes several lines one field, a field has no name, two have the same, or it is no
            text.
    """
    if "\0" in text:
        raise ValueError("it is not a text file")
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(lines, delimiter=separator, quoting=quoting)
    width, line, filled = 0, 1, dict[int, str]()
    for fields in reader:
        if reader.line_num > line:
            raise ValueError(
                f"a quotation mark in line {line} begins a field that goes on to line {reader.line_num}: remove it, or "
                "save the list as .tsv"
            )
        width = width or len(fields)
        if line == 1 and (twice := {name for name in map(str.strip, fields) if name and fields.count(name) > 1}):
            raise ValueError(f"it has the column {', '.join(sorted(twice))} twice")
        if any(fields[width:]):
            raise ValueError(f"line {line} has {len(fields)} fields, the header {width}")
        if any(map(str.strip, fields)):
            filled[line] = lines[line - 1]
        line = reader.line_num + 1
    return filled


def _unquoted(value: object) -> object:
    """Return a text without the quotation marks around it."""
    quoted = re.fullmatch(r'"(.*)"', value, re.DOTALL) if isinstance(value, str) else None
    return quoted[1].replace('""', '"') if quoted else value
