"""What tests of pictures share."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full in the middle of a picture; ``monkeypatch.undo`` makes room."""

    def savefig(figure: Figure, file: Path, **options: Any) -> None:
        file.write_bytes(b"half a pic")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", savefig)
