"""Measuring: inputs of any size, in the order of the examples, and maps without holding them."""

import logging
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from experiments.data.inputs import IGNORED
from experiments.data.source import Source, Stage
from experiments.data.transformation import Rescaling, Rotation
from experiments.evaluation.measure import cases, distance, measure, outcome_of, outputs
from experiments.evaluation.recordings import of_recordings
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.multi_label import MultiLabel
from experiments.training.tasks.segmentation import Segmentation


class Sounds(Dataset[tuple[Tensor, int]]):
    """Items (a constant sound, label); each sound has its length."""

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


def logits_and_targets(*arguments: Any) -> tuple[Tensor, Tensor]:
    _, logits, target = zip(*outputs(*arguments), strict=True)
    return torch.cat(logits), torch.cat(target)


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
    class Levels(Source):
        classes, transformation = ("a", "b"), Rescaling("level", 0, 9)

        def split(self, stage: Stage) -> Any:
            return Sounds([4, 4], level=2)

        def transformed(self, stage: Stage, factor: float) -> Any:
            return Sounds([4, 4], level=factor)

    measured = measure(Sums(), MultiClass(2), Levels(), 2, [2, 0.9, 3])
    assert list(measured.transformed) == list(measured.moved) == ["2", "0.9", "3"]
    assert measured.moved["2"] == 0 < measured.moved["0.9"]
    assert measured.transformed == {"2": 0.5, "0.9": 0.0, "3": 0.5}  # sums 8, 16 beside the length 4; 3.6, 7.2; 12, 24
    assert measured.test["accuracy"] == measured.transformed["2"] and measured.test_examples == 2


def test_logits_of_several_labels_have_no_distance_as_softmax_ignores_nothing_in_them() -> None:
    class Labels(Source):
        classes, transformation = ("a", "b"), Rescaling("level", 0, 9)

        def split(self, stage: Stage) -> Any:
            return [(torch.ones(1, 8), torch.tensor([1.0, 0.0])), (torch.zeros(1, 8), torch.tensor([0.0, 1.0]))]

        def transformed(self, stage: Stage, factor: float) -> Any:
            return self.split(stage)

    measured = measure(Sums(), MultiLabel(2), Labels(), 2, [2])
    assert list(measured.transformed) == ["2"] and measured.moved == {}


def test_a_recording_is_tested_by_the_mean_of_its_windows_probabilities() -> None:
    logits, target = torch.randn(7, 3), torch.tensor([1, 1, 0, 2, 2, 2, 0])
    recordings = [4, 4, 9, 2, 2, 2, 7]
    found, truth = of_recordings(MultiClass(3), logits, target, recordings)
    rows = [[3, 4, 5], [0, 1], [6], [2]]  # in the order of their numbers
    torch.testing.assert_close(found.softmax(1), torch.stack([logits[row].softmax(1).mean(0) for row in rows]))
    assert truth.tolist() == [2, 1, 0, 0]
    many = torch.randint(2, (7, 3)).float()
    found, truth = of_recordings(MultiLabel(3), logits, many, recordings)
    torch.testing.assert_close(found.sigmoid(), torch.stack([logits[row].sigmoid().mean(0) for row in rows]))
    assert torch.equal(truth, many[[3, 0, 6, 2]])
    assert of_recordings(MultiClass(3), logits, target, None) == (logits, target)


class Maps(Source, Dataset[tuple[Tensor, Tensor]]):
    """Images of three sizes whose masks are where they are bright; nothing is kept of them."""

    classes, transformation = ("background", "bright"), Rotation()

    def __init__(self, count: int = 12) -> None:
        self.count = count

    def split(self, stage: Stage) -> "Maps":
        return self

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        x = torch.rand(1, 8 + item // 4, 9, generator=torch.Generator().manual_seed(item))
        mask = (x[0] > 0.5).long()
        mask[0] = IGNORED
        mask[1, : item + 1] = 1 - mask[1, : item + 1]  # the network is wrong there: item 0 is the best
        return x, mask


class Held(nn.Module):
    """The logits of what is bright. It counts the maps that are still held by others."""

    min_size = 3

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.made: list[weakref.ref[Tensor]] = []
        self.most = 0

    def forward(self, x: Tensor) -> Tensor:
        self.most = max(self.most, sum(made() is not None for made in self.made))
        logits: Tensor = 20 * self.weight * (x - 0.5)
        self.made.append(weakref.ref(logits))
        return logits


def test_maps_are_measured_batch_by_batch_and_not_held() -> None:
    network = Held()
    outcome = outcome_of(network, Segmentation(2), Maps(40), 2)
    assert outcome.examples == 40 and outcome.logits is None and outcome.target is None
    assert len(network.made) >= 20 and network.most <= 1  # that of the batch before


def test_metrics_of_maps_do_not_depend_on_the_batches() -> None:
    one, many = (outcome_of(Held(), Segmentation(2), Maps(), size) for size in (1, 5))
    assert one.metrics.keys() == many.metrics.keys()
    others = [{name: value for name, value in outcome.metrics.items() if name != "loss"} for outcome in (one, many)]
    assert others[0] == pytest.approx(others[1], rel=1e-6)  # the loss of a batch has a soft Dice of its own
    assert one.details == many.details and one.scores == pytest.approx(many.scores)
    x, mask = zip(*(Maps()[item] for item in range(12)), strict=True)
    counts = torch.cat([m[m != IGNORED] for m in mask])
    bright = torch.cat([a[0][m != IGNORED] > 0.5 for a, m in zip(x, mask, strict=True)])
    assert one.metrics["pixel_accuracy"] == pytest.approx((counts == bright).double().mean().item(), rel=1e-6)
    overlap = 2 * (counts * bright).sum() / (counts.sum() + bright.sum())
    assert one.metrics["dice"] == pytest.approx(overlap.item(), rel=1e-6)


def test_scores_are_the_dice_of_each_image() -> None:
    task = Segmentation(2)
    alone = [outcome_of(Held(), task, Subset(Maps(), [item]), 1).metrics["dice"] for item in range(12)]
    assert outcome_of(Held(), task, Maps(), 5).scores == pytest.approx(alone, rel=1e-6)
    nothing = torch.zeros(1, 4, 4)
    assert task.scores(nothing[None] - 1, nothing.long()).tolist() == [1.0]  # rightly nothing
    assert task.scores(nothing[None] + 1, nothing.long()).tolist() == [0.0]


def test_the_best_the_median_and_the_worst_case_are_kept() -> None:
    measured = measure(Held(), Segmentation(2), Maps(9), 4, [0, 90])
    scores = measured.outcome.scores
    order = sorted(range(9), key=lambda item: -scores[item])
    assert [case.item for case in measured.cases] == [order[0], order[4], order[8]] and order[0] < order[8]
    for case in measured.cases:
        x, mask = Maps()[case.item]
        assert torch.equal(case.input, x) and torch.equal(case.target, mask)
        assert torch.equal(case.logits, 20 * (x - 0.5)) and case.score == scores[case.item]
    assert measured.transformed == pytest.approx({"0": measured.test["dice"], "90": measured.test["dice"]})
    assert measured.moved == {}
    assert cases(Held(), Maps(2), [0.5, 0.5])[0].item == 0 and cases(Held(), Maps(2), []) == []


def test_maps_of_padded_images_are_cropped_again() -> None:
    class Wide(Held):
        min_size = 12

    ((x, logits, target),) = outputs(Wide(), Maps(2), 2)
    assert logits.shape == (2, 1, *target.shape[1:]) and torch.equal(logits, 20 * (x - 0.5))


def test_large_examples_are_few_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that sixteen images of 2,000 × 2,000 pixels fit into memory."""
    monkeypatch.setattr("experiments.evaluation.measure.POSITIONS", 20)
    batches = list(outputs(Sums(), Sounds([7, 7, 7, 30, 30, 4, 4, 4, 4, 4, 4]), 5))
    assert [tuple(x.shape) for x, _, _ in batches] == [(2, 1, 7), (1, 1, 7), *2 * [(1, 1, 30)], (5, 1, 4), (1, 1, 4)]
    assert torch.cat([target for _, _, target in batches]).tolist() == [item % 2 for item in range(11)]
