"""What tests do to examples: rescaling, rotation, reflection, of inputs and maps alike."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from experiments.data.inputs import IGNORED, INSTANCE
from experiments.data.transformation import (
    PLAYBACK,
    Reflection,
    Rescaling,
    Rotation,
    Transformation,
    Transformed,
    is_map,
    named,
)

SIDES = st.integers(1, 24)
ALL: list[tuple[Transformation, float]] = [
    *((Rescaling(), factor) for factor in (0.25, 0.5, 0.71, 1.0, 1.41, 2.0)),
    *((Rotation(), angle) for angle in (-90.0, 0.0, 30.0, 90.0, 180.0)),
    *((Reflection(), amount) for amount in (0.0, 1.0)),
]


def labelled(height: int, width: int) -> Tensor:
    """Return a map in which each pixel has another number."""
    return torch.arange(height * width).view(height, width) % 200 + INSTANCE * torch.arange(height * width).view(
        height, width
    )


@settings(deadline=None)
@given(height=SIDES, width=SIDES, factor=st.floats(0.25, 4))
def test_a_rescaled_image_is_neither_padded_nor_cropped(height: int, width: int, factor: float) -> None:
    x = torch.rand(3, height, width)
    y = Rescaling()(x, factor)
    assert y.shape == (3, max(1, round(height * factor)), max(1, round(width * factor)))
    assert y.min() >= 0 and y.max() <= 1
    flat = Rescaling()(torch.full((1, height, width), 0.3), factor)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.3), rtol=0, atol=1e-6)  # no black at the edges
    assert torch.equal(Rescaling()(x, 1), x)


@settings(deadline=None)
@given(length=st.integers(1, 400), factor=st.floats(0.25, 4))
def test_a_sound_at_another_speed_is_as_long_as_that_takes(length: int, factor: float) -> None:
    assert PLAYBACK(torch.zeros(1, length), factor).shape == (1, math.ceil(length * (1 / factor)))
    assert torch.equal(PLAYBACK(x := torch.rand(1, length), 1), x)


@settings(deadline=None)
@given(height=SIDES, width=SIDES, move=st.sampled_from(ALL))
def test_maps_have_the_size_of_their_images_and_no_new_numbers(
    height: int, width: int, move: tuple[Transformation, float]
) -> None:
    transformation, amount = move
    target = labelled(height, width)
    moved = transformation.target(target, amount)
    assert moved.shape == transformation(torch.rand(1, height, width), amount).shape[1:]
    assert moved.dtype == target.dtype and set(moved.unique().tolist()) <= {*target.unique().tolist(), IGNORED}


@pytest.mark.parametrize("move", ALL, ids=str)
def test_maps_move_as_their_images_do(move: tuple[Transformation, float]) -> None:
    transformation, amount = move
    target = torch.zeros(40, 40, dtype=torch.int64)
    target[8:20, 5:30], target[24:34, 10:16] = 1, 2 + 7 * INSTANCE
    image = (target % INSTANCE).float()[None] / 2
    x, moved = transformation(image, amount), transformation.target(target, amount)
    counts = moved != IGNORED
    wrong = (x[0] - (moved % INSTANCE) / 2).abs() > 0.3  # at edges interpolation may be as far as half a step
    assert (wrong & counts).sum() <= 0.06 * counts.sum()
    assert torch.equal(moved // INSTANCE > 0, moved % INSTANCE == 2)


@settings(deadline=None)
@given(height=SIDES, width=SIDES, quarters=st.integers(-4, 4))
def test_quarter_turns_and_reflections_are_exact(height: int, width: int, quarters: int) -> None:
    x, target = torch.rand(2, height, width), labelled(height, width)
    assert torch.equal(Rotation()(x, 90 * quarters), x.rot90(quarters, (1, 2)))
    assert torch.equal(Rotation().target(target, 90 * quarters), target.rot90(quarters))
    assert torch.equal(Reflection()(x, 1), x.flip(2)) and torch.equal(Reflection().target(target, 1), target.flip(1))
    assert torch.equal(Reflection()(Reflection()(x, 1), 1), x)


@pytest.mark.parametrize("angle", [10.0, 30.0, 45.0, -60.0])
def test_a_rotation_brings_in_what_does_not_count(angle: float) -> None:
    """What counts afterwards is what was inside before, counterclockwise; an image goes on beyond its edge."""
    size = 41
    target = torch.ones(size, size, dtype=torch.int64)
    moved = Rotation().target(target, angle)
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    from_row, from_column = cos * row + sin * column, -sin * row + cos * column
    inside = np.maximum(np.abs(from_row), np.abs(from_column))
    assert (moved.numpy()[inside < size / 2 - 0.01] == 1).all()
    assert (moved.numpy()[inside > size / 2 + 0.01] == IGNORED).all() and (moved == IGNORED).any()
    assert Rotation()(torch.ones(1, size, size), angle).min() > 0.999
    point = torch.zeros(1, size, size)
    point[0, 20, 32] = 1  # 12 to the right of the centre
    y, x = np.unravel_index(int(Rotation()(point, angle).argmax()), (size, size))
    assert (20 - y, x - 20) == pytest.approx((12 * sin, 12 * cos), abs=1)


@settings(deadline=None)
@given(length=st.integers(1, 200), factor=st.sampled_from([0.25, 0.71, 1.0, 1.41, 4.0]))
def test_maps_of_sounds_move_as_the_sounds(length: int, factor: float) -> None:
    target = torch.arange(length)
    moved = PLAYBACK.target(target, factor)
    assert len(moved) == PLAYBACK(torch.zeros(1, length), factor).shape[1]
    assert torch.equal(moved, moved.sort().values) and set(moved.tolist()) <= set(range(length))
    assert torch.equal(Reflection().target(target, 1), target.flip(0))


@pytest.mark.parametrize("target", [3, torch.tensor(3), torch.tensor([0.5, 0.5]), torch.tensor(0.7), 0.7])
def test_what_is_not_a_map_stays_as_it_is(target: Any) -> None:
    assert not is_map(target)
    for transformation, amount in ALL:
        assert transformation.target(target, amount) is target


def test_where_an_example_counts_moves_as_well() -> None:
    where = torch.ones(1, 9, 9, dtype=torch.bool)
    where[0, :3] = False
    examples = TensorDataset(torch.rand(1, 1, 9, 9), torch.ones(1, 9, 9, dtype=torch.int64), where)
    for transformation, amount in ALL:
        data = Transformed(examples, transformation, amount)
        ((x, target, counts),) = [data[item] for item in range(len(data))]
        assert counts.dtype == torch.bool and counts.shape == target.shape == x.shape[1:]
        assert not counts[target == IGNORED].any()  # what is brought in does not count
    turned = Transformed(examples, Rotation(), 90)[0][2]
    assert torch.equal(turned, where[0].rot90())
    assert torch.equal(
        Transformed(examples, Rescaling(), 1 / 3)[0][2], torch.tensor([[False] * 3, [True] * 3, [True] * 3])
    )


def test_examples_of_labels_keep_them() -> None:
    examples: Dataset[Any] = TensorDataset(torch.rand(4, 1, 6, 8), torch.arange(4))
    data = Transformed(examples, Rescaling(), 0.5)
    assert len(data) == 4 and [int(label) for _, label in (data[item] for item in range(4))] == [0, 1, 2, 3]
    assert data[2][0].shape == (1, 3, 4)


@pytest.mark.parametrize(
    ("transformation", "amount", "message"),
    [
        (Rescaling(), 0.2, "rescale=0.2 is out of range; for size, choose values from 0.25 to 4"),
        (Rescaling(), float("nan"), "rescale=nan is out of range"),
        (replace(PLAYBACK, greatest=2.0), 2.1, "for playback speed, choose values from 0.25 to 2"),
        (Rotation(), 361, "rescale=361 is out of range; for angle, choose values from -360 to 360"),
        (Reflection(), 0.5, "rescale=0.5 is out of range; for reflections, choose 0 or 1"),
    ],
)
def test_amounts_out_of_range(transformation: Transformation, amount: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transformation.check(amount)


def test_amounts_are_written_with_their_unit() -> None:
    assert [Rescaling().label(0.5), Rotation().label(-45), Reflection().label(1), Reflection().label(0)] == [
        *("×0.5", "-45°", "mirrored", "as it is")
    ]


@pytest.mark.parametrize("transformation", [PLAYBACK, Rescaling(), Rotation(), Reflection(), Rescaling("pitch", 0, 9)])
def test_results_name_their_transformation(transformation: Transformation) -> None:
    found = named(transformation.name)
    assert type(found) is type(transformation) and found.name == transformation.name
    assert found.label(1) == transformation.label(1) and found.logarithmic == transformation.logarithmic
