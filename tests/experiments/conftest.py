"""Data and trained runs that several files of tests share. A test that changes a folder copies it first."""

from pathlib import Path

import pytest

from tests.experiments.runs import run, short, tiny, write_set


@pytest.fixture(autouse=True)
def no_cover() -> None:
    """Leave these tests out of ``--cov``, which counts the library and would make them take half as long again.

    pytest-cov looks for a fixture of this name.
    """


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of thirty short noises, see `write_set`."""
    return write_set(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="session")
def trained(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two epochs of a small ScalogramNet."""
    folder = tmp_path_factory.mktemp("trained")
    run(folder, *tiny(sounds))
    return folder


@pytest.fixture(scope="session")
def trained_m3(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two epochs of an M3."""
    folder = tmp_path_factory.mktemp("trained_m3")
    run(folder, *short(sounds))
    return folder
