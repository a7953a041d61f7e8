"""A share of the training examples: stratified, nested, and drawn by the seed."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Subset, TensorDataset

from experiments.data.subset import labels, share


def examples(counts: list[int]) -> TensorDataset:
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return TensorDataset(torch.arange(len(targets)), targets[torch.randperm(len(targets))])


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=5), fraction=st.floats(0.01, 1), seed=st.integers(0, 5))
def test_every_class_gives_its_share(counts: list[int], fraction: float, seed: int) -> None:
    data = examples(counts)
    part = share(data, fraction, seed)
    expected = [max(1, round(fraction * count)) for count in counts]
    assert np.bincount(labels(part), minlength=len(counts)).tolist() == expected
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
    assert labels(part).sum(0).tolist() == [5, 10]


def test_a_share_of_many_combinations_is_a_share() -> None:
    targets = (torch.rand(1000, 10, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    targets[:, 9] = 0
    targets[7, 9] = 1  # of one example only
    data = TensorDataset(torch.arange(1000), targets)
    before: set[int] = set()
    for fraction in (0.01, 0.1, 0.5, 0.9):
        part: Any = share(data, fraction, 0)
        assert 0 <= len(part) - 1000 * fraction <= 10 and labels(part).any(0).all()
        assert before <= set(part.indices)
        before = set(part.indices)
        if fraction > 0.01:
            np.testing.assert_allclose(labels(part).mean(0), targets.mean(0), atol=0.05)


@pytest.mark.parametrize("fraction", [0, -1, 1.5, float("nan")])
def test_no_share(fraction: float) -> None:
    with pytest.raises(ValueError, match=f"fraction={fraction:g} is not a share"):
        share(examples([3]), fraction, 0)
