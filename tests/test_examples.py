"""The notebooks run, with their exact numbers as they are kept and their pictures; so do the scripts."""

import gzip
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from torch import nn

from docs import orientations
from examples import any_network, canonical_frames, own_loop, released_network, segmentation_models
from examples.dense import detector
from wavenets import Grid, Levels
from wavenets.kernels import BSpline
from wavenets.testing import assert_equivariant, map_error

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def all_printed(notebook: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in outputs(notebook) if output.get("name") == "stdout")


def pictures(notebook: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebook(file: Path) -> None:
    kept, fresh = (nbformat.read(file, as_version=4) for _ in range(2))
    NotebookClient(fresh, resources={"metadata": {"path": str(file.parent)}}).execute()
    zeros = [re.findall(r".*: (?:0\.0|\[0\.0(?:, 0\.0)+\])$", text, re.M) for text in map(all_printed, (kept, fresh))]
    assert zeros[0] == zeros[1] and len(zeros[0]) >= 3
    assert pictures(kept) == pictures(fresh) >= 2
    assert all(len(line) <= 88 for cell in kept.cells for line in cell.source.splitlines())  # they fit a page


@pytest.mark.parametrize("make", [segmentation_models.network, lambda: segmentation_models.Unet(2)])
@pytest.mark.parametrize("size", [(64, 96), (32, 32)], ids=str)
def test_a_u_net_of_segmentation_models_is_exact_in_all_poses(make: Callable[[], nn.Module], size: Any) -> None:
    grid, image, unet = Grid(2, rotations=4, mirrored=True), torch.randn(2, 3, *size), make().train()
    for _ in range(3):  # batch norms of their own
        unet(torch.randn(4, 3, 64, 64))
    net = segmentation_models.equivariant_unet(unet, grid)
    for turns, mirror in itertools.product(range(4), (False, True)):
        if turns or mirror:
            assert map_error(net, image, grid, turns=turns, mirror=mirror) == 0
            assert map_error(unet, image, grid, turns=turns, mirror=mirror) > 1e-4


@pytest.mark.parametrize("grid", [Grid(2), Grid(2, base=2**0.5, rotations=4)], ids=str)
def test_the_pyramid_sees_coarser_scales_and_is_exact(grid: Grid) -> None:
    net, image = detector(grid).eval(), torch.randn(1, 3, 97, 130)
    assert_equivariant(net, image, grid)
    if grid.rotations > 1:
        assert_equivariant(net, image, grid, steps=1, turns=1)
    levels = net[:3](image)
    coarser = Levels(*levels[: 2 * grid.rotations], *(0 * level for level in levels[2 * grid.rotations :]), grid=grid)
    assert not torch.equal(net[3](levels)[0], net[3](coarser)[0])


def test_any_network_on_all_views(capsys: pytest.CaptureFixture[str]) -> None:
    any_network.main(width=2, epochs=2, tests=20, images=200)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("[")[1] for line in lines[-3:]] == ["0.0]"] * 3
    accuracies = [line[32:].split() for line in lines[1:4]]
    turns = [row[2:3] + row[5:] for row in accuracies]  # upright, and by 90°, 180°, 270°
    assert len(set(turns[0])) > 1 and len(turns[2]) == 4


@pytest.mark.slow
def test_a_canonicalized_network_reads_all_poses_alike(capsys: pytest.CaptureFixture[str]) -> None:
    rows = canonical_frames.main(width=2, epochs=6, images=800, tests=60)
    assert len(set(rows[0])) > 1 and [len(set(row)) for row in rows[1:]] == [1, 1, 1]
    assert capsys.readouterr().out.splitlines()[2].startswith("canonicalized ")


def test_mnist_is_read_from_its_files(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (5, 28, 28), dtype=torch.uint8)
    for part, some in (("train", images[:3]), ("t10k", images[3:])):
        for kind, array, header in (("images-idx3", some, 16), ("labels-idx1", torch.arange(len(some)).byte(), 8)):
            packed = gzip.compress(bytes(header) + array.numpy().tobytes())
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(packed)
    x, y = canonical_frames.digits(tmp_path)
    assert x.shape == (5, 1, 32, 32) and y.tolist() == [0, 1, 2, 0, 1]
    expected = F.interpolate(images[:, None] / 127.5 - 1, size=32, mode="bicubic")
    torch.testing.assert_close(x, expected)


def test_a_released_network_is_scored_within_the_field_of_view(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that takes what is bright for vessels, and vessels that are bright: 100 % as it is, less resized."""
    code, folder = tmp_path / "models", tmp_path / "DRIVE"
    code.mkdir()
    (code / "get_model.py").write_text(
        "import torch\n\n"
        "class Bright(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.threshold = torch.nn.Parameter(torch.zeros(()))\n"
        "    def forward(self, x):\n"
        "        assert x.shape[2] % 8 == x.shape[3] % 8 == 0\n"
        "        return 20 * (x[:, :1] - self.threshold)\n\n"
        "def get_arch(name):\n"
        "    return Bright()\n"
    )
    torch.save({"model_state_dict": {"threshold": torch.tensor(0.5)}}, code / "model_checkpoint.pth")
    vessels, view = np.zeros((2, 70, 61), bool)
    vessels[:, 20] = True
    view[5:60, 4:50] = True
    for name, array in (("image", vessels), ("mask", vessels & view), ("fov", view)):
        folder.mkdir(exist_ok=True)
        Image.fromarray((255 * array).astype(np.uint8)).convert("RGB").save(folder / f"{name}.png")
    (folder / "metadata.csv").write_text(
        "file,mask,fov,split\nimage.png,mask.png,fov.png,test\nno.png,no.png,no.png,train\n"
    )
    released_network.main(tmp_path, folder)
    lines = capsys.readouterr().out.splitlines()
    scores = {line[:36].strip(): float(line[36:]) for line in lines[1:]}
    assert lines[0] == "DRIVE" and len(scores) == 12
    assert scores["as it is"] == scores["8 poses, mean"] == 100
    assert scores["5 scales, mean"] < 100


def test_the_loop_of_ones_own_learns_sizes_that_it_has_not_seen() -> None:
    plain, shared = own_loop.main(1, epochs=3), own_loop.main(5, epochs=3)
    assert plain[1] > 70 and shared[1] > 70
    assert shared[0] > plain[0] + 40


def test_between_quarter_turns_more_orientations_are_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIZE": 73, "MARGIN": 16, "SEEDS": 1}.items():
        monkeypatch.setattr(orientations, name, value)
    smooth = orientations.images()["smooth"][:1]
    plain, four, eight = (orientations.errors(rotations, BSpline(2, 1.5), smooth) for rotations in (1, 4, 8))
    assert four[0] == eight[0] == 0 and plain[0] > 0.3
    assert all(a > 1.2 * b > 3 * c for a, b, c in zip(plain[1:], four[1:], eight[1:], strict=True))
