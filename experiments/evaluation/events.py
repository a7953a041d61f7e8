"""Events in recordings: windows of one class that follow each other, as files that sound editors open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.evaluation.map_files import Folder
from experiments.evaluation.prediction import Prediction
from experiments.files import write_text

FORMATS = {"audacity": ".txt", "raven": ".selections.txt"}
SAME_TIME = 1e-6  # seconds
RAVEN = "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"


@dataclass(frozen=True)
class Event:
    """Neighbouring windows in which a network finds a class.

    Attributes:
        begin: Begin of the first window, in seconds of the file.
        end: End of the last window.
        name: The class.
        score: The greatest probability of the class in these windows.
    """

    begin: float
    end: float
    name: str
    score: float


def check(
    kind: str, threshold: float | Mapping[str, float], gap: float, silence: float | None, classes: Sequence[str]
) -> None:
    """Check what events are made of, see `events` and `write`.

    Raises:
        ValueError: A value is out of range, or a class is unknown.
    """
    if kind not in FORMATS:
        raise ValueError(f"format={kind} is unknown; the formats of events are {' and '.join(FORMATS)}")
    limits = threshold if isinstance(threshold, Mapping) else {"": threshold}
    if isinstance(threshold, Mapping) and (unknown := [str(name) for name in limits if name not in classes]):
        raise ValueError(f"threshold has the unknown class {unknown[0]}; the classes are {', '.join(classes)}")
    for value in limits.values():
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"threshold={value} is not a probability from 0 to 1")
    if not isinstance(gap, int | float) or not gap >= 0:
        raise ValueError(f"gap={gap} is not a number of seconds, 0 or more")
    if silence is not None and not (isinstance(silence, int | float) and silence <= 0):
        raise ValueError(f"silence={silence} is not a number of decibels relative to full scale, 0 or less")


def events(prediction: Prediction, threshold: float | Mapping[str, float] = 0.5, gap: float = 0.0) -> list[Event]:
    """Return the events of a recording, ordered by time. Silent windows are in no event.

    Args:
        prediction: The prediction of the recording.
        threshold: Least probability of a class, or that of some classes by name; the others have 0.5.
        gap: Windows of a class are one event if no more than this lies between them, in seconds.
    """
    limits = threshold if isinstance(threshold, Mapping) else dict.fromkeys(prediction.classes, threshold)
    found: list[Event] = []
    for name, scores in zip(prediction.classes, prediction.probabilities.T, strict=True):
        mine: list[Event] = []
        for (begin, end), silent, score in zip(prediction.spans, prediction.silent, scores.tolist(), strict=True):
            if silent or score < limits.get(name, 0.5):
                continue
            if mine and begin - mine[-1].end <= gap + SAME_TIME:
                last = mine.pop()
                begin, score = last.begin, max(last.score, score)
            mine.append(Event(begin, end, name, score))
        found += mine
    return sorted(found, key=lambda event: (event.begin, event.end))


def write(folder: Folder, file: str, found: list[Event], kind: str, highest: float) -> Path:
    """Write the events of a recording, named as it is; return the file.

    Args:
        folder: Where to write.
        file: The recording.
        found: Its events.
        kind: ``"audacity"``, a label track, or ``"raven"``, a selection table.
        highest: Highest frequency that the network is given, in Hz.
    """
    if kind == "audacity":
        lines = [f"{event.begin:.6f}\t{event.end:.6f}\t{event.name} {event.score:.2f}" for event in found]
    else:
        lines = ["\t".join([*RAVEN, "Class", "Score"])]
        for number, event in enumerate(found, 1):
            times = f"{event.begin:.6f}\t{event.end:.6f}\t0\t{highest:g}"
            lines.append(f"{number}\tSpectrogram 1\t1\t{times}\t{event.name}\t{event.score:.4f}")
    (path,) = folder.name(file, [FORMATS[kind]])
    write_text(path, "".join(f"{line}\n" for line in lines))
    return path
