"""UrbanSound8K: 8732 recordings of ten kinds of city noise, in ten folds."""

from pathlib import Path

from experiments.data.sound.audio_set import AudioFolds, Metadata
from experiments.data.tables import read_csv


class UrbanSound8K(AudioFolds):
    """UrbanSound8K as it is downloaded: metadata/UrbanSound8K.csv and audio/fold1 … fold10. Arguments: `AudioFolds`.

    J. Salamon, C. Jacoby, J. P. Bello, A Dataset and Taxonomy for Urban Sound Research, ACM MM 2014.
    """

    def read(self, root: Path) -> Metadata:
        """Read metadata/UrbanSound8K.csv."""
        table = read_csv(
            root / "metadata" / "UrbanSound8K.csv",
            columns=("slice_file_name", "fold", "classID", "class"),
            home="https://urbansounddataset.weebly.com/urbansound8k.html",
            whole=("fold", "classID"),
        )
        files = zip(table["fold"], table["slice_file_name"], strict=True)
        paths = [root / "audio" / f"fold{fold}" / str(name) for fold, name in files]
        return Metadata(paths, table["fold"], table["classID"], table["class"], table.get("fsID"))
