"""The page of the demonstration, made with Gradio."""

import os
from typing import Any

from experiments.data import examples
from experiments.data.inputs import Image
from experiments.data.sound.decode import to_int16
from experiments.report.demonstration import Demo

FEATURES = (
    "# The same features, somewhere else\n"
    "Move a signal, and the features of an equivariant network move with it, from level to level, to the last bit. "
    "Those of a plain network turn into something else."
)
MAPS = (
    "# The same map, turned with the image\n"
    "Turn, mirror and resize an image, and the map of an equivariant network moves with it. That of a plain network "
    "turns into another one. The error is the difference between the map of the moved image and the moved map, "
    "relative to how much that map varies."
)


def page(demo: Demo) -> Any:
    """Return the page, made with Gradio.

    Raises:
        ImportError: Gradio is missing.
    """
    gr = gradio()
    with gr.Blocks(title="wavenets", analytics_enabled=False) as blocks:
        gr.Markdown(f"{MAPS if demo.segments else FEATURES}\n\n{demo.about()}")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                inputs = list(_inputs(gr, demo))
                heard = [gr.Audio(label="the sound, moved", interactive=False, buttons=[])] if demo.rate else []
            with gr.Column(scale=5, min_width=640):
                outcome = [
                    gr.Markdown(elem_id="outcome"),
                    *(gr.Plot(show_label=False, format="png") for _ in range(1 if demo.segments else 2)),
                    *heard,
                ]

        def show(given: Any, *sliders: Any) -> tuple[Any, ...]:
            try:
                if given is not None:
                    return demo.show(given, *sliders)
                line = "Drop something in."
            except (ImportError, OSError, RuntimeError, ValueError) as error:
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
        assert isinstance(demo.card.input, Image)
        # The file itself: Gradio would change its colours and its size.
        options: dict[str, Any] = {"type": "filepath", "image_mode": None, "format": "png"}
        first = str(examples.DRAWINGS[0]) if demo.segments else examples.example_image(demo.card.input.channels)
        image = gr.Image(first, sources=["upload", "clipboard"], label="an image", height=320, buttons=[], **options)
        yield image
        if demo.segments:
            gr.Examples([[str(file)] for file in examples.DRAWINGS], [image], label="drawn by this package")
        yield gr.Slider(0.25, 2, 1, step=0.01, label="size")
        yield gr.Slider(0, 360, 90, step=5, label="angle (°)")
        yield gr.Checkbox(False, label="mirrored")
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
