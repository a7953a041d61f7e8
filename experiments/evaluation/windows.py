"""A network on many inputs of many files: windows of recordings, windows of images, whole images."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.data.image.scaled import Scaled
from experiments.data.image.slide import LargeImage
from experiments.data.sound.clips import windows
from experiments.evaluation.device import NOT_FINITE
from experiments.evaluation.measure import padded
from experiments.training.tasks.task import Task

Error = ImportError | OSError | ValueError


@dataclass
class Judged:
    """The outputs of a network for the inputs of a file.

    Attributes:
        file: The file.
        parts: What is known of each input, such as its place in the file.
        probabilities: Probabilities of each input, (num_classes,).
        error: Problem with the file.
    """

    file: str
    parts: list[Any] = field(default_factory=list)
    probabilities: list[np.ndarray] = field(default_factory=list)
    error: Error | None = None
    over: bool = False  # whether all of the file has been read

    @property
    def known(self) -> bool:
        """Whether nothing is left to compute."""
        return self.error is not None or (self.over and len(self.probabilities) == len(self.parts))


def judge(
    network: nn.Module,
    task: Task,
    files: Iterable[str],
    inputs: Callable[[str], Iterable[tuple[Any, Tensor]]],
    batch_size: int = 16,
) -> Iterator[Judged]:
    """Run a network on the inputs of files; inputs of several files share a batch.

    Args:
        network: Maps (B, C, …) to (B, num_outputs).
        task: The task that it was trained for.
        files: The files.
        inputs: Function that reads a file, and yields inputs (C, …), each after its part. Inputs that
            follow each other and have one shape share a batch.
        batch_size: Inputs in a batch.

    Yields:
        The outcome of each file, in their order. A file that cannot be read has an error and does not end the others.
    """
    waiting: list[Judged] = []

    def read() -> Iterator[tuple[Judged, Tensor]]:
        for file in files:
            judged = Judged(file)
            waiting.append(judged)
            try:
                for part, x in inputs(file):
                    judged.parts.append(part)
                    yield judged, x
                    if judged.error:
                        break
            except (ImportError, OSError, ValueError) as error:
                judged.error = error
            judged.over = True

    stream = read()
    while batch := list(islice(stream, batch_size)):
        for _, group in groupby(batch, lambda item: item[1].shape):
            owners, xs = zip(*group, strict=True)
            try:
                rows = probabilities(network, task, torch.stack(xs))
            except (RuntimeError, ValueError) as error:
                for judged in owners:
                    judged.error = ValueError(" ".join(str(error).split()))
                continue
            for judged, row in zip(owners, rows, strict=True):
                judged.probabilities.append(row)
                if not np.isfinite(row).all():
                    judged.error = ValueError(NOT_FINITE)
        while waiting and waiting[0].known:
            yield waiting.pop(0)
    yield from waiting


@torch.inference_mode()
def probabilities(network: nn.Module, task: Task, x: Tensor) -> np.ndarray:
    """Return the probabilities of the classes, or the values of a regression, (B, num_classes).

    Inputs that are smaller than the network's least size are zero-padded, as in the test.
    """
    logits = padded(network, x.to(next(network.parameters()).device)).float().cpu()
    result: np.ndarray = task.probabilities(logits).numpy()
    return result


class Slide:
    """Windows at which a classifier looks at a large image; the last ones end where the image ends.

    Args:
        shape: Shape of the image (C, H, W).
        size: Height and width of the windows; they are cut to the image.
        hop: Distance of the windows, in pixels. ``None``: half a window.

    Attributes:
        shape: Shape of the image.
        window: Height and width of the windows.
        tops: First rows of the windows.
        lefts: First columns of the windows.
    """

    def __init__(self, shape: Sequence[int], size: tuple[int, int], hop: int | None = None) -> None:
        self.shape = tuple(shape)
        self.window = min(size[0], shape[1]), min(size[1], shape[2])
        self.tops, self.lefts = (
            windows(length, window, hop or max(1, window // 2)).tolist()
            for length, window in zip(shape[1:], self.window, strict=True)
        )

    def inputs(
        self, image: LargeImage | Scaled, advance: Callable[[float], Any] = lambda share: None
    ) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Yield the windows (C, h, w), row by row, each after its first row and column."""
        height, width = self.window
        for top in self.tops:
            for left in self.lefts:
                yield (top, left), torch.from_numpy(image[:, top : top + height, left : left + width])
                advance(1 / (len(self.tops) * len(self.lefts)))
