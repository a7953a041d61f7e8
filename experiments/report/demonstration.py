"""What the page of the demonstration shows: files as the network takes them, comparisons, and what is said of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor, nn

from experiments.card import Card, find_checkpoint, load_network
from experiments.data.inputs import Image, Waveform
from experiments.data.sound.decode import to_int16
from experiments.evaluation.preprocess import SECONDS, open_image, preprocess, size_of
from experiments.networks import normalize
from experiments.report import comparison_plots as plots
from experiments.report.comparison import Comparison, Pair, grid_of
from experiments.report.map_comparison import MapComparison, MapPair
from experiments.report.map_comparison_plots import maps
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.segmentation import Segmentation

LARGEST = 512  # pixels of a side of an image for a network that returns maps; of a larger one, it is the middle
FITTED = {"resize": "resized", "pad": "resized and padded", "crop": "cropped or padded"}


@dataclass(frozen=True)
class Demo:
    """The contents of the page.

    Attributes:
        pair: The network and its twin.
        card: The card of the network's checkpoint.
        ckpt: Where the network comes from.
        twin: Where the twin comes from. ``None``: it was made, if there is one.
    """

    pair: Pair | MapPair
    card: Card
    ckpt: str = ""
    twin: str | None = None

    @classmethod
    def load(cls, ckpt: Path | str, twin: Path | str | None = None, trust: list[str] | None = None) -> "Demo":
        """Load the networks.

        Raises:
            FileNotFoundError: A checkpoint is missing.
            ValueError: A checkpoint is damaged, or the two do not fit each other.
        """
        network, card = load_network(find_checkpoint(ckpt), trust or [])
        task = card.task(trust or [])
        if isinstance(task, Regression) or not isinstance(card.input, Waveform | Image):
            raise ValueError(f"ckpt={ckpt} must be a network for classes or maps of sounds or images")
        if isinstance(task, Segmentation) and not isinstance(card.input, Image):
            raise ValueError(f"ckpt={ckpt} returns maps of sounds; the page shows maps of images only")
        plain = None if twin is None else _plain(ckpt, twin, card, trust or [])
        pair = MapPair(network, task, plain) if isinstance(task, Segmentation) else Pair(network, task, plain)
        if plain is None and pair.twin is not None:
            normalize(pair.twin, card.input)
        return cls(pair, card, str(ckpt), None if twin is None else str(twin))

    @property
    def rate(self) -> int | None:
        """Sampling rate of sounds, in Hz. ``None``: the network takes images."""
        return self.card.input.sample_rate if isinstance(self.card.input, Waveform) else None

    @property
    def segments(self) -> bool:
        """Whether the network returns maps."""
        return isinstance(self.pair, MapPair)

    @property
    def num_samples(self) -> int:
        """Length of sounds, in samples."""
        assert isinstance(self.card.input, Waveform)
        return self.card.input.num_samples or SECONDS * self.card.input.sample_rate

    def about(self) -> str:
        """Return in Markdown which networks are compared."""
        ours = f"**Ours**: {type(self.pair.network).__name__} of `{self.ckpt}`, on `{self.pair.grid}`."
        if self.pair.twin is None:
            return f"{ours} It has no plain twin, and is shown alone; `twin=RUN` names a plain network."
        what = f"{self.pair.twin_name[0].upper()}{self.pair.twin_name[1:]}"
        of = f" of `{self.twin}`" if self.twin else ""
        random = " Its answers are random; they show how far a plain network moves." if "untrained" in what else ""
        return f"{ours} **{what}**: {type(self.pair.twin).__name__}{of}.{random}"

    def input(self, file: Path | str, negative: bool = False) -> Tensor:
        """Read a file as in training, (1, C, …), or the negative of an image.

        Of an image that is larger than `LARGEST`, and that training did not resize, a network that returns maps takes
        the middle.
        """
        if self.segments and size_of(self.card) is None:
            with open_image(file, self.card) as image:
                rows, columns = (slice(max(0, (n - LARGEST) // 2), (n + LARGEST) // 2) for n in image.shape[1:])
                x = torch.from_numpy(image[:, rows, columns])[None]
        else:
            x = preprocess(self.card)(file)
        return 1 - x if negative else x

    def note(self, file: Path | str, x: Tensor) -> str:
        """Return in words how a file became an input; empty if it is as it was."""
        if self.rate:
            seconds, taken = soundfile.info(file).duration, x.shape[-1] / self.rate
            if abs(seconds - taken) < 0.01:
                return ""
            return f"the middle of {seconds:.2f} s" if seconds > taken else f"{seconds:.2f} s in silence"
        with open_image(file, self.card) as image:
            height, width = image.shape[1:]
        if (height, width) == x.shape[2:]:
            return ""
        if size_of(self.card) is None:
            return f"the middle of {width} × {height}"
        return f"{FITTED[self.card.config['data'].get('fit', 'resize')]} from {width} × {height} as in training"

    def compare(
        self, file: Path | str, factor: float, degrees: float = 0.0, mirror: bool = False, negative: bool = False
    ) -> Comparison | MapComparison:
        """Run both networks: a sound is played at this speed; an image has this size, is mirrored and then turned."""
        return self.pair.compare(self.input(file, negative), factor if self.rate else 1 / factor, degrees, mirror)

    def show(self, file: Path | str, factor: float, *options: Any) -> tuple[Any, ...]:
        """Return what the page shows: a line of text, the pictures, and the moved sound if it is a sound.

        Args:
            file: The file.
            factor: See `compare`.
            *options: See `compare`.
        """
        comparison = self.compare(file, factor, *options)
        note = self.note(file, comparison.signal[None])
        line = self.summary(comparison)
        if isinstance(comparison, MapComparison):
            return line, maps(comparison, self.card.classes, note)
        pictures = plots.features(comparison, self.rate, note), plots.probabilities(comparison, self.card.classes)
        heard = [(self.rate, to_int16(comparison.moved.mean(0).clamp(-1, 1).numpy()))] if self.rate else []
        return line, *pictures, *heard

    def summary(self, comparison: Comparison | MapComparison) -> str:
        """Return in one line what was done, and how far it moved the features or the maps."""
        what = comparison.move.summary(1 if self.rate else 2)
        errors = [f"{side.name[0].upper()}{side.name[1:]}: **{side.said}**." for side in comparison.sides]
        return " ".join([f"**{what[0].upper()}{what[1:]}**: {comparison.why}", *errors])


def _plain(ckpt: Path | str, twin: Path | str, card: Card, trust: list[str]) -> nn.Module:
    """Return the plain network that is to be compared.

    Raises:
        ValueError: It is not plain, or does not fit.
    """
    plain, its = load_network(find_checkpoint(twin), trust)
    if grid_of(plain) is not None:
        raise ValueError(f"twin={twin} is a {type(plain).__name__} with a group; it must be a plain network")
    if (its.classes, its.input) != (card.classes, card.input):
        raise ValueError(f"twin={twin} was trained on other classes, or on other inputs, than ckpt={ckpt}")
    return plain
