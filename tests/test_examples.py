"""The notebooks run, with their exact numbers as they are kept and their pictures; so do the scripts."""

from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbformat import NotebookNode

from docs import orientations
from examples.any_network import main
from examples.dense import UNet
from wavenets.kernels import BSpline
from wavenets.models import ResNet

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


@pytest.mark.parametrize("rotations", [4, 8])
@pytest.mark.parametrize("size", [(45, 62), (40, 40)])
def test_the_map_of_a_u_net_turns_with_the_image(size: tuple[int, int], rotations: int) -> None:
    net, image = UNet(3, 2, width=4, rotations=rotations).eval(), torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = net(image)
        assert expected.shape == (2, 2, *size)
        for turns in (1, 2, 3):
            assert torch.equal(net(image.rot90(turns, (2, 3))), expected.rot90(turns, (2, 3)))


def test_any_network_on_all_views(capsys: pytest.CaptureFixture[str]) -> None:
    main(ResNet(num_classes=5, width=8), torch.randn(1, 3, 70, 90))
    assert capsys.readouterr().out.count("relative errors [0.0]") == 3


def test_between_quarter_turns_more_orientations_are_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIZE": 73, "MARGIN": 16, "SEEDS": 1}.items():
        monkeypatch.setattr(orientations, name, value)
    smooth = orientations.images()["smooth"][:1]
    plain, four, eight = (orientations.errors(rotations, BSpline(2, 1.5), smooth) for rotations in (1, 4, 8))
    assert four[0] == eight[0] == 0 and plain[0] > 0.3
    assert all(a > 1.2 * b > 3 * c for a, b, c in zip(plain[1:], four[1:], eight[1:], strict=True))
