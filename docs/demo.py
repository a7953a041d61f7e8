"""Take demo.png, the demonstration in a headless browser: `python -m docs.demo`, or with another network CKPT [TWIN].

Needs the extra ``demo``, playwright, and a Chromium of the system.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.demo import Demo, launch

BROWSERS = "chromium", "chromium-browser", "google-chrome", "chrome"
PRETRAINED = Path(os.path.relpath(Path(__file__).parents[1] / "pretrained"))  # as people name it
LINE = "#outcome"  # the line of text that comes with the pictures


def browser() -> str | None:
    """Return the path of the system's Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def opened(demo: Demo) -> Iterator[Any]:
    """Serve the page and open it. Yield the page of playwright when it shows the first pictures."""
    from playwright.sync_api import sync_playwright

    blocks = launch(demo, port=None, browser=False, wait=False)
    microphone = "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox", *microphone])
            page = chromium.new_page(viewport={"width": 1400, "height": 800}, device_scale_factor=1.5)
            page.set_default_timeout(60_000)
            page.requests = []
            page.on("request", lambda request: page.requests.append(request.url))
            page.goto(blocks.local_url)
            page.locator(LINE, has_text="Ours").wait_for()
            yield page
            chromium.close()
    finally:
        blocks.close()


def main(ckpt: str | Path = PRETRAINED / "digits_rotated", twin: str | Path | None = None) -> None:
    """Take the picture."""
    if twin is None and Path(ckpt) == PRETRAINED / "digits_rotated":
        twin = PRETRAINED / "digits_rotated_plain"
    with opened(Demo.load(ckpt, twin)) as page:
        page.wait_for_function("[...document.images].every(image => image.complete)")
        page.screenshot(path=Path(__file__).with_name("demo.png"), full_page=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
