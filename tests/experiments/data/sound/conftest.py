"""Files of sound, and a record of which are decoded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from experiments.data.sound import cache
from experiments.data.sound.decode import decode
from tests.experiments.data.sound.cached import RATE


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Return seven noises of 40 to 58 samples."""
    paths = [tmp_path / f"{i}.wav" for i in range(7)]
    for i, path in enumerate(paths):
        soundfile.write(path, np.random.default_rng(i).uniform(-1, 1, 40 + 3 * i), RATE)
    return paths


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that have been decoded, in their order; it grows."""
    names: list[str] = []

    def counting(path: Path, *options: Any) -> np.ndarray:
        names.append(path.name)
        return decode(path, *options)

    monkeypatch.setattr(cache, "decode", counting)
    return names
