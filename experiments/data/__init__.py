"""Datasets: `source` says what one is. Those of images are in `digits`, which needs the extra ``images``."""

from experiments.data.audio import AudioFolds, AudioSet
from experiments.data.clips import Clips
from experiments.data.decode import AudioError, decode, fit
from experiments.data.esc50 import ESC50
from experiments.data.folds import split_folds
from experiments.data.listing import CSV
from experiments.data.magnatagatune import MagnaTagATune
from experiments.data.source import Extras, Fold, Source, Stage
from experiments.data.speech_commands import SpeechCommands
from experiments.data.synthetic import Synthetic
from experiments.data.urbansound8k import UrbanSound8K

__all__ = [
    "CSV",
    "ESC50",
    "AudioError",
    "AudioFolds",
    "AudioSet",
    "Clips",
    "Extras",
    "Fold",
    "MagnaTagATune",
    "Source",
    "SpeechCommands",
    "Stage",
    "Synthetic",
    "UrbanSound8K",
    "decode",
    "fit",
    "split_folds",
]
