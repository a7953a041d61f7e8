"""What a set does about files that are missing or cannot be decoded: raise an error, or skip them."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)


def check_policy(on_bad_file: str) -> None:
    """Raise ``ValueError`` unless ``data.on_bad_file`` is "raise" or "skip"."""
    if on_bad_file not in ("raise", "skip"):
        raise ValueError(f"data.on_bad_file={on_bad_file} is unknown; choose raise or skip")


def missing(paths: Iterable[Path], on_bad_file: str) -> set[Path]:
    """Return the files that are missing. A warning names them if they are skipped.

    Raises:
        FileNotFoundError: A file is missing, and missing files are not skipped.
    """
    files = dict.fromkeys(paths)
    gone = [path for path in files if not path.is_file()]
    if gone and on_bad_file == "raise":
        raise FileNotFoundError(
            f"{gone[0]} is in the metadata but not on disk ({len(gone)} of {len(files)} files are missing); "
            "complete the download, or leave them out with data.on_bad_file=skip"
        )
    warn_skipped([f"{path} is not on disk" for path in gone], len(files))
    return set(gone)


def warn_skipped(problems: Sequence[str], total: int) -> None:
    """Log a warning that names the files that are skipped, if there are any."""
    if problems:
        log.warning("skipped %d of %d files:\n  %s", len(problems), total, "\n  ".join(problems))
