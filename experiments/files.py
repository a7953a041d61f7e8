"""Files that are written whole or not at all."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """Provide a file to write beside a path, and move it there when all is written.

    A program that is killed, or a disk that is full, leaves what was there before.

    Args:
        path: The file; a leading ``~`` is the home folder.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with whole(file) as unfinished:
        ...     _ = unfinished.write_text("done", encoding="utf-8")
        >>> file.read_text(), unfinished.exists()
        ('done', False)
    """
    path = Path(path).expanduser()
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        if error.errno and error.filename is None:  # a full disk does not say which file
            error.filename = str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(file: Path | str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with whole(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(file: Path | str, values: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all. NaN and infinite numbers, which JSON does not have, are null."""
    write_text(file, json.dumps(finite(values), indent=2, allow_nan=False) + "\n")


def finite(values: Any) -> Any:
    """Return values for JSON, with ``None`` in place of NaN and infinite numbers.

    Example:
        >>> finite({"a": [0.5, float("nan")]})
        {'a': [0.5, None]}
    """
    if isinstance(values, Mapping):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [finite(value) for value in values]
    return None if isinstance(values, float) and not isfinite(values) else values
