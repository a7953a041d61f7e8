"""What the documentation shows runs; the site builds without a warning and sends no request to anywhere."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import setuptools
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from docs import best_scale, models, released
from docs.scales import SIZES, Scales
from experiments.data.inputs import INSTANCE
from wavenets import Grid
from wavenets.models import CNN, MNet
from wavenets.nn import Canonicalize

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_of_a_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block after the other, each with what the blocks before have made."""
    monkeypatch.chdir(ROOT)
    text, names = page.read_text(), {"__name__": "page"}
    for block in BLOCK.finditer(text):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], page, "exec"), names)


@pytest.mark.slow
def test_the_site_builds_and_is_all_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {page.relative_to(tmp_path).as_posix(): page.read_text() for page in tmp_path.rglob("*.html")}
    assert {"index.html", "guide/idea.html", "api/nn.html", "examples/segmentation.html", "results.html"} <= set(pages)
    assert 'class="doc doc-object-name doc-class-name">LiftingConv1d' in pages["api/nn.html"]
    by_tag = r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(?:https?:)?//"
    by_link = r"<link[^>]*(?:stylesheet|preconnect|preload)[^>]*//"
    loaded = re.compile(rf"{by_tag}|{by_link}|@import url\(")
    assert [name for name, page in pages.items() if loaded.search(page)] == []


def test_the_package_index_gets_no_relative_link(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: given.update(options))
    exec(compile((ROOT / "setup.py").read_text(), ROOT / "setup.py", "exec"), {"__file__": str(ROOT / "setup.py")})
    links = re.findall(r"\]\(([^)]*)\)", given["long_description"])
    assert links and all(link.startswith("https://") for link in links)
    assert "](docs/" in (ROOT / "README.md").read_text()


def test_the_results_in_the_readme_are_those_of_the_page() -> None:
    readme = (ROOT / "README.md").read_text()
    table = [line for line in readme.partition("## Results")[2].splitlines() if line.startswith("|")]
    accuracies = re.findall(r"\d+\.\d", "".join(table))
    assert len(accuracies) >= 10
    assert set(accuracies) <= set(re.findall(r"\d+\.\d", (ROOT / "docs" / "results.md").read_text()))


def test_the_table_of_models_is_up_to_date() -> None:
    lines = (ROOT / "docs" / "models.md").read_text().splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == list(models.NETS)
    chosen = {choice.split()[0].removeprefix("model=") for choice in models.NETS}
    assert chosen == {file.stem for file in (ROOT / "conf" / "model").glob("*.yaml")} - {"timm", "smp"}
    for choice in "model=cnn model.rotations=4", "model=mnet model.base=2 model.form=shared model.num_scales=5":
        (line,) = (line for line in lines if line.startswith(f"| `{choice}` "))
        row = models.row(choice, [])
        assert line.split("|")[:-2] == row.split("|")[:-2]  # without the accuracy


def test_the_scale_of_each_image_can_be_chosen() -> None:
    torch.manual_seed(0)
    found = nn.Conv2d(1, 1, 1)
    nn.init.ones_(found.weight), nn.init.constant_(found.bias, -0.5)  # type: ignore[arg-type]
    net = Canonicalize(found, nn.Identity(), Grid(2, 2), num_scales=3, finer=1).eval()
    images = [(torch.rand(1, 24, 30) ** power).round() for power in (1, 3)]
    nothing = torch.zeros(1, 24, 30)
    examples = [(image, image[0].long() + 2 * INSTANCE) for image in images] + [(nothing, nothing[0].long())]
    scales = Scales(net, examples, {"coarse": lambda views: torch.arange(len(views))[None] / 2})
    at = SIZES.index(1)
    assert scales.dice(1)[at] == 100 and scales.best()[at] == 100  # scale 1 is the image as it is, which is its mask
    assert (scales.scores["coarse"] == [0, 0.5, 1]).all() and scales.scores["coarse"].shape == (3, len(SIZES), 3)
    chosen = np.ones((3, len(SIZES)), int)
    chosen[1] = 2
    with torch.inference_mode():
        coarse = net.answers(net.views(images[1][None]), torch.tensor([2]))[0, 0] > 0
    first, second = (image[0] == 1 for image in images)
    common, both = 2 * first.sum() + 2 * (coarse & second).sum(), 2 * first.sum() + coarse.sum() + second.sum()
    assert scales.dice(chosen)[at] == pytest.approx(float(100 * common / both), rel=1e-6) and common < both


def test_the_table_of_the_best_scales_is_that_of_its_file() -> None:
    table = best_scale.table(json.loads(best_scale.FILE.read_text()))
    assert table in (ROOT / "docs" / "guide" / "canonical.md").read_text()


def test_the_table_of_the_released_network_is_that_of_its_file(tmp_path: Path) -> None:
    results = json.loads(released.FILE.read_text())
    assert released.table(results) in (ROOT / "docs" / "guide" / "canonical.md").read_text()
    released.draw(results, tmp_path / "again.png")
    again, kept = (Image.open(file).size for file in (tmp_path / "again.png", released.FILE.with_suffix(".png")))
    assert again == kept


def test_the_multiply_adds_of_models() -> None:
    net, x = CNN().eval(), torch.zeros(1, 1, 28, 28)
    with FlopCounterMode(display=False) as counter:
        net(x)
    assert models.cost(CNN(), (28, 28)) == counter.get_total_flops() // 2
    plain, shared = MNet(5), MNet(5, form="shared", num_scales=1, base=2)
    assert models.cost(plain, (8192,)) == models.cost(shared, (8192,))
