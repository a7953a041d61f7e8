"""Measuring: inputs of any size, in the order of the examples."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from experiments.report.measure import distance, logits_and_targets, measure
from experiments.training.task import MultiClass


class Sounds(Dataset[tuple[Tensor, int]]):
    """Items (a constant sound of a length of its own, label)."""

    def __init__(self, lengths: list[int], level: float = 1.0) -> None:
        self.lengths, self.level = lengths, level

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        return torch.full((1, self.lengths[item]), float(self.level * (item + 1))), item % 2


class Sums(nn.Module):
    """Logits (the sum of a sound, its length); takes no sound below ``min_size``."""

    min_size = 4

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] >= self.min_size
        return torch.stack([x.sum((1, 2)), x.new_full((len(x),), x.shape[-1])], 1)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_inputs_of_any_length_in_their_order(batch_size: int, caplog: pytest.LogCaptureFixture) -> None:
    lengths = [7, 7, 4, 9, 7, 7, 7, 4]
    logits, target = logits_and_targets(Sums(), Sounds(lengths), batch_size, "Testing")
    assert logits.tolist() == [[(item + 1) * n, n] for item, n in enumerate(lengths)]
    assert target.tolist() == [item % 2 for item in range(8)]
    assert not caplog.records


def test_what_is_too_short_is_padded_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        logits, _ = logits_and_targets(Sums(), Sounds([2, 8, 3]), 2, "Testing, playback speed 4")
    assert logits.tolist() == [[2, 4], [16, 8], [9, 4]]
    (record,) = caplog.records
    assert (
        record.getMessage() == "Testing, playback speed 4: 2 inputs are zero-padded to 4, the least size of the network"
    )


def test_an_image_is_padded_on_all_sides() -> None:
    class Corners(Sums):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[:, 0, 1:-1].sum((1, 2)), x.sum((1, 2, 3))], 1)

    class Image(Sounds):
        def __getitem__(self, item: int) -> tuple[Tensor, int]:
            return torch.ones(1, 2, 5), 0

    logits, _ = logits_and_targets(Corners(), Image([1]), 1, "")
    assert logits.tolist() == [[10, 10]]


def test_how_far_logits_move_knows_nothing_of_what_softmax_ignores() -> None:
    logits = torch.randn(50, 10)
    assert distance(logits, logits + torch.randn(50, 1)) == pytest.approx(0, abs=1e-6)
    assert distance(logits, torch.zeros(50, 10)) == pytest.approx(1)
    assert distance(logits, 1.1 * logits) == pytest.approx(0.1, abs=1e-6)
    assert distance(7 * logits, 7 * logits.roll(1, 0)) == pytest.approx(distance(logits, logits.roll(1, 0)))


def test_each_factor_has_a_metric_and_a_distance() -> None:
    class Source:
        classes, quantity = ["a", "b"], "level"

        def split(self, stage: str) -> Any:
            return Sounds([4, 4], level=2)

        def rescaled(self, stage: str, factor: float) -> Any:
            return Sounds([4, 4], level=factor)

        def check_factor(self, factor: float) -> None: ...

    measured = measure(Sums(), MultiClass(2), Source(), 2, [2, 0.9, 3])
    assert list(measured.rescaled) == list(measured.moved) == ["2", "0.9", "3"]
    assert measured.moved["2"] == 0 < measured.moved["0.9"]
    assert measured.rescaled == {"2": 0.5, "0.9": 0.0, "3": 0.5}  # sums 8, 16 beside the length 4; 3.6, 7.2; 12, 24
