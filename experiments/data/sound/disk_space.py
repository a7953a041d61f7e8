"""The disk space that a cache takes, checked before the cache is filled."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import soundfile
from rich.filesize import decimal

from experiments.data.sound.containers import UNKNOWN

log = logging.getLogger(__name__)


def check_room(
    folder: Path, paths: Sequence[Path], sample_rate: int, num_samples: int, whole: bool, present: int = 0
) -> None:
    """Log how much disk space the clips of some files will take, and check that there is enough.

    Args:
        folder: Folder of the clips.
        paths: The files.
        sample_rate: Rate of the clips, in Hz.
        num_samples: Length of the clips, in samples.
        whole: Whether a longer clip stays as long as it is.
        present: Size of what is there already, in bytes.

    Raises:
        OSError: There is not enough room.
    """
    samples = sum(_samples(path, sample_rate, num_samples) for path in paths) if whole else len(paths) * num_samples
    needed, free = 2 * samples - present, shutil.disk_usage(folder).free
    log.info("the cache of %d clips in %s takes %s; %s are free", len(paths), folder, decimal(needed), decimal(free))
    if needed > free:
        raise OSError(
            f"the cache of {len(paths)} clips in {folder} takes {decimal(needed)}, and {decimal(free)} are free; make "
            "room, choose another place (data.cache_dir) or a lower rate (data.sample_rate)"
        )


def _samples(path: Path, sample_rate: int, num_samples: int) -> int:
    try:
        info = soundfile.info(path)
    except (OSError, RuntimeError):  # decoding reports what is wrong with it
        return 0
    return num_samples if info.frames > UNKNOWN else max(num_samples, round(info.duration * sample_rate))
