"""The demonstration in a headless browser: ``make test-browser``."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
import soundfile
from PIL import Image as Picture

from docs.demo import LINE, browser, opened
from experiments.data.inputs import Image, Waveform
from experiments.demo import Demo
from tests.experiments.runs import published, saved
from wavenets.models import CNN, MNet, UNet

pytest.importorskip("gradio", reason="the extra demo is not installed: make test-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason="there is no Chromium: apt-get install chromium"),
]

HERE = {"127.0.0.1", "localhost", "::1"}


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whom this process, which serves the page, calls outside of this machine; it is not let through."""
    asked: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in HERE:
            asked.append(address)
            raise OSError(f"{address} is elsewhere")
        connect(self, address)

    def look_up_here(host: Any, *arguments: Any, **options: Any) -> Any:
        if host not in (HERE | {None}) and not re.fullmatch(r"[\d.]+", str(host)):
            asked.append(host)
            raise OSError(f"{host} is elsewhere")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    return asked


def demo(network: Any, folder: Path, **card: Any) -> Demo:
    return Demo.load(published(network, folder, **card))


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Any]:
    net = CNN(width=8, rotations=4, num_scales=5)
    with opened(demo(net, tmp_path / "net", classes=list("0123456789"), input=Image(1, (28, 28)))) as page:
        yield page


@pytest.fixture
def sounds(tmp_path: Path) -> Iterator[Any]:
    net = MNet(3, 3, normalize=True, form="shared", num_scales=3, base=2)
    card = {"classes": ["dog", "cat", "rain"], "input": Waveform(8000, 16000)}
    with opened(demo(net, tmp_path / "net", **card)) as page:
        yield page


@pytest.fixture
def maps(tmp_path: Path) -> Iterator[Any]:
    net = UNet(1, width=4, depth=3, rotations=4, mirrored=True)
    with opened(Demo.load(saved(net, tmp_path / "run", "segmentation", Image(3), ["ground", "tube"]))) as page:
        yield page


def move(page: Any, name: str, value: float) -> None:
    """Sets a slider by the number beside it."""
    number = page.get_by_label(f"number input for {name}")
    number.fill(str(value))
    number.press("Enter")


def shows(page: Any, *texts: str) -> str:
    """Waits until the line says all this, and gives it."""
    line = page.locator(LINE)
    for text in texts:
        line = line.filter(has_text=text)
    line.wait_for()
    return page.locator(LINE).inner_text()


def pictures(page: Any) -> list[str]:
    """The pictures of features and probabilities, all of which have been painted."""
    plots = page.locator("img[src^='data:image/png']")
    assert all(plots.evaluate_all("images => images.map(image => image.complete && image.naturalWidth > 500)"))
    return plots.evaluate_all("images => images.map(image => image.src)")


def repainted(page: Any, before: list[str]) -> None:
    """Waits until the features are another picture; the line may say so earlier."""
    features = page.locator("img[src^='data:image/png']").first
    playwright.expect(features).not_to_have_attribute("src", before[0], timeout=60_000)


def all_here(page: Any, calls: list[Any]) -> bool:
    hosts = {urlparse(url).hostname for url in page.requests if not url.startswith(("data:", "blob:"))}
    return hosts == {"127.0.0.1"} and calls == []


def test_an_image_is_turned(images: Any, calls: list[Any], tmp_path: Path) -> None:
    said = shows(images, "At size ×1, turned by 90°", "a move of its group")
    assert said.endswith("Ours: 0, to the last bit.") and re.search(r"untrained: \d+ %", said)
    before = pictures(images)
    assert len(before) == 2
    move(images, "angle (°)", 45)
    said = shows(images, "turned by 45°", "not a move of its group")
    assert re.search(r"Ours: \d+ %", said)
    move(images, "angle (°)", 180)
    assert shows(images, "turned by 180°").endswith("Ours: 0, to the last bit.")
    repainted(images, before)

    Picture.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50), np.uint8)).save(tmp_path / "noise.png")
    turned = pictures(images)
    images.get_by_label("Remove Image").click()
    shows(images, "Drop something in.")
    images.locator("input[type=file]").first.set_input_files(tmp_path / "noise.png")
    shows(images, "turned by 180°")
    repainted(images, turned)
    assert all_here(images, calls)


def test_maps_are_turned_mirrored_and_resized(maps: Any, calls: list[Any], tmp_path: Path) -> None:
    said = shows(maps, "At size ×1, turned by 90°", "a move of its group")
    assert said.endswith("Ours: 0, to the last bit.") and re.search(r"untrained: \d+ %, another class at", said)
    before = pictures(maps)
    assert len(before) == 1
    maps.get_by_label("mirrored").check()
    assert shows(maps, "mirrored, turned by 90°").endswith("Ours: 0, to the last bit.")
    repainted(maps, before)
    move(maps, "size", 0.7)
    assert re.search(r"Ours: \d+ %", shows(maps, "At size ×0.7", "not a move of its group"))
    move(maps, "size", 1)
    shows(maps, "At size ×1")
    drawn = pictures(maps)
    maps.locator(".gallery-item").nth(2).click()  # another of the images that are shipped
    repainted(maps, drawn)

    Picture.fromarray(np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)).save(tmp_path / "noise.png")
    chosen = pictures(maps)
    maps.get_by_label("Remove Image").click()
    shows(maps, "Drop something in.")
    maps.locator("input[type=file]").first.set_input_files(tmp_path / "noise.png")
    assert shows(maps, "mirrored, turned by 90°").endswith("Ours: 0, to the last bit.")
    repainted(maps, chosen)
    assert all_here(maps, calls)


def test_a_sound_is_played_faster_and_recorded(sounds: Any, calls: list[Any], tmp_path: Path) -> None:
    said = shows(sounds, "At speed ×2", "a move of its group")
    assert said.endswith("Ours: 0, to the last bit.") and re.search(r"same weights: \d+ %", said)
    move(sounds, "speed", 3)
    assert re.search(r"Ours: \d+ %", shows(sounds, "At speed ×3", "not a move of its group"))
    move(sounds, "speed", 4)
    shows(sounds, "At speed ×4", "Ours: 0, to the last bit.")
    before = pictures(sounds)

    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 20000), 22050)
    sounds.get_by_label("Clear").first.click()
    shows(sounds, "Drop something in.")
    sounds.locator("input[type=file]").first.set_input_files(tmp_path / "noise.wav")
    shows(sounds, "At speed ×4")
    repainted(sounds, before)
    dropped = pictures(sounds)

    sounds.get_by_label("Clear").first.click()
    shows(sounds, "Drop something in.")
    sounds.get_by_label("Record audio").click()
    sounds.get_by_text("Record", exact=True).click()
    sounds.wait_for_timeout(500)  # of the browser's own tone
    sounds.get_by_text("Stop", exact=True).first.click()
    shows(sounds, "At speed ×4")
    repainted(sounds, dropped)
    assert all_here(sounds, calls)


def test_the_browser_itself_refuses_other_hosts(images: Any) -> None:
    fetched = "url => fetch(url).then(() => 'there', error => String(error))"
    assert images.evaluate(fetched, "config") == "there"
    refused = []
    images.on("console", lambda message: refused.append(message.text))
    assert "Failed to fetch" in images.evaluate(fetched, "http://localhost:1/elsewhere")
    assert any("Content Security Policy" in text for text in refused)


def test_what_cannot_be_done_is_said_on_the_page(images: Any) -> None:
    move(images, "size", 0.71)
    assert shows(images, "At size ×0.707").endswith("Ours: 0, to the last bit.")
    move(images, "size", 0.25)
    shows(images, "CNN needs at least 10 pixels a side, got 7 × 7")
