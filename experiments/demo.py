"""Opens a page that compares a network with its plain twin: `python -m experiments.demo --help`."""

from experiments.answers import answer

if __name__ == "__main__":
    answer("demo")  # help and mistyped keys, before the imports that take seconds

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig
from torch import Tensor

from experiments.card import Card, find_checkpoint, load_network
from experiments.data import examples
from experiments.data.inputs import Waveform
from experiments.data.sound.decode import to_int16
from experiments.errors import one_line_errors
from experiments.evaluation.preprocess import SECONDS, preprocess
from experiments.networks import normalize
from experiments.report import comparison_plots as plots
from experiments.report.comparison import Comparison, Pair, grid_of
from experiments.trust import as_list
from wavenets.models import Network

# The page loads only what this machine serves, and sends nothing elsewhere.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
CSS = ".gradio-container {max-width: 1500px !important; margin: auto} footer {display: none !important}"


@dataclass(frozen=True)
class Demo:
    """The contents of the page.

    Attributes:
        pair: The network and its twin.
        card: The card of the network's checkpoint.
    """

    pair: Pair
    card: Card

    @classmethod
    def load(cls, ckpt: Path | str, twin: Path | str | None = None, trust: list[str] | None = None) -> "Demo":
        """Load the networks.

        Raises:
            FileNotFoundError: A checkpoint is missing.
            ValueError: A checkpoint is damaged, or the two do not fit each other.
        """
        network, card = load_network(find_checkpoint(ckpt), trust or [])
        task = card.task(trust or [])
        if twin is None:
            pair = Pair(network, task)
            normalize(pair.twin, card.input)
            return cls(pair, card)
        plain, its = load_network(find_checkpoint(twin), trust or [])
        if not isinstance(plain, Network) or grid_of(plain) is not None:
            raise ValueError(f"twin={twin} is a {type(plain).__name__}; it must be a plain network of wavenets.models")
        if (its.classes, its.input) != (card.classes, card.input):
            raise ValueError(f"twin={twin} was trained on other classes, or on other inputs, than ckpt={ckpt}")
        return cls(Pair(network, task, plain), card)

    @property
    def rate(self) -> int | None:
        """Sampling rate of sounds, in Hz. ``None``: the network takes images."""
        return self.card.input.sample_rate if isinstance(self.card.input, Waveform) else None

    @property
    def num_samples(self) -> int:
        """Length of sounds, in samples."""
        assert isinstance(self.card.input, Waveform)
        return self.card.input.num_samples or SECONDS * self.card.input.sample_rate

    def input(self, file: Path | str, negative: bool = False) -> Tensor:
        """Read a file as in training, (1, C, …), or the negative of an image."""
        x = preprocess(self.card)(file)
        return 1 - x if negative else x

    def compare(self, file: Path | str, factor: float, degrees: float = 0.0, negative: bool = False) -> Comparison:
        """Run both networks: a sound is played at this speed, an image has this size and is turned by this angle."""
        return self.pair.compare(self.input(file, negative), factor if self.rate else 1 / factor, degrees)

    def show(self, file: Path | str, factor: float, degrees: float = 0.0, negative: bool = False) -> tuple[Any, ...]:
        """Return what the page shows: a line of text, both pictures, and the moved sound if it is a sound."""
        comparison = self.compare(file, factor, degrees, negative)
        pictures = plots.features(comparison, self.rate), plots.probabilities(comparison, self.card.classes)
        heard = [(self.rate, to_int16(comparison.moved.mean(0).clamp(-1, 1).numpy()))] if self.rate else []
        return self.summary(comparison), *pictures, *heard

    def summary(self, comparison: Comparison) -> str:
        """Return in one line what was done, and how far it moved the features."""
        what = comparison.move.summary(1 if self.rate else 2)
        where = (
            "a move of its group"
            if comparison.exact
            else "not a move of its group, so that features are close but not equal"
        )
        plain, ours = (
            plots.percentage(max(level.error for level in side.levels)) for side in (comparison.plain, comparison.ours)
        )
        twin = comparison.plain.name
        return f"**{what[0].upper()}{what[1:]}**: {where}. {twin.capitalize()}: **{plain}**. Ours: **{ours}**."


def page(demo: Demo) -> Any:
    """Return the page, made with Gradio.

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

        def show(given: Any, *sliders: Any) -> tuple[Any, ...]:
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
    """Yield the input and the sliders."""
    if demo.rate:
        given = demo.rate, to_int16(examples.example_sound(demo.rate, demo.num_samples))
        yield gr.Audio(given, type="filepath", sources=["upload", "microphone"], label="a sound", buttons=[])
        yield gr.Slider(0.5, 4, 2, step=0.01, label="speed")
    else:
        channels = demo.pair.network.in_channels
        picture = examples.example_image(channels)
        # The file itself: Gradio would change its colours and its size.
        options: dict[str, Any] = {"type": "filepath", "image_mode": None, "format": "png"}
        yield gr.Image(picture, sources=["upload", "clipboard"], label="an image", height=320, buttons=[], **options)
        yield gr.Slider(0.25, 2, 1, step=0.01, label="size")
        yield gr.Slider(0, 360, 90, step=5, label="angle (°)")
        yield gr.Checkbox(False, label="negative: for networks that were trained on light shapes on a dark ground")


def gradio() -> Any:
    """Import Gradio, without its telemetry.

    Raises:
        ImportError: Gradio is missing.
    """
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        import gradio
    except ImportError:
        raise ImportError("gradio is missing; run pip install 'wavenets[demo]'") from None
    return gradio


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


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="demo")
def main(cfg: DictConfig) -> None:
    """Run the command."""
    with one_line_errors():
        launch(Demo.load(cfg.ckpt, cfg.twin, as_list(cfg.trust)), cfg.port, cfg.browser)


if __name__ == "__main__":
    main()
