"""A network on inputs of many files, and a classifier on windows of an image."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from experiments.data.image.slide import LargeImage
from experiments.evaluation.maps import average
from experiments.evaluation.windows import Slide, judge
from experiments.training.tasks.multi_class import MultiClass
from wavenets.models import MNet


class Sums(nn.Module):
    """Logits 0 and the sum of the input; it refuses inputs of length 13."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))
        self.batches: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(tuple(x.shape))
        if x.shape[-1] == 13:
            raise RuntimeError("no such size")
        total = x.flatten(1).sum(1) * self.one
        return torch.stack([torch.zeros_like(total), total], 1)


INPUTS: dict[str, list[tuple[int, float]]] = {  # length and value of the inputs
    "one": [(4, 0.1)],
    "three": [(4, 0.2), (4, 0.3), (4, 0.4)],
    "other size": [(6, 0.5)],
    "broken in the middle": [(4, 0.6), (0, 0.0), (4, 0.8)],
    "broken at once": [(0, 0.0)],
    "too odd": [(13, 1.0)],
    "not a number": [(4, float("nan")), (4, 0.9)],
    "last": [(4, 1.0), (6, 1.1)],
}


def read(file: str) -> Iterator[tuple[Any, Tensor]]:
    for number, (length, value) in enumerate(INPUTS[file]):
        if not length:
            raise ValueError(f"{file} is broken")
        yield number, torch.full((1, length), value)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100])
def test_each_file_has_its_own_outcome(batch_size: int) -> None:
    outcomes = list(judge(Sums(), MultiClass(2), INPUTS, read, batch_size))
    assert [outcome.file for outcome in outcomes] == list(INPUTS)
    errors = {outcome.file: str(outcome.error) for outcome in outcomes if outcome.error}
    assert errors == {
        "broken in the middle": "broken in the middle is broken",
        "broken at once": "broken at once is broken",
        "too odd": "no such size",
        "not a number": "the network's outputs are NaN or infinite, so there is no result",
    }
    for outcome in outcomes:
        if outcome.error is None:
            sums = torch.tensor([length * value for length, value in INPUTS[outcome.file]])
            expected = torch.stack([torch.zeros_like(sums), sums], 1).softmax(1)
            np.testing.assert_allclose(np.stack(outcome.probabilities), expected, rtol=0, atol=1e-6)
            assert outcome.parts == list(range(len(sums)))


def test_inputs_of_several_files_share_batches() -> None:
    network = Sums()
    list(judge(network, MultiClass(2), ["one", "three", "other size", "last"], read, 3))
    assert network.batches == [(3, 1, 4), (1, 1, 4), (1, 1, 6), (1, 1, 4), (1, 1, 6)]


def test_a_file_is_known_before_the_last_one_is_read() -> None:
    begun: list[str] = []

    def noted(file: str) -> Iterator[tuple[Any, Tensor]]:
        begun.append(file)
        yield from read(file)

    outcomes = judge(Sums(), MultiClass(2), ["one", "three", "last"], noted, 2)
    assert next(outcomes).file == "one" and "last" not in begun


def test_small_inputs_are_padded_as_in_the_test() -> None:
    network = MNet(3, 2).eval()
    x = torch.randn(1, network.min_size - 7)
    (outcome,) = judge(network, MultiClass(2), ["a"], lambda _: [(0, x)])
    with torch.no_grad():
        expected = network(nn.functional.pad(x, (3, 4))[None]).softmax(1)[0]
    np.testing.assert_allclose(outcome.probabilities[0], expected, rtol=0, atol=1e-6)


def test_windows_cover_an_image() -> None:
    x = torch.rand(3, 50, 33)
    slide = Slide(x.shape, (20, 40), hop=15)
    shares: list[float] = []
    assert (slide.window, slide.tops, slide.lefts) == ((20, 33), [0, 15, 30], [0])
    image = LargeImage(lambda rows, columns: x[:, rows, columns], 3, (50, 33))
    for (top, left), window in slide.inputs(image, shares.append):
        assert torch.equal(window, x[:, top : top + 20, left : left + 33])
    assert sum(shares) == pytest.approx(1)
    assert Slide(x.shape, (20, 10)).tops == [0, 10, 20, 30] and Slide(x.shape, (20, 10)).lefts == [0, 5, 10, 15, 20, 23]


def test_the_mean_of_windows_of_a_resampled_image() -> None:
    """Windows of an image of half the size; pixels of the map are two by two."""
    slide = Slide((3, 10, 8), (4, 4), hop=2)
    p = np.random.default_rng(0).dirichlet((1, 1, 1), len(slide.tops) * len(slide.lefts)).T
    small, large = np.zeros((3, 10, 8)), np.zeros((3, 20, 16))

    def put(into: np.ndarray) -> Any:
        def write(rows: slice, columns: slice, numbers: Tensor, values: Tensor) -> None:
            assert torch.equal(numbers, values.argmax(0))
            into[:, rows, columns] = values

        return write

    average(slide, p.astype(np.float32), (10, 8), put(small))
    average(slide, p.astype(np.float32), (20, 16), put(large))
    np.testing.assert_array_equal(large, small.repeat(2, 1).repeat(2, 2))
    np.testing.assert_allclose(small.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(small[:, 0, 0], p[:, 0], atol=1e-6)
