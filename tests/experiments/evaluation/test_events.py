"""Events: neighbouring windows of a class, without silence, as the files of two programs."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.evaluation.events import Event, check, events, write
from experiments.evaluation.map_files import Folder
from experiments.evaluation.prediction import Prediction
from experiments.training.tasks.multi_class import MultiClass

Limits = float | Mapping[str, float]


def prediction(rows: list[list[float]], hop: float = 1.0, silent: list[bool] | None = None) -> Prediction:
    """Return a prediction for windows of one second and the classes x and y."""
    spans = [(hop * n, hop * n + 1) for n in range(len(rows))]
    return Prediction("a.wav", MultiClass(2), ["x", "y"], np.array(rows), spans, silent or [False] * len(rows))


def test_neighbouring_windows_of_a_class_are_one_event() -> None:
    made = prediction([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.4, 0.3], [0.7, 0.3]])
    assert events(made) == [Event(0, 2, "x", 0.9), Event(2, 3, "y", 0.8), Event(4, 5, "x", 0.7)]
    assert events(made, gap=1.9) == events(made)
    assert events(made, gap=2) == [Event(0, 5, "x", 0.9), Event(2, 3, "y", 0.8)]
    assert events(made, 0.85) == [Event(0, 1, "x", 0.9)]
    assert events(made, {"x": 0.3}) == [Event(0, 2, "x", 0.9), Event(2, 3, "y", 0.8), Event(3, 5, "x", 0.7)]
    assert events(made, {"y": 0.9}) == [Event(0, 2, "x", 0.9), Event(4, 5, "x", 0.7)]


def test_silence_is_in_no_event_and_has_its_name_in_tables() -> None:
    rows = [[0.9, 0.1], [0.95, 0.05], [0.1, 0.9], [0.8, 0.2]]
    made = prediction(rows, silent=[False, True, True, False])
    assert events(made) == [Event(0, 1, "x", 0.9), Event(3, 4, "x", 0.8)]
    assert [name for *_, name, _ in made.episodes()] == ["x", "silent", "x"]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.floats(0, 3),
)
def test_events_are_the_windows_that_pass(windows: list[tuple[float, bool]], hop: float, gap: float) -> None:
    """Each window that passes is in one event, each event begins and ends with one, and lies apart from the next."""
    made = prediction([[p, 0] for p, _ in windows], hop, [silent for _, silent in windows])
    found = events(made, 0.5, gap)
    passing = [span for span, (p, silent) in zip(made.spans, windows, strict=True) if p >= 0.5 and not silent]
    for begin, end in passing:
        assert sum(event.begin <= begin and end <= event.end for event in found) == 1
    assert {event.begin for event in found} <= {begin for begin, _ in passing}
    assert {event.end for event in found} <= {end for _, end in passing}
    assert all(b.begin - a.end > gap for a, b in pairwise(found))


def test_the_files_have_the_format_of_their_programs(tmp_path: Path) -> None:
    found = [Event(0, 1.5, "big dog", 0.875), Event(1 / 3, 2, "Möwe", 1.0)]
    folder = Folder(tmp_path / "out")
    track = write(folder, "night/a.wav", found, "audacity", 4000)
    text = "0.000000\t1.500000\tbig dog 0.88\n0.333333\t2.000000\tMöwe 1.00\n"
    assert track.name == "a.txt" and track.read_text("utf-8") == text
    table = write(folder, "night/a.wav", found, "raven", 4000)
    rows = pd.read_csv(table, sep="\t")
    assert table.name == "a.selections.txt" and list(rows["Selection"]) == [1, 2]
    assert list(rows["Begin Time (s)"]) == [0, 0.333333] and list(rows["End Time (s)"]) == [1.5, 2]
    assert set(rows["Low Freq (Hz)"]) == {0} and set(rows["High Freq (Hz)"]) == {4000} and set(rows["Channel"]) == {1}
    assert list(rows["Class"]) == ["big dog", "Möwe"] and list(rows["Score"]) == [0.875, 1]
    assert len(pd.read_csv(write(folder, "other/a.wav", [], "raven", 4000), sep="\t")) == 0
    assert sorted(path.name for path in folder.path.iterdir()) == ["a.selections.txt", "a.txt", "a_2.selections.txt"]


@pytest.mark.parametrize(
    ("kind", "threshold", "gap", "silence", "message"),
    [
        ("praat", 0.5, 0, -60, "format=praat is unknown; the formats of events are audacity and raven"),
        ("raven", 1.5, 0, -60, "threshold=1.5 is not a probability"),
        ("raven", {"z": 0.5}, 0, -60, "unknown class z; the classes are x, y"),
        ("raven", {"x": -1}, 0, -60, "threshold=-1 is not a probability"),
        ("raven", 0.5, -1, -60, "gap=-1 is not a number of seconds"),
        ("raven", 0.5, 0, 60, "silence=60 is not a number of decibels"),
    ],
)
def test_values_out_of_range(kind: str, threshold: Limits, gap: float, silence: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(kind, threshold, gap, silence, ["x", "y"])
