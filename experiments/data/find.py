"""The files that a user means by names of files, folders and globs."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


def find_files(names: Iterable[str], wanted: Callable[[Path], bool], kind: str) -> tuple[list[str], Counter[str]]:
    """Return the files that names stand for: files as they are, all wanted files of folders, and matches of globs.

    Names that begin with a dot are left out of folders and globs. Links to folders are followed.

    Args:
        names: Files, folders and globs, in which ``**`` stands for any folders. The name of a file may contain ``[``.
        wanted: Whether a file of a folder is of the right kind.
        kind: What is wanted, for messages, such as ``"audio file"``.

    Returns:
        The files, each once, and how many files of folders were skipped, by suffix. A file that does not exist is among
        the files, so that whoever reads it can report it.

    Raises:
        FileNotFoundError: A folder has no wanted file, or a glob matches nothing.
    """
    found: list[str] = []
    skipped: Counter[str] = Counter()
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            files = list(files_below(path))
            good = [str(file) for file in files if wanted(file)]
            skipped.update(file.suffix or "without suffix" for file in files if not wanted(file))
            if not good:
                raise FileNotFoundError(f"{name} contains no {kind}{_listed(skipped)}")
        elif glob.has_magic(name) and not path.exists():
            good = sorted(match for match in glob.glob(str(path), recursive=True) if Path(match).is_file())
            if not good:
                raise FileNotFoundError(f"no file matches {name}")
        else:
            good = [str(path)]
        found += good
    return list(dict.fromkeys(found)), skipped


def files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield all files in and below a folder by name. Links are followed; names that begin with a dot are left out."""
    above |= {os.path.realpath(folder)}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif os.path.realpath(path) not in above:  # a link to a folder above would lead in a circle
            yield from files_below(path, above)


def skipped_line(skipped: Counter[str]) -> str:
    """Return in one line what was skipped.

    Example:
        >>> skipped_line(Counter({".m4a": 2, ".txt": 1}))
        'skipped 3 files: 2 .m4a, .txt'
    """
    count = skipped.total()
    suffixes = (suffix if number == 1 else f"{number} {suffix}" for suffix, number in sorted(skipped.items()))
    return f"skipped {count} file{'s' * (count > 1)}: {', '.join(suffixes)}"


def _listed(skipped: Counter[str]) -> str:
    return f" ({skipped_line(skipped)})" if skipped else ""
