"""ESC-50: 2000 five-second recordings of fifty everyday sounds, in five folds; and its subset ESC-10."""

from pathlib import Path
from typing import Any

from experiments.data.sound.audio_set import AudioFolds, Metadata
from experiments.data.tables import read_csv

HOME = "https://github.com/karolpiczak/ESC-50"


class ESC50(AudioFolds):
    """ESC-50 as it is downloaded: meta/esc50.csv and audio/.

    K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM MM 2015.

    Args:
        root: Folder of the set.
        subset: "esc10": the clips of ESC-10, with the labels 0 to 9 in the order of `target`. ``None``: all clips.
        **options: See `AudioFolds`.
    """

    def __init__(self, root: Path | str, subset: str | None = None, **options: Any) -> None:
        if subset not in (None, "esc10"):
            raise ValueError(f"data.subset={subset} is unknown; choose esc10, or null for the whole set")
        self.subset = subset
        super().__init__(root, **options)

    def read(self, root: Path) -> Metadata:
        """Read meta/esc50.csv."""
        columns = ["filename", "fold", "target", "category"] + ["esc10"] * (self.subset == "esc10")
        table = read_csv(root / "meta" / "esc50.csv", columns, HOME, whole=("fold", "target"))
        if self.subset == "esc10":
            table = table[table["esc10"].astype(str) == "True"]
        paths = [root / "audio" / str(name) for name in table["filename"]]
        return Metadata(paths, table["fold"], table["target"], table["category"], table.get("src_file"))
