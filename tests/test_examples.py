"""The notebooks run; their exact numbers come out as they are kept, and their pictures are there."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.get("outputs", []) if output.get("name") == "stdout")


def pictures(notebook: NotebookNode) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebook(file: Path) -> None:
    kept, fresh = (nbformat.read(file, as_version=4) for _ in range(2))
    NotebookClient(fresh, resources={"metadata": {"path": str(file.parent)}}).execute()
    exact = [(printed(a), printed(b)) for a, b in zip(kept.cells, fresh.cells, strict=True) if "base 2:" in printed(a)]
    assert len(exact) == 1
    assert exact[0][0] == exact[0][1] and exact[0][0].count("[0.0, 0.0, 0.0, 0.0]") == 3
    assert pictures(kept) == pictures(fresh) == 2
