"""What a network makes of recordings, window by window."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.data.decode import AudioError
from experiments.data.recordings import Recording, read_recording
from experiments.run import Card
from experiments.training.task import Task


@dataclass(frozen=True)
class Prediction:
    """What a network makes of a recording.

    Attributes:
        file: The recording.
        recording: Its samples and windows.
        sample_rate: Their rate, in Hz.
        classes: Names of the classes.
        probabilities: Of each window and class, (windows, num_classes).
    """

    file: str
    recording: Recording
    sample_rate: int
    classes: Sequence[str]
    probabilities: np.ndarray

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Begin and end of each window, in seconds of the file."""
        begins = [self.recording.begin + start for start in self.recording.starts]
        return [(n / self.sample_rate, (n + self.recording.num_samples) / self.sample_rate) for n in begins]

    def ranking(self) -> list[tuple[str, float]]:
        """Gives the classes and their probabilities, the means over the windows; the likeliest first."""
        pairs = zip(self.classes, self.probabilities.mean(0).tolist(), strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])

    def episodes(self) -> list[tuple[float, float, str, float]]:
        """Gives what follows what: begin and end in seconds, the likeliest class all along, its mean probability."""
        best = self.probabilities.argmax(1)
        runs = [list(run) for _, run in groupby(range(len(best)), lambda window: best[window])]
        return [
            (
                self.spans[run[0]][0],
                self.spans[run[-1]][1],
                self.classes[best[run[0]]],
                float(self.probabilities[run, best[run[0]]].mean()),
            )
            for run in runs
        ]

    def without_sound(self) -> "Prediction":
        """Gives the prediction without the samples, of which many recordings would fill the memory."""
        return replace(self, recording=replace(self.recording, signal=self.recording.signal[:0]))

    def to_dict(self) -> dict[str, Any]:
        """Gives plain values, for JSON."""
        rows = zip(self.spans, self.probabilities.tolist(), strict=True)
        return {
            "file": self.file,
            "probabilities": dict(self.ranking()),
            "windows": [
                {"start": start, "end": end, "probabilities": dict(zip(self.classes, row, strict=True))}
                for (start, end), row in rows
            ],
        }


def predict(
    network: nn.Module, card: Card, task: Task, files: Iterable[str], batch_size: int = 16, hop: float | None = None
) -> Iterator[Prediction | OSError | ValueError]:
    """Judges recordings in turn; windows of several fill a batch.

    Args:
        network: The network.
        card: The card of its checkpoint.
        task: What it was trained for.
        files: Audio files.
        batch_size: Windows per batch.
        hop: Distance of the windows, in seconds; None is the data's own, or else windows follow each other.

    Yields:
        For each file its prediction, or what is wrong with it.

    Raises:
        ValueError: The network was not trained on sound, or gives no numbers.
    """
    if card.sample_rate is None or card.num_samples is None:
        raise ValueError("the network was not trained on sound")
    data, rate = card.config["data"], card.sample_rate
    hop = data.get("hop") if hop is None else hop
    read = partial(
        read_recording,
        sample_rate=rate,
        num_samples=card.num_samples,
        hop=None if hop is None else max(1, round(hop * rate)),
        trim=data.get("trim"),
    )
    waiting: list[tuple[str, Recording | OSError | ValueError]] = []  # files whose outcome is not known in full
    known: list[np.ndarray] = []  # probabilities of their windows

    def clips() -> Iterator[np.ndarray]:
        for file in files:
            try:
                recording = read(file)
            except (OSError, AudioError) as error:
                waiting.append((file, error))
                continue
            waiting.append((file, recording))
            yield from recording.clips()

    def finished() -> Iterator[Prediction | OSError | ValueError]:
        while waiting:
            file, outcome = waiting[0]
            if isinstance(outcome, Recording):
                count = len(outcome.starts)
                if len(known) < count:
                    return
                yield Prediction(file, outcome, rate, card.classes, np.stack(known[:count]))
                del known[:count]
            else:
                yield outcome
            del waiting[0]

    stream = clips()
    while batch := list(islice(stream, batch_size)):
        known.extend(_probabilities(network, task, torch.from_numpy(np.stack(batch))).numpy())
        yield from finished()
    yield from finished()


@torch.inference_mode()
def _probabilities(network: nn.Module, task: Task, x: Tensor) -> Tensor:
    logits = network(x.to(next(network.parameters()).device)).float().cpu()
    if not logits.isfinite().all():
        raise ValueError("the network gives NaN or infinite numbers, which are no result")
    return task.probabilities(logits)


def write_csv(file: Path, predictions: Iterable[Prediction], classes: Sequence[str]) -> None:
    """Writes a line for each window: file, begin and end in seconds, probabilities. The file is whole or not there."""
    unfinished = file.with_suffix(".partial")
    with unfinished.open("w", newline="") as content:
        writer = csv.writer(content)
        writer.writerow(["file", "start", "end", *classes])
        for prediction in predictions:
            for (start, end), row in zip(prediction.spans, prediction.probabilities.tolist(), strict=True):
                writer.writerow([prediction.file, start, end, *row])
    unfinished.replace(file)
