"""A trained network in Python: from the folder of a run to predictions of files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.card import Card, find_checkpoint, load_network
from experiments.data.image.fit import size_before_padding
from experiments.data.image.scaled import Scaled
from experiments.data.inputs import Image, Waveform
from experiments.evaluation.map_files import Folder
from experiments.evaluation.maps import Advance, average, predict_map, segment
from experiments.evaluation.measure import enlarged
from experiments.evaluation.prediction import MapPrediction, Prediction
from experiments.evaluation.preprocess import (
    at_training_mpp,
    open_image,
    preprocess,
    rescaled_image,
    size_of,
    sound_windows,
)
from experiments.evaluation.windows import Error, Judged, Slide, judge
from experiments.training.tasks.regression import Regression
from experiments.training.tasks.segmentation import Segmentation
from experiments.training.tasks.task import Task
from experiments.trust import as_list

SILENCE = -60.0  # decibels relative to full scale


@dataclass(frozen=True)
class Trained:
    """A trained network with all that it needs to be applied to files.

    Attributes:
        network: The network, in eval mode.
        card: The card of its checkpoint.
        task: The task that it was trained for.

    Example:
        >>> import experiments
        >>> trained = experiments.load("runs/esc10")  # doctest: +SKIP
        >>> trained.predict("dog.wav")  # doctest: +SKIP
        {'dog': 0.93, 'rooster': 0.04, …}
    """

    network: nn.Module
    card: Card
    task: Task

    @property
    def classes(self) -> list[str]:
        """Names of the classes, or of the numbers of a regression."""
        return self.card.classes

    @property
    def segments(self) -> bool:
        """Whether the network returns maps."""
        return isinstance(self.task, Segmentation)

    @cached_property
    def preprocess(self) -> Callable[[Path | str], Tensor]:
        """The function from a file to an input (1, C, …), as in training; of a long sound it is the middle."""
        return preprocess(self.card)

    def predict(self, file: Path | str) -> dict[str, float] | np.ndarray:
        """Return the prediction for a file.

        Returns:
            The probability of each class, or the numbers of a regression, by name; of a long sound the mean over its
            windows. Of a segmentation the class numbers (H, W) of an image of any size.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not usable.
        """
        if self.segments:
            return np.asarray(self.map(file)[1])
        outcome = next(self.predictions([str(file)]))
        if isinstance(outcome, Prediction):
            return outcome.values
        raise outcome

    @torch.inference_mode()
    def embed(self, file: Path | str) -> Tensor:
        """Return the features before the head, (channels,): the means over positions, scales and orientations.

        Of a sound it is the mean over its windows.

        Raises:
            ValueError: The network does not declare its features.
        """
        network: Any = self.network
        if not hasattr(network, "features") or not hasattr(network, "min_size"):
            raise ValueError(f"{type(network).__name__} has no features to return: it lacks features() or min_size")
        like, pooled = next(network.parameters()), []
        for _, x in self._inputs(str(file)):
            features = network.features(enlarged(x[None], network.min_size).to(like))
            levels = [features] if isinstance(features, Tensor) else list(features)
            pooled.append(torch.stack([level[0].float().flatten(1).mean(1) for level in levels]).mean(0))
        return torch.stack(pooled).mean(0)

    def predictions(
        self,
        files: Iterable[str],
        hop: float | None = None,
        batch_size: int = 16,
        rescale_to_mpp: bool = False,
        silence: float | None = SILENCE,
    ) -> Iterator[Prediction | Error]:
        """Yield the classes, or the numbers, of files in turn, or what is wrong with a file.

        Args:
            files: Recordings or images.
            hop: Distance of the windows of a recording, in seconds. ``None``: that of the data, or no overlap.
            batch_size: Inputs in a batch.
            rescale_to_mpp: Whether to read images at the microns per pixel of the training.
            silence: Windows of a recording in which no sample is louder are silent, in decibels relative to full scale.
                ``None``: digital silence alone.
        """
        inputs = partial(self._inputs, hop=hop, rescale_to_mpp=rescale_to_mpp, silence=silence)
        for judged in judge(self.network, self.task, files, inputs, batch_size):
            yield judged.error or self._prediction(judged)

    def map(
        self,
        file: Path | str,
        folder: Folder | None = None,
        tile: int = 1024,
        rescale_to_mpp: bool = False,
        hop: int | None = None,
        batch_size: int = 16,
        advance: Advance = lambda share: None,
    ) -> tuple[MapPrediction | Prediction, np.ndarray]:
        """Compute the map of an image of any size: of a segmentation, or of a classifier that looks at windows.

        Args:
            file: The image.
            folder: Where to write the map. ``None``: nowhere.
            tile: Size of the tiles of a segmentation.
            rescale_to_mpp: Whether to read the image at the microns per pixel of the training.
            hop: Distance of the windows of a classifier, in pixels. ``None``: half a window.
            batch_size: Windows in a batch.
            advance: Function that is called as the image is computed.

        Returns:
            The prediction, and the class numbers (H, W) at the size of the image.
        """
        if not isinstance(self.card.input, Image):
            raise ValueError(f"{file}: maps are made of images, and this network was not trained on images")
        with open_image(file, self.card) as image:
            size, resized = (image.shape[1], image.shape[2]), None
            if rescale_to_mpp:
                resized = at_training_mpp(image, self.card, file)
            elif self.segments and (asked := self.card.config["data"].get("size")):
                resized = size_before_padding(size, asked, self.card.config["data"].get("fit", "resize"))
            x = image if resized in (None, size) else Scaled(image, resized)
            if isinstance(self.task, Segmentation):
                segmentation = self.network, self.task, x, size
                return predict_map(
                    str(file), image, self.classes, lambda put: segment(*segmentation, put, tile, advance), folder
                )
            slide = Slide(x.shape, self._window, hop)
            large = slide.window != x.shape[1:]
            inputs = (
                (lambda _: slide.inputs(x, advance)) if large else partial(self._inputs, rescale_to_mpp=rescale_to_mpp)
            )
            judged = next(judge(self.network, self.task, [str(file)], inputs, batch_size))
            if judged.error:
                raise judged.error
            fill = partial(average, slide, np.stack(judged.probabilities, 1), size)
            prediction, numbers = predict_map(str(file), image, self.classes, fill, folder)
            return replace(self._prediction(judged), map=prediction), numbers

    @property
    def _window(self) -> tuple[int, int]:
        """Height and width of the windows at which a classifier looks."""
        assert isinstance(self.card.input, Image)
        size = self.card.config["data"].get("crop") or size_of(self.card) or self.card.input.size
        if isinstance(self.task, Regression):
            raise ValueError("maps=… needs classes; this network was trained to predict numbers")
        if size is None:
            raise ValueError("maps=… needs the size of the training images, which had no common size")
        return (size, size) if isinstance(size, int) else (size[0], size[1])

    def _inputs(
        self, file: str, hop: float | None = None, rescale_to_mpp: bool = False, silence: float | None = SILENCE
    ) -> Iterator[tuple[tuple[float, float, bool] | None, Tensor]]:
        """Yield the inputs of a file, each after begin and end in seconds, and whether it is silent."""
        if isinstance(self.card.input, Waveform):
            rate = self.card.input.sample_rate
            for window in sound_windows(file, self.card, hop):
                silent = window.level <= (-inf if silence is None else silence)
                yield (window.start / rate, window.end / rate, silent), torch.from_numpy(window.clip)
        else:
            yield None, (rescaled_image(file, self.card) if rescale_to_mpp else self.preprocess(file))[0]

    def _prediction(self, judged: Judged) -> Prediction:
        parts = judged.parts if isinstance(self.card.input, Waveform) else []
        return Prediction(
            judged.file,
            self.task,
            self.classes,
            np.stack(judged.probabilities),
            [(begin, end) for begin, end, _ in parts],
            [silent for *_, silent in parts],
        )


def load(run: Path | str, trust: Sequence[str] = ()) -> Trained:
    """Load a trained network, on the CPU.

    Args:
        run: The folder of a run, of which the best checkpoint is loaded, a checkpoint, or a folder of weights.
        trust: Modules other than wavenets and experiments whose classes the checkpoint may name.

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: The checkpoint is damaged, or names a class that is not trusted.
    """
    network, card = load_network(find_checkpoint(run), as_list(trust))
    return Trained(network, card, card.task(as_list(trust)))
