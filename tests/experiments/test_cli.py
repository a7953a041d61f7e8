"""The console script, in a project that has an ``experiments`` and a ``conf`` of its own."""

import subprocess
import sys
from pathlib import Path

import pytest


def wavenets(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a folder, as an installed one runs: without the folder on the path."""
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path[0] = {root!r}; from experiments.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with packages of the same names."""
    for name in "experiments", "conf":
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('this is the project, not the package')")
    return tmp_path


def test_it_lists_its_commands(project: Path) -> None:
    result = wavenets(project, "--help")
    assert result.returncode == 0
    assert {line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")} == {
        *("train", "evaluate", "predict", "study", "export", "demo"),
    }


def test_a_command_runs_beside_a_project_of_the_same_names(project: Path) -> None:
    result = wavenets(project, "export", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Export a trained network")


def test_an_unknown_command_is_one_line(project: Path) -> None:
    result = wavenets(project, "trian")
    assert result.returncode == 1
    assert result.stderr == "error: there is no command trian; choose one of " + (
        "train, evaluate, predict, study, export, demo\n"
    )
