"""Metrics of thin structures and of objects against values computed by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from experiments.data.inputs import IGNORED
from experiments.training.tasks import structures
from experiments.training.tasks.segmentation import Segmentation
from experiments.training.tasks.structures import Mask, Numbers

NAN = float("nan")


def drawing(*rows: str) -> Numbers:
    """Read a drawing: a digit is the number of an object, a point is the background."""
    return np.array([[0 if pixel == "." else int(pixel) for pixel in row] for row in rows])


def mask(*rows: str) -> Mask:
    return drawing(*rows) > 0


def logits_of(classes: Tensor) -> Tensor:
    """Return logits of a single output of which the prediction is these classes, 0 or 1."""
    return (2.0 * (classes > 0) - 1).unsqueeze(1)


# One row of an image: A (6 pixels), B (4), C (2) in the truth.
#   truth       AAAAAA.BBBB.CC....
#   prediction  ppppp..qqqqqq...rr
# A∩p 5, A∪p 6: IoU 5/6. q covers B, the gap and one pixel of C: B∩q 4, B∪q 6: 4/6; C∩q 1, C∪q 7: 1/7.
# r overlaps none.
TRUTH = drawing("111111.2222.33....")
PREDICTION = drawing("11111..222222...33")


def test_objects_by_hand() -> None:
    found = structures.match(PREDICTION, TRUTH)
    # Matched: (A, p), (B, q). F1 = 2 · 2 / (3 + 3). PQ = (5/6 + 4/6) / (2 + ½ · 1 + ½ · 1).
    assert (found.matched, found.objects) == (2, 6)
    assert found.f1 == pytest.approx(4 / 6, rel=1e-12)
    assert found.panoptic_quality == pytest.approx((5 / 6 + 4 / 6) / 3, rel=1e-12)
    # Aggregated Jaccard: A with p, B with q, C with q as well (its only overlap); r is left over.
    # Intersections 5 + 4 + 1, unions 6 + 6 + 7, and 2 pixels of r.
    assert found.aggregated_jaccard == pytest.approx(10 / 21, rel=1e-12)


def test_a_true_object_that_no_prediction_touches_counts_in_the_union() -> None:
    found = structures.match(drawing("11..."), drawing("11.22"))
    assert found.aggregated_jaccard == pytest.approx(2 / 4, rel=1e-12)
    assert (found.f1, found.panoptic_quality) == pytest.approx((2 / 3, 2 / 3), rel=1e-12)


def test_half_an_overlap_is_no_match() -> None:
    assert structures.match(drawing("11.."), drawing("1...")).matched == 0  # IoU 1/2
    assert structures.match(drawing("111."), drawing("11..")).matched == 1  # IoU 2/3


def test_the_best_partner_counts_in_the_aggregated_jaccard() -> None:
    # Truth of 5 pixels; predictions of 2 (IoU 2/5) and of 3 (IoU 3/5). The better one counts: 3 / (5 + 2 left over).
    assert structures.match(drawing("11222"), drawing("11111")).aggregated_jaccard == pytest.approx(3 / 7, rel=1e-12)
    assert structures.match(drawing("22111"), drawing("11111")).aggregated_jaccard == pytest.approx(3 / 7, rel=1e-12)


def test_images_without_objects() -> None:
    nothing, one = drawing("...."), drawing(".11.")
    empty = structures.match(nothing, nothing)
    assert np.isnan([empty.f1, empty.panoptic_quality, empty.aggregated_jaccard]).all()
    for found in structures.match(one, nothing), structures.match(nothing, one):
        assert (found.f1, found.panoptic_quality, found.aggregated_jaccard) == (0, 0, 0)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_objects_against_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, truth = rng.integers(0, 5, (2, 4, 5))
    pairs = {
        (p, t): ((prediction == p) & (truth == t)).sum() / ((prediction == p) | (truth == t)).sum()
        for p in np.unique(prediction[prediction > 0])
        for t in np.unique(truth[truth > 0])
    }
    ious = [iou for iou in pairs.values() if iou > 0.5]
    found = structures.match(prediction, truth)
    assert found.matched == len(ious)
    assert found.iou == pytest.approx(sum(ious), rel=1e-12)
    # The algorithm of Kumar et al., line by line
    intersection, union, used = 0, 0, set()
    for t in np.unique(truth[truth > 0]):
        partners = [p for p, of in pairs if of == t and pairs[p, t] > 0]
        best = max(partners, key=lambda p: (pairs[p, t], p), default=None)
        best_mask = prediction == best if best is not None else np.zeros_like(prediction, dtype=bool)
        intersection += ((truth == t) & best_mask).sum()
        union += ((truth == t) | best_mask).sum()
        used.add(best)
    union += sum((prediction == p).sum() for p in np.unique(prediction[prediction > 0]) if p not in used)
    assert found.aggregated_jaccard == pytest.approx(intersection / union, rel=1e-12)


def test_touching_discs_are_separated() -> None:
    rows, columns = np.mgrid[:40, :60]
    discs = [(rows - 20) ** 2 + (columns - column) ** 2 <= 100 for column in (18, 36)]  # radius 10, 18 apart
    numbers = structures.separated(discs[0] | discs[1], 5)
    assert numbers.max() == 2
    assert ((numbers > 0) == (discs[0] | discs[1])).all()
    assert numbers[20, 18] != numbers[20, 36]
    for disc in discs:
        inside = numbers[disc & ~(discs[0] & discs[1])]
        assert np.bincount(inside).max() / inside.size > 0.97
    assert structures.separated(discs[0] | discs[1], 20).max() == 1  # centres at least 20 pixels apart


def test_an_uneven_edge_does_not_split_and_specks_are_left_out() -> None:
    rows, columns = np.mgrid[-30:30, -30:30]
    angle, radius = np.arctan2(2 * rows, columns), np.hypot(2 * rows, columns)
    ragged = radius <= 24 + 0.72 * np.sin(15 * angle)  # an ellipse; without smoothing its depth has two maxima
    specks = np.zeros_like(ragged)
    specks[:5, :5] = specks[55:, 56:] = True  # 25 pixels; 20
    numbers = structures.separated(ragged | specks, 5)
    assert ((numbers > 0) == (ragged | (specks & (rows < 0)))).all()
    assert numbers.max() == 2


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.booleans())
def test_every_foreground_pixel_has_an_object_unless_it_is_small(seed: int, distance: int, line: bool) -> None:
    foreground = np.random.default_rng(seed).random((30,) if line else (12, 11)) < 0.6
    numbers = structures.separated(foreground, distance)
    areas = np.bincount(numbers.ravel())[1:]
    assert (areas >= distance**foreground.ndim).all()
    assert not numbers[~foreground].any()
    if distance == 1:
        assert ((numbers > 0) == foreground).all()


def test_numbers_of_the_truth() -> None:
    numbers = structures.numbered(mask("11.11", "....."), drawing("55.7.", "3...."))
    assert numbers.tolist() == [[1, 1, 0, 2, 3], [0, 0, 0, 0, 0]]  # 3 is no foreground; the last pixel is unknown
    assert structures.numbered(mask("1.1", ".1.", "..."), drawing("...", "...", "...")).max() == 1  # by a corner


# The skeleton of a bar of 3 × 7 pixels, as Zhang's thinning finds it, has 6 pixels.
BAR = mask(".........", ".1111111.", ".1111111.", ".1111111.", ".........")


def test_centreline_dice_by_hand() -> None:
    skeleton = mask(".........", "......1..", ".11111...", ".........", ".........")
    assert (structures.skeletonize(BAR) == skeleton).all()
    # A line of 1 × 9 pixels is its own skeleton. 7 of its 9 pixels are in the bar, and 5 of the bar's 6 are in it.
    line = np.zeros_like(BAR)
    line[2] = True
    expected = 2 * (7 / 9) * (5 / 6) / (7 / 9 + 5 / 6)
    assert structures.centreline_dice(line, BAR) == pytest.approx(expected, rel=1e-12)
    assert structures.centreline_dice(BAR, line) == pytest.approx(expected, rel=1e-12)
    assert structures.centreline_dice(BAR, BAR) == 1
    # The lowest row of the bar covers none of its skeleton; its own skeleton lies in the bar: the harmonic mean is 0.
    lowest = np.zeros_like(BAR)
    lowest[3, 1:8] = True
    assert structures.centreline_dice(lowest, BAR) == 0


def test_empty_thin_structures() -> None:
    nothing = np.zeros_like(BAR)
    assert np.isnan(structures.centreline_dice(nothing, nothing))
    assert structures.centreline_dice(nothing, BAR) == structures.centreline_dice(BAR, nothing) == 0


def test_components_by_hand() -> None:
    whole, broken = mask("11111", ".....", "1...."), mask("11.11", ".....", "1..1.")
    assert structures.component_ratio(broken, whole) == 4 / 2
    assert structures.component_ratio(whole, broken) == 2 / 4
    assert structures.component_ratio(mask("1.", ".1"), mask("1.", "..")) == 1  # neighbours by a corner
    assert np.isnan(structures.component_ratio(whole, np.zeros_like(whole)))


def test_metrics_pool_objects_and_average_images() -> None:
    # Image 1: one object of 4 pixels, 3 predicted: IoU 3/4. Image 2: two objects touch and have numbers; they are
    # predicted as one object of 6: IoU 3/6 with each, no match; aggregated Jaccard (3 + 3) / (6 + 6). Image 3: empty.
    # Each pixel here is a square of 8 × 8 pixels, so that no object is too small to count.
    truth = torch.zeros(3, 1, 8, dtype=torch.long)
    truth[0, 0, :4] = 1
    truth[1, 0, 1:4], truth[1, 0, 4:7] = 1 + 256 * 9, 1 + 256 * 4
    predicted = (truth > 0).long()
    predicted[0, 0, 3] = 0
    truth, predicted = (maps.repeat_interleave(8, -1).repeat_interleave(8, -2) for maps in (truth, predicted))
    task = Segmentation(2, objects=True, watershed_distance=8)
    metrics = task.metrics("test_")
    metrics.update(logits_of(predicted), truth)
    values = {name: value.item() for name, value in metrics.compute().items()}
    assert values["test_object_f1"] == pytest.approx(2 * 1 / (2 + 3), rel=1e-6)
    assert values["test_panoptic_quality"] == pytest.approx(2 * 0.75 / (2 + 3), rel=1e-6)
    assert values["test_aggregated_jaccard"] == pytest.approx((3 / 4 + 6 / 12) / 2, rel=1e-6)


def test_thin_metrics_average_images() -> None:
    truth = torch.zeros(3, 5, 9, dtype=torch.long)
    truth[:2] = torch.from_numpy(BAR)
    predicted = truth.clone()
    predicted[1] = 0
    predicted[1, 2, 0::2] = 1  # 5 points: 3 of them are in the bar; 2 of its 6 pixels of skeleton are predicted
    predicted[2, 0, 0] = 1  # the truth is empty: centreline Dice 0, no ratio of components
    metrics = Segmentation(2, thin=True).metrics()
    metrics.update(logits_of(predicted), truth)
    values = metrics.compute()
    assert values["centreline_dice"].item() == pytest.approx(
        (1 + 2 * 3 / 5 * 2 / 6 / (3 / 5 + 2 / 6) + 0) / 3, rel=1e-6
    )
    assert values["components"].item() == pytest.approx((1 + 5) / 2, rel=1e-6)
    with pytest.raises(ValueError, match=r"task\.thin=true needs images"):
        Segmentation(2, thin=True).metrics().update(torch.zeros(2, 1, 9), torch.zeros(2, 9, dtype=torch.long))


def test_ignored_pixels_are_background_in_both() -> None:
    torch.manual_seed(0)
    truth, logits = torch.randint(2, (4, 20, 20)), torch.randn(4, 1, 20, 20)
    ignored = torch.rand(4, 20, 20) < 0.2
    values = []
    for fill in -5.0, 5.0:
        metrics = Segmentation(2, thin=True, objects=True).metrics()
        metrics.update(logits.masked_fill(ignored.unsqueeze(1), fill), truth.masked_fill(ignored, IGNORED + 256 * 3))
        values.append({name: value.item() for name, value in metrics.compute().items()})
    assert values[0] == values[1]


def test_two_halves_are_the_whole() -> None:
    torch.manual_seed(1)
    truth, logits = torch.randint(3, (6, 16, 16)), torch.randn(6, 3, 16, 16)
    task = Segmentation(3, thin=True, objects=True)
    whole, parts = task.metrics(), [task.metrics(), task.metrics()]
    whole.update(logits, truth)
    for part, rows in zip(parts, (slice(0, 2), slice(2, 6)), strict=True):
        part.update(logits[rows], truth[rows])
        part.compute()  # which lets the metrics of a group share their states
    for name, metric in parts[0].items():
        metric.merge_state(parts[1][name])
        metric._computed = None
        assert metric.compute().item() == pytest.approx(whole[name].compute().item(), rel=1e-6), name
