"""Datasets: each gives its class names and the torch datasets of its train, validation and test splits."""

from experiments.data.audio import AudioFolds, Clips, split_folds
from experiments.data.decode import AudioError, decode, fit
from experiments.data.esc50 import ESC50
from experiments.data.synthetic import Synthetic
from experiments.data.urbansound8k import UrbanSound8K

__all__ = ["ESC50", "AudioError", "AudioFolds", "Clips", "Synthetic", "UrbanSound8K", "decode", "fit", "split_folds"]
