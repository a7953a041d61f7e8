"""Opens a page to touch what a network does with what is moved: `python -m experiments.demo --help`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig
from torch import Tensor

from experiments.data import dropped
from experiments.data.decode import to_int16
from experiments.errors import one_line_errors
from experiments.report import comparison_plots as plots
from experiments.report.comparison import Comparison, Pair, grid_of
from experiments.run import Card, find_checkpoint, load_network
from experiments.trust import as_list
from wavenets.models import Network

# Nothing but what this machine serves is to be loaded into the page, and it sends nothing elsewhere.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
CSS = ".gradio-container {max-width: 1500px !important; margin: auto} footer {display: none !important}"


@dataclass(frozen=True)
class Demo:
    """What the page shows, without the page.

    Attributes:
        pair: The network and its twin.
        card: The card of the network's checkpoint.
    """

    pair: Pair
    card: Card

    @classmethod
    def load(cls, ckpt: Path | str, twin: Path | str | None = None, trust: list[str] | None = None) -> "Demo":
        """Makes the networks.

        Raises:
            FileNotFoundError: There is no such checkpoint.
            ValueError: One is no good, or they do not go together.
        """
        network, card = load_network(find_checkpoint(ckpt), trust or [])
        task = card.task(trust or [])
        if twin is None:
            return cls(Pair(network, task), card)
        plain, its = load_network(find_checkpoint(twin), trust or [])
        if not isinstance(plain, Network) or grid_of(plain) is not None:
            raise ValueError(
                f"twin={twin} is a {type(plain).__name__}, where a plain network of wavenets.models should be"
            )
        if (its.classes, its.sample_rate) != (card.classes, card.sample_rate):
            raise ValueError(f"twin={twin} was trained on other classes, or at another rate, than ckpt={ckpt}")
        return cls(Pair(network, task, plain), card)

    @property
    def rate(self) -> int | None:
        """Of sounds, in Hz; None: the network takes images."""
        return self.card.sample_rate

    def input(self, given: Any) -> Tensor:
        """Makes an input of a file of sound, or of an image (H, W, 3)."""
        data, network = self.card.config["data"], self.pair.network
        if self.rate:
            return dropped.sound(given, self.rate, self.card.num_samples or 5 * self.rate, data.get("trim"))
        size = data.get("size")
        return dropped.image(given, network.in_channels, (size, size) if isinstance(size, int) else size)

    def compare(self, given: Any, factor: float, degrees: float = 0.0) -> Comparison:
        """Runs both networks: a sound is played at this speed, an image has this size and is turned by this angle."""
        return self.pair.compare(self.input(given), factor if self.rate else 1 / factor, degrees)

    def show(self, given: Any, factor: float, degrees: float = 0.0) -> tuple[Any, ...]:
        """Gives what the page shows: a line of text, both pictures, and of a sound, the sound that was moved."""
        comparison = self.compare(given, factor, degrees)
        pictures = plots.features(comparison, self.rate), plots.probabilities(comparison, self.card.classes)
        heard = [(self.rate, to_int16(comparison.moved.mean(0).clamp(-1, 1).numpy()))] if self.rate else []
        return self.told(comparison), *pictures, *heard

    def told(self, comparison: Comparison) -> str:
        """Says in a line what was done, and how far that moved the features."""
        what = comparison.move.told(1 if self.rate else 2)
        where = "a move of its group" if comparison.exact else "no move of its group, so what is close is not equal"
        plain, ours = (
            plots.told(max(level.error for level in side.levels)) for side in (comparison.plain, comparison.ours)
        )
        twin = comparison.plain.name
        return f"**{what[0].upper()}{what[1:]}**: {where}. {twin.capitalize()}: **{plain}**. Ours: **{ours}**."


def page(demo: Demo) -> Any:
    """Makes the page, of Gradio's.

    Raises:
        ImportError: Gradio is missing.
    """
    gr = gradio()
    with gr.Blocks(title="wavenets", analytics_enabled=False) as blocks:
        gr.Markdown(
            "# The same features, somewhere else\n"
            "Move a signal, and the features of an equivariant network move with it, from level to level, to the last "
            "bit. Those of a plain network turn into something else."
        )
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                inputs = list(_inputs(gr, demo))
                heard = [gr.Audio(label="the sound, moved", interactive=False, buttons=[])] if demo.rate else []
            with gr.Column(scale=5, min_width=640):
                outcome = [
                    gr.Markdown(elem_id="outcome"),
                    *(gr.Plot(show_label=False, format="png") for _ in range(2)),
                    *heard,
                ]

        def show(given: Any, *sliders: float) -> tuple[Any, ...]:
            try:
                if given is not None:
                    return demo.show(given, *sliders)
                line = "Drop something in."
            except (OSError, ValueError) as error:
                line = f"**{error}**"
            return line, *[None] * (len(outcome) - 1)

        events = [inputs[0].change, *(slider.change for slider in inputs[1:]), blocks.load]
        gr.on(events, show, inputs, outcome, trigger_mode="always_last", show_progress="minimal")
    return blocks


def _inputs(gr: Any, demo: Demo) -> Any:
    """What is dropped in, and the sliders."""
    if demo.rate:
        given = demo.rate, to_int16(dropped.example_sound(demo.rate, demo.card.num_samples or 5 * demo.rate))
        yield gr.Audio(given, type="filepath", sources=["upload", "microphone"], label="a sound", buttons=[])
        yield gr.Slider(0.5, 4, 2, step=0.01, label="speed")
    else:
        channels = demo.pair.network.in_channels
        picture = dropped.example_image(channels)
        yield gr.Image(picture, sources=["upload", "clipboard"], label="an image", height=320, buttons=[])
        yield gr.Slider(0.25, 2, 1, step=0.01, label="size")
        yield gr.Slider(0, 360, 90, step=5, label="angle (°)")


def gradio() -> Any:
    """Imports Gradio, which tells nobody of it.

    Raises:
        ImportError: It is missing.
    """
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        import gradio
    except ImportError:
        raise ImportError("gradio is missing: pip install 'wavenets[demo]'") from None
    return gradio


class Sealed:
    """Has every answer of the page's server forbid the browser to load anything from elsewhere, or to send it there."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request, as ASGI has it."""

        async def sealed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, sealed)


def launch(demo: Demo, port: int | None, browser: bool, wait: bool = True) -> Any:
    """Serves the page on this machine alone, until it is interrupted.

    Args:
        demo: What it shows.
        port: Where; None is a free one.
        browser: Whether to open it.
        wait: False comes back at once.

    Returns:
        The page; its ``local_url`` says where it is.

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


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="demo")
def main(cfg: DictConfig) -> None:
    """Runs the command."""
    with one_line_errors():
        launch(Demo.load(cfg.ckpt, cfg.twin, as_list(cfg.trust)), cfg.port, cfg.browser)


if __name__ == "__main__":
    main()
