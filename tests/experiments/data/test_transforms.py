"""Augmentation: what is drawn depends on seed, epoch and item alone; mixtures are of two classes; masks move alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments.data.inputs import IGNORED
from experiments.data.sound.transforms import Noise
from experiments.data.transforms import Mix
from experiments.data.wrappers import Augmented
from tests.experiments.runs import CONF, assert_same_run, composed, run, tiny
from tests.experiments.training.test_loading import Tones, epoch

# That of Speech Commands needs its noises, and is tested with them.
OPTIONS = sorted({file.stem for file in (CONF / "augment").glob("*.yaml")} - {"background_noise"})
IMAGE = {name for name in OPTIONS if "experiments.data.image" in (CONF / "augment" / f"{name}.yaml").read_text()}
MOVES = "rescale", "turn", "flip", "image"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def transforms(name: str) -> list[Any]:
    data = ["data=digits_scale"] if name in IMAGE else []
    cfg = composed(*data, f"augment={name}")
    return [instantiate(node) for node in cfg.augment.values()]


def test_a_mixture_is_of_two_classes_with_labels_in_proportion() -> None:
    x = torch.eye(20)[:, None]  # each example is recognised in a mixture
    labels = torch.arange(20) % 4
    mixed = Augmented(TensorDataset(x, labels), [Mix()], num_classes=5)
    seen = []
    for item in range(20):
        y, target = mixed[3, item]
        (one, other), weights = y[0].nonzero()[:, 0].tolist(), y[0][y[0] > 0]
        assert item in (one, other) and labels[one] != labels[other]
        assert weights.square().sum() == pytest.approx(1)
        shares = weights / weights.sum()
        expected = torch.zeros(5).index_add_(0, labels[[one, other]], shares)
        torch.testing.assert_close(target, expected)
        seen.append(float(shares.min()))
    assert min(seen) < 0.15 and max(seen) > 0.35
    with pytest.raises(ValueError, match="all of one class"):
        Augmented(TensorDataset(x, labels * 0), [Mix()], num_classes=5)[0, 0]


def test_numbers_are_not_mixed() -> None:
    examples: Any = TensorDataset(torch.randn(5, 1, 8), torch.randn(5, 1, dtype=torch.float64))
    examples.labels = examples.tensors[1].numpy()
    with pytest.raises(
        ValueError, match=r"augment: Mix needs classes, and the data have none; leave it out: ~augment.mix"
    ):
        Augmented(examples, [Mix()], num_classes=1)


def test_what_stands_before_the_mixing_changes_both_and_what_stands_behind_changes_the_mixture() -> None:
    examples = TensorDataset(torch.ones(2, 1, 8) * torch.tensor([1.0, 100.0])[:, None, None], torch.tensor([0, 1]))

    def louder(x: Tensor, rng: np.random.Generator) -> Tensor:
        return x * (1 + int(rng.integers(9)))

    before = {round(float(Augmented(examples, [louder, Mix()], 2)[e, 0][0][0, 0]), 3) for e in range(40)}
    assert len(before) == 40
    x, target = Augmented(examples, [Mix(), lambda x, rng: x.new_tensor(7.0)], 2)[0, 0]
    assert x == 7 and target.sum() == pytest.approx(1) and (target > 0).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_an_example_depends_on_seed_epoch_and_item_alone(name: str) -> None:
    shape = (3, 28, 28) if name in IMAGE else (1, 16000)
    examples = TensorDataset(torch.rand(6, *shape, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3)
    state = torch.get_rng_state()
    data, again = (Augmented(examples, transforms(name), 3, seed=7) for _ in range(2))
    first = {position: data[position] for position in [(0, 0), (1, 0), (0, 1), (1, 1)]}
    for position in reversed(first):
        x, target = again[position]
        assert torch.equal(x, first[position][0])
        assert torch.equal(torch.as_tensor(target), torch.as_tensor(first[position][1]))
    assert any(not torch.equal(first[0, 0][0], data[epoch, 0][0]) for epoch in range(1, 9))
    other = Augmented(examples, transforms(name), 3, seed=8)
    assert any(not torch.equal(other[epoch, 0][0], data[epoch, 0][0]) for epoch in range(9))
    assert torch.equal(state, torch.get_rng_state())


def test_loading_processes_and_devices_change_nothing() -> None:
    augmented = [Noise(0, 10)]
    alone = dict(
        zip(*map(Tensor.tolist, reversed(epoch(2, workers=0, source=Tones(), transforms=augmented))), strict=True)
    )
    for workers, world_size in (2, 1), (1, 2):
        for rank in range(world_size):
            values, items = epoch(2, 0, world_size, rank, workers, source=Tones(), transforms=augmented)
            assert all(alone[item] == value for item, value in zip(items.tolist(), values.tolist(), strict=True))


@pytest.mark.slow
def test_an_augmented_run_resumes_to_the_same_result(sounds: Path, tmp_path: Path) -> None:
    options = [*tiny(sounds), "augment=sound_speed", "augment.speed.seconds=0.1", "rescale=[]", "fraction=0.5"]
    options.append("+augment.mix._target_=experiments.data.transforms.Mix")
    run(tmp_path / "unbroken", *options, "trainer.max_epochs=3")
    run(tmp_path / "resumed", *options, "trainer.max_epochs=1")
    run(tmp_path / "resumed", *options, "trainer.max_epochs=3")
    assert_same_run(tmp_path / "unbroken", tmp_path / "resumed")


@pytest.mark.parametrize("name", MOVES)
def test_a_mask_moves_as_its_image_does(name: str) -> None:
    """Each object of the mask is where the image has its brightness; what a move brings in does not count."""
    mask = torch.zeros(32, 32, dtype=torch.int64)
    mask[6:14, 5:20], mask[18:28, 12:17] = 1 + 256, 2 + 2 * 256
    image = (mask % 256).float()[None] / 2
    data = Augmented(TensorDataset(image[None], mask[None]), transforms(name), 3, seed=1)
    moves = 0
    for number in range(20):
        x, target = data[number, 0]
        assert x.shape == image.shape and target.shape == mask.shape and target.dtype == torch.int64
        assert set(target.unique().tolist()) <= {0, 1 + 256, 2 + 2 * 256, IGNORED}
        counts = target != IGNORED
        wrong = ((x[0] - (target % 256) / 2).abs() > 0.26) & counts  # by interpolation, up to half a step at edges
        assert wrong.sum() < 0.06 * counts.sum()
        moves += not torch.equal(target, mask)
    assert moves > 15


def test_augmented_folds_where_a_target_counts_into_it() -> None:
    where = torch.tensor([[[True, False], [True, True]]])
    data = Augmented(TensorDataset(torch.rand(1, 3, 2, 2), torch.ones(1, 2, 2, dtype=torch.int64), where), [], 2)
    assert data[0][1].tolist() == [[1, IGNORED], [1, 1]]


def test_each_repeat_of_an_example_is_another() -> None:
    data = Augmented(TensorDataset(torch.zeros(3, 1, 100), torch.arange(3)), transforms("noise"), 3, repeats=2)
    ones = Augmented(TensorDataset(torch.ones(3, 1, 100), torch.arange(3)), transforms("noise"), 3, repeats=2)
    assert len(ones) == len(data) == 6
    assert [ones[0, item][1] for item in range(6)] == [0, 1, 2, 0, 1, 2]
    assert not torch.equal(ones[0, 0][0], ones[0, 3][0])
