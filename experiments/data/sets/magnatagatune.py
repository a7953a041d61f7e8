"""MagnaTagATune: 25,863 pieces of music of 29 s, and 188 tags that listeners gave them."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.sound.audio_set import AudioSet, Recordings
from experiments.data.source import Stage
from experiments.data.tables import read_csv

HOME = "https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset"
FOLDERS: dict[Stage, str] = {"train": "0123456789ab", "val": "c", "test": "def"}
STAGES = {folder: stage for stage, folders in FOLDERS.items() for folder in folders}
TAGS = 50  # the most frequent


class MagnaTagATune(AudioSet):
    """MagnaTagATune as it is downloaded: annotations_final.csv, and mp3 files in the folders 0 to 9 and a to f.

    E. Law et al., Evaluation of Algorithms Using Games: The Case of Music Tagging, ISMIR 2009. The usual protocol: the
    50 most frequent tags; the folders 0 to b to train on, c to validate, d to f to test; pieces that have none of the
    tags are left out. A piece is cut into segments, and tested by the mean of their probabilities.

    Args:
        root: Folder of the set, with the unpacked mp3 files.
        **options: See `AudioSet`.

    Raises:
        FileNotFoundError: ``root`` does not hold the set.
        ValueError: The annotations are broken, or an argument is out of range.
    """

    def __init__(self, root: Path | str, **options: Any) -> None:
        root = Path(root).expanduser()
        file = root / "annotations_final.csv"
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} not found: data.root must hold annotations_final.csv and the unpacked folders 0 to f of mp3 "
                f"files; download them from {HOME}"
            )
        table = read_csv(file, ["clip_id", "mp3_path"], HOME, whole=["clip_id"], separator="\t")
        tags = table.drop(columns=["clip_id", "mp3_path"])
        if not tags.isin([0, 1]).all(axis=None):
            raise ValueError(f"{file} has tags that are neither 0 nor 1; download it again from {HOME}")
        classes = tags.sum().sort_values(ascending=False, kind="stable").index[:TAGS].tolist()
        tagged = tags[classes].any(axis=1)
        paths, target = table["mp3_path"][tagged], tags[classes][tagged].to_numpy(np.float32)
        if unknown := [path for path in paths if path[0] not in STAGES]:
            raise ValueError(f"{file} has the path {unknown[0]}, which is in none of the folders 0 to 9 and a to f")
        recordings = Recordings([root / path for path in paths], [STAGES[path[0]] for path in paths], target)
        super().__init__(recordings, classes, **options)
