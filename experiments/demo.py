"""Opens a page that compares a network with its plain twin: `python -m experiments.demo --help`."""

from experiments.answers import CONF, answer

if __name__ == "__main__":
    answer("demo")  # help and mistyped keys, before the imports that take seconds

from typing import Any

import hydra
from omegaconf import DictConfig

from experiments.errors import one_line_errors
from experiments.report.demo_page import gradio, page
from experiments.report.demonstration import Demo
from experiments.trust import as_list

# The page loads only what this machine serves, and sends nothing elsewhere.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
CSS = ".gradio-container {max-width: 1500px !important; margin: auto} footer {display: none !important}"


class Sealed:
    """Middleware whose answers forbid the browser to load anything from elsewhere, or to send anything there."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, as defined by ASGI."""

        async def sealed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, sealed)


def launch(demo: Demo, port: int | None, browser: bool, wait: bool = True) -> Any:
    """Serve the page on this machine only, until it is interrupted.

    Args:
        demo: Contents of the page.
        port: Port of the page. ``None``: a free one.
        browser: Whether to open the page.
        wait: Whether to wait for the interruption; if not, return at once.

    Returns:
        The page; its ``local_url`` is its address.

    Raises:
        ImportError: Gradio is missing.
        OSError: The port is taken.
    """
    blocks = page(demo)
    gr = gradio()
    from starlette.middleware import Middleware  # comes with Gradio

    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    blocks.launch(
        server_name="127.0.0.1",
        server_port=port,
        inbrowser=browser,
        share=False,
        prevent_thread_lock=not wait,
        app_kwargs={"middleware": [Middleware(Sealed)]},
        theme=theme,
        css=CSS,
        footer_links=[],
        ssr_mode=False,
    )
    return blocks


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="demo")
def main(cfg: DictConfig) -> None:
    """Run the command."""
    with one_line_errors():
        launch(Demo.load(cfg.ckpt, cfg.twin, as_list(cfg.trust)), cfg.port, cfg.browser)


if __name__ == "__main__":
    main()
