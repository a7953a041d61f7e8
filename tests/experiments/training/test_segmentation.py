"""Loss and metrics of segmentation against torch's, scikit-learn's and formulas."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_auc_score
from torch import Tensor

from experiments.data.inputs import IGNORED
from experiments.data.source import unpacked
from experiments.training.tasks.pixels import PixelAUROC
from experiments.training.tasks.segmentation import Segmentation

MAPS = [(2, (5, 7)), (4, (5, 7)), (2, (30,)), (3, (30,))]  # number of classes, shape of a map


def batch(num_classes: int, shape: Sequence[int], size: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    outputs = 1 if num_classes == 2 else num_classes
    logits = torch.randn(size, outputs, *shape, generator=generator, dtype=torch.float64)
    return logits, torch.randint(num_classes, (size, *shape), generator=generator)


def metrics(task: Segmentation, logits: Tensor, target: Tensor) -> dict[str, float]:
    collection = task.metrics()
    for part, of in zip(logits.split(3), target.split(3), strict=True):
        collection.update(part, of)
    return {name: value.item() for name, value in collection.compute().items()}


def test_cross_entropy_is_torchs() -> None:
    weights = [0.5, 2.0]
    logits, target = batch(2, (5, 7))
    each = F.binary_cross_entropy_with_logits(logits[:, 0], target.double(), reduction="none")
    assert Segmentation(2, dice=0).loss(logits, target).item() == pytest.approx(each.mean().item(), rel=1e-12)
    at = torch.tensor(weights, dtype=torch.float64)[target]
    weighted = Segmentation(2, weights, dice=0).loss(logits, target)
    assert weighted.item() == pytest.approx(((each * at).sum() / at.sum()).item(), rel=1e-12)
    logits, target = batch(3, (30,))
    target[0, :9] = IGNORED
    expected = F.cross_entropy(logits, target, torch.tensor([1.0, 2.0, 4.0]).double(), ignore_index=IGNORED)
    assert Segmentation(3, [1, 2, 4], dice=0).loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-12)


def test_soft_dice_by_hand() -> None:
    # Probabilities of the foreground .5, .5, .75 and .25; truth 1, 0, 1 and ignored. 2 (.5 + .75) / (1.75 + 2) = 2/3.
    logits = torch.tensor([[[0.0, 0.0, np.log(3), -np.log(3)]]], dtype=torch.float64)
    target = torch.tensor([[1, 0, 1, IGNORED]])
    entropy = Segmentation(2, dice=0).loss(logits, target)
    assert entropy.item() == pytest.approx((2 * np.log(2) + np.log(4 / 3)) / 3, rel=1e-12)
    assert (Segmentation(2, dice=3).loss(logits, target) - entropy).item() == pytest.approx(3 * (1 - 2 / 3), rel=1e-12)


def test_soft_dice_is_over_the_batch_and_the_classes_that_it_has() -> None:
    logits, target = batch(4, (5, 7))
    target[target == 3] = 0
    p = logits.softmax(1)
    dice = [2 * p[:, c][target == c].sum() / (p[:, c].sum() + (target == c).sum()) for c in (1, 2)]
    loss = Segmentation(4).loss(logits, target) - F.cross_entropy(logits, target)
    assert loss.item() == pytest.approx(1 - sum(dice).item() / 2, rel=1e-12)  # type: ignore[union-attr]
    background = torch.zeros_like(target)
    expected = F.cross_entropy(logits, background).item()
    assert Segmentation(4).loss(logits, background).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("num_classes", "shape"), MAPS)
def test_ignored_positions_change_nothing(num_classes: int, shape: Sequence[int]) -> None:
    logits, target = batch(num_classes, shape)
    task, where = Segmentation(num_classes), torch.rand(target.shape) < 0.7
    other = torch.where(where.unsqueeze(1), logits, 9 * torch.randn_like(logits))
    masked = unpacked([logits, target, where])[1]
    assert torch.equal(masked == IGNORED, ~where) and torch.equal(masked[where], target[where])
    assert task.loss(logits, masked).item() == pytest.approx(task.loss(other, masked).item(), rel=1e-14)
    assert metrics(task, logits, masked) == metrics(task, other, masked)
    numbered = target + 256 * torch.randint(300, target.shape)
    assert task.loss(logits, numbered).item() == task.loss(logits, target).item()
    assert metrics(task, logits, numbered) == metrics(task, logits, target)
    assert metrics(task, logits, masked) != metrics(task, logits, target)


@pytest.mark.parametrize(("num_classes", "shape"), MAPS)
def test_nothing_that_counts_is_a_loss_of_0(num_classes: int, shape: Sequence[int]) -> None:
    logits, target = batch(num_classes, shape)
    logits.requires_grad_()
    loss = Segmentation(num_classes, [1.0] * num_classes).loss(logits, torch.full_like(target, IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and (logits.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_precisions(dtype: torch.dtype) -> None:
    logits, target = batch(3, (16, 16))
    logits = logits.to(dtype)
    task = Segmentation(3)
    with torch.autocast("cpu", torch.bfloat16):
        loss = task.loss(logits, target)
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert loss.item() == pytest.approx(task.loss(logits.double(), target).item(), rel=1e-6)
    assert metrics(task, logits, target) == pytest.approx(metrics(task, logits.double(), target), abs=1e-4)


@pytest.mark.parametrize(("num_classes", "shape"), MAPS)
def test_probabilities_and_their_inverse(num_classes: int, shape: Sequence[int]) -> None:
    task, (logits, target) = Segmentation(num_classes), batch(num_classes, shape)
    probabilities = task.probabilities(logits)
    assert logits.shape[1] == task.num_outputs
    assert probabilities.shape == (len(target), num_classes, *shape)
    torch.testing.assert_close(probabilities.sum(1), torch.ones_like(probabilities[:, 0]), rtol=1e-12, atol=0)
    torch.testing.assert_close(task.probabilities(task.logits(probabilities)), probabilities, rtol=1e-12, atol=0)
    assert (task.classes_of(logits) == probabilities.argmax(1)).all()
    if num_classes == 2:
        torch.testing.assert_close(probabilities[:, 1:], logits.sigmoid(), rtol=1e-12, atol=0)
    assert task.logits(torch.eye(num_classes).view(num_classes, num_classes, *[1] * len(shape))).isfinite().all()


@pytest.mark.parametrize(("num_classes", "shape"), MAPS)
def test_metrics_are_scikit_learns(num_classes: int, shape: Sequence[int]) -> None:
    task, (logits, target) = Segmentation(num_classes), batch(num_classes, shape, size=40)
    logits[:, 0] += target.double()  # so that there is something to find
    predicted, truth = task.classes_of(logits).flatten(), target.flatten()
    values = metrics(task, logits, target)
    assert values["pixel_accuracy"] == pytest.approx((predicted == truth).double().mean().item(), rel=1e-6)
    scores = task.probabilities(logits).movedim(1, -1).reshape(-1, num_classes).numpy()
    auroc = roc_auc_score(truth, scores[:, 1] if num_classes == 2 else scores, multi_class="ovr")
    assert values["auroc"] == pytest.approx(auroc, abs=1e-5)
    details = task.details()["confusion"]
    details.update(logits, target)
    assert details.compute().tolist() == confusion_matrix(truth, predicted).tolist()


def test_dice_by_hand() -> None:
    # Image 1: class 1 has 2 of 3 predicted pixels right, of 2 true; class 2 has 0 of 1. Image 2: only background.
    # Image 3: class 1 is right. Over all images: class 1: 2 · 3 / (4 + 3), class 2: 0 / (0 + 1); class 3 is nowhere.
    truth = torch.tensor([[1, 1, 2, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    predicted = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    values = metrics(Segmentation(4), F.one_hot(predicted, 4).movedim(-1, 1).double(), truth)
    assert values["dice"] == pytest.approx((6 / 7 + 0) / 2, rel=1e-6)
    assert values["iou"] == pytest.approx((3 / 4 + 0) / 2, rel=1e-6)
    assert values["dice_per_image"] == pytest.approx(((4 / 5 + 0) / 2 + 1) / 2, rel=1e-6)  # image 2 is left out
    assert values["pixel_accuracy"] == pytest.approx(11 / 12, rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_iou_follows_from_dice(pixels: list[tuple[int, int]]) -> None:
    truth, predicted = torch.tensor(pixels).unsqueeze(0).unbind(-1)
    values = metrics(Segmentation(2), (2.0 * predicted - 1).unsqueeze(1), truth)
    if (truth + predicted).any():
        both, either = (truth * predicted).sum().item(), (truth | predicted).sum().item()
        assert values["iou"] == pytest.approx(both / either, rel=1e-6)
        assert values["iou"] == pytest.approx(values["dice"] / (2 - values["dice"]), rel=1e-6)
        assert values["dice_per_image"] == values["dice"]
    else:
        assert np.isnan([values["dice"], values["iou"], values["dice_per_image"]]).all()


@pytest.mark.parametrize(("offset", "spread"), [(0, 0.001), (0.3, 0.01), (-12, 0.15), (0, 1), (-12, 3), (40, 30)])
def test_the_histogram_errs_by_less_than_it_says(offset: float, spread: float) -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(20_000) < 0.1).astype(int)
    logits = offset + spread * (rng.standard_normal(20_000) + truth)
    metric = PixelAUROC(2)
    metric.update(torch.from_numpy(logits).view(2, 1, 100, 100), torch.from_numpy(truth).view(2, 100, 100))
    error = abs(metric.compute().item() - roc_auc_score(truth, logits))
    in_one_bin = metric.counts.double().prod(1).sum() / metric.counts.double().sum(-1).prod()
    assert error <= in_one_bin / 2 + 1e-7
    assert error < 1e-4


def test_auroc_of_extreme_logits() -> None:
    truth = torch.tensor([[0, 1, 0, 1]])
    for far in 1e4, 3e38, torch.inf:
        metric = PixelAUROC(2)
        metric.update(torch.tensor([[[-far, far, 0.0, 0.0]]]), truth)
        assert metric.compute().item() == 3.5 / 4  # of the four pairs one is a tie
    only = PixelAUROC(2)
    only.update(torch.randn(1, 1, 4), torch.zeros(1, 4, dtype=torch.long))
    assert only.compute().isnan()


@pytest.mark.parametrize(("num_classes", "shape"), MAPS)
def test_two_halves_are_the_whole(num_classes: int, shape: Sequence[int]) -> None:
    task, (logits, target) = Segmentation(num_classes), batch(num_classes, shape, size=6)
    whole, parts = task.metrics(), [task.metrics(), task.metrics()]
    whole.update(logits, target)
    for part, rows in zip(parts, (slice(0, 2), slice(2, 6)), strict=True):
        part.update(logits[rows], target[rows])
    for name, metric in parts[0].items():
        metric.merge_state(parts[1][name])
        assert metric.compute().item() == pytest.approx(whole[name].compute().item(), rel=1e-6), name


def test_metrics_have_a_prefix_and_start_again() -> None:
    task, (logits, target) = Segmentation(3, thin=True, objects=True), batch(3, (12, 12))
    collection = task.metrics("val_")
    collection.update(logits, target)
    first = collection.compute()
    assert all(name.startswith("val_") for name in first)
    collection.reset()
    collection.update(logits[:1], target[:1])
    collection.reset()
    collection.update(logits, target)
    assert collection.compute() == first


def test_memory_does_not_grow_with_the_images() -> None:
    collection = Segmentation(3, thin=True, objects=True).metrics()

    def numbers() -> int:
        states = [state for metric in collection.values() for state in metric.metric_state.values()]
        return sum(torch.as_tensor(state).numel() for state in states)

    collection.update(*batch(3, (8, 8)))
    before = numbers()
    collection.update(*batch(3, (40, 40), size=9))
    assert numbers() == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.zeros(2, 4, 4), "needs targets of whole numbers, not torch.float32"),
        (torch.zeros(2, 4, 5, dtype=torch.long), r"shape of the maps, \(2, 4, 4\), not \(2, 4, 5\)"),
        (torch.full((2, 4, 4), 3), "class number 3; task=segmentation needs 0 to 2, or 255"),
        (torch.full((2, 4, 4), -1), "class number -1"),
        (torch.full((2, 4, 4), 7 + 256 * 5), "class number 7"),
    ],
)
def test_wrong_targets(target: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segmentation(3).loss(torch.zeros(2, 3, 4, 4), target)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"task\.class_weights has 3 weights for 2 classes"):
        Segmentation(2, class_weights=[1, 2, 3])
    for num_classes in 1, 256:
        with pytest.raises(ValueError, match=f"2 to 255 classes, with the background, not {num_classes}"):
            Segmentation(num_classes)


def test_structures_are_measured_on_whole_images_alone() -> None:
    """In training, windows would cut them."""
    task = Segmentation(2, thin=True, objects=True)
    whole, windows = set(task.metrics()), set(task.training_metrics())
    assert windows == {"dice", "iou", "dice_per_image", "pixel_accuracy", "auroc"}
    structures = {"centreline_dice", "components", "object_f1", "aggregated_jaccard", "panoptic_quality"}
    assert whole - windows == structures
    assert set(task.training_metrics("train_")) == {f"train_{name}" for name in windows}
