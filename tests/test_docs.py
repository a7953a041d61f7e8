"""What the documentation shows runs; the site builds without a warning and sends no request to anywhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools

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


def test_the_site_builds_and_is_all_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {page.relative_to(tmp_path).as_posix(): page.read_text() for page in tmp_path.rglob("*.html")}
    assert {"index.html", "guide/idea.html", "api/nn.html", "examples/rescaled_sound.html", "results.html"} <= set(
        pages
    )
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
