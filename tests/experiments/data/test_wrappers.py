"""A share of the examples: stratified, nested, drawn by the seed; and the classes of a network, found by name."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset, Subset, TensorDataset

from experiments.data.inputs import IGNORED
from experiments.data.source import Source, Stage
from experiments.data.transformation import Reflection
from experiments.data.wrappers import Relabelled, labels, share


def targets_of(examples: Any) -> np.ndarray:
    found = labels(examples)
    assert found is not None
    return found


def examples(counts: list[int]) -> TensorDataset:
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return TensorDataset(torch.arange(len(targets)), targets[torch.randperm(len(targets))])


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=5), fraction=st.floats(0.01, 1), seed=st.integers(0, 5))
def test_every_class_gives_its_share(counts: list[int], fraction: float, seed: int) -> None:
    data = examples(counts)
    part = share(data, fraction, seed)
    expected = [max(1, round(fraction * count)) for count in counts]
    assert np.bincount(targets_of(part), minlength=len(counts)).tolist() == expected
    larger = share(data, (1 + fraction) / 2, seed)
    assert {int(x) for x, _ in part} <= {int(x) for x, _ in larger}  # type: ignore[attr-defined]


def test_the_seed_draws_them() -> None:
    data = examples([20, 20])
    parts = [share(data, 0.25, seed) for seed in (0, 0, 1)]
    rows = [part.indices for part in parts if isinstance(part, Subset)]
    assert rows[0] == rows[1] != rows[2]
    assert share(data, 1, 0) is data


def test_several_labels_each() -> None:
    targets = torch.tensor([[0.0, 1.0], [1.0, 1.0]]).repeat(10, 1)
    part: Any = share(TensorDataset(torch.zeros(20), targets), 0.5, 0)
    assert targets_of(part).sum(0).tolist() == [5, 10]


def test_a_share_of_many_combinations_is_a_share() -> None:
    targets = (torch.rand(1000, 10, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    targets[:, 9] = 0
    targets[7, 9] = 1  # of one example only
    data = TensorDataset(torch.arange(1000), targets)
    before: set[int] = set()
    for fraction in (0.01, 0.1, 0.5, 0.9):
        part: Any = share(data, fraction, 0)
        assert 0 <= len(part) - 1000 * fraction <= 10 and targets_of(part).any(0).all()
        assert before <= set(part.indices)
        before = set(part.indices)
        if fraction > 0.01:
            np.testing.assert_allclose(targets_of(part).mean(0), targets.mean(0), atol=0.05)


def test_a_share_of_single_numbers() -> None:
    part: Any = share(TensorDataset(torch.zeros(100, 1, 4), torch.rand(100)), 0.1, 0)
    assert len(part) == 10


@pytest.mark.parametrize("fraction", [0, -1, 1.5, float("nan")])
def test_no_share(fraction: float) -> None:
    with pytest.raises(ValueError, match=f"fraction={fraction:g} is not a share"):
        share(examples([3]), fraction, 0)


def test_a_share_of_maps_or_numbers_is_of_all_examples() -> None:
    masks = TensorDataset(torch.zeros(20), torch.zeros(20, 3, 3, dtype=torch.int64))
    numbers = TensorDataset(torch.zeros(20), torch.rand(20, dtype=torch.float64))
    numbers.labels = numbers.tensors[1].numpy()  # type: ignore[attr-defined]
    for data in masks, numbers:
        parts: list[Any] = [share(data, fraction, 3) for fraction in (0.01, 0.3, 0.6)]
        assert [len(part) for part in parts] == [1, 6, 12]
        assert set(parts[0].indices) < set(parts[1].indices) < set(parts[2].indices)


class Given(Source):
    """One example, with a target. It is not for validation."""

    transformation = Reflection()
    classes = ("a", "b")
    validated = False

    def __init__(self, target: Any) -> None:
        self.target = target

    def split(self, stage: Stage) -> Dataset[Any]:
        items: Any = [(torch.zeros(1, 2, 3), self.target)]
        return items


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (1, 0),
        (torch.tensor(0), torch.tensor(2)),
        (torch.tensor([0.25, 0.75]), torch.tensor([0.75, 0, 0.25])),
        (torch.tensor([[0, 1, 256]]), torch.tensor([[2, 0, 258]])),
        (torch.tensor([[IGNORED, IGNORED + 512, 257]]), torch.tensor([[IGNORED, IGNORED + 512, 256]])),
    ],
)
def test_classes_are_found_by_their_names(target: Any, expected: Any) -> None:
    given = Given(target)
    given.transforms, given.repeats = [abs], 5
    source = Relabelled(given, ["b", "c", "a"])
    assert source.transforms == [abs] and source.repeats == 5
    _, found = source.split("test")[0]
    assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected)) and type(found) is type(expected)
    assert len(source.transformed("test", 1)) == 1 and not source.validated  # type: ignore[arg-type]


def test_a_class_that_the_network_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="does not know the class b; it knows a, c"):
        Relabelled(Given(0), ["a", "c"])
