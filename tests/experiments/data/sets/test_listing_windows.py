"""Listed recordings that are cut into windows, and tested as wholes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.data.sets.listing import CSV
from experiments.data.sound.clips import windows
from experiments.evaluation.measure import of_recordings
from experiments.training.tasks.multi_class import MultiClass
from experiments.training.tasks.multi_label import MultiLabel
from tests.experiments.data.sets.lists import (
    RATE,
    STAGES,
    options,
    write_listing,
    write_sounds,
)
from tests.experiments.runs import run


def test_windows_cover_their_recording_and_stay_in_its_fold(tmp_path: Path) -> None:
    lengths = [100, 250, 61, 400, 40, 60]  # 40 is shorter than a window
    names = write_sounds(tmp_path, lengths)
    file = write_listing(tmp_path, [(name, "ab"[i % 2], i // 2) for i, name in enumerate(names)], "file,label,fold")
    data = CSV(file, **options(tmp_path, duration=None, window=60 / RATE, hop=25 / RATE, pool_windows=True))
    assert data.num_samples == 60
    for stage, recordings in ("test", (0, 1)), ("val", (2, 3)), ("train", (4, 5)):
        clips, numbers = data.split(stage), data.recordings(stage)
        assert numbers is not None and sorted(set(numbers)) == list(recordings)
        cut = [(int(x[0, 30] * 32768) // 1000, round(float(x[0, 30] * 32768)) % 1000 - 30, label) for x, label in clips]
        expected = []
        for number in recordings:
            starts = [*range(0, max(1, lengths[number] - 59), 25)]
            if starts[-1] + 60 < lengths[number]:
                starts.append(lengths[number] - 60)
            if lengths[number] < 60:
                starts = [-10]  # in the middle of silence
            expected += [(number, start, number % 2) for start in starts]
        assert cut == expected
        assert numbers == [number for number, _, _ in expected]
        assert [path.name for path in data.files(stage)] == [Path(names[number]).name for number in numbers]
    short = data.split("train")[0][0][0] * 32768
    assert not short[:10].any() and not short[50:].any() and short[10:50].tolist() == list(range(4000, 4040))


def test_windows_of_cropped_recordings(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [100, 50, 100])
    rows = [(name, "a", stage) for name, stage in zip(names, STAGES, strict=True)]
    file = write_listing(tmp_path, rows, "file,label,split")
    data = CSV(file, **options(tmp_path, duration=80 / RATE, window=40 / RATE))
    assert [(x[0] * 32768).tolist()[:2] for x, _ in data.split("train")] == [[10, 11], [50, 51]]
    assert data.recordings("train") is None


def test_another_hop_decodes_nothing(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [100] * 3)
    rows = [(name, "a", stage) for name, stage in zip(names, STAGES, strict=True)]
    file = write_listing(tmp_path, rows, "file,label,split")
    whole = options(tmp_path, duration=None, window=50 / RATE)
    files = {CSV(file, **whole, hop=hop / RATE).split("train").file for hop in (50, 10, 3)}
    assert len(files) == 1


@pytest.mark.parametrize("length, size, hop", [(10, 10, 3), (11, 10, 30), (97, 10, 3), (97, 10, 30)])
def test_windows(length: int, size: int, hop: int) -> None:
    starts = windows(length, size, hop)
    assert starts[0] == 0 and starts[-1] == length - size
    assert np.all(np.diff(starts)[:-1] == hop) and np.all((np.diff(starts) > 0) & (np.diff(starts) <= hop))


def test_recordings_are_judged_by_their_mean_probabilities() -> None:
    torch.manual_seed(0)
    logits, recordings = torch.randn(7, 3), [4, 4, 1, 1, 1, 9, 9]
    labels = torch.tensor([0, 0, 2, 2, 2, 1, 1])
    for task, target in ((MultiClass(3), labels), (MultiLabel(3), torch.eye(3)[labels])):
        pooled, truth = of_recordings(task, logits, target, recordings)
        rows = [[2, 3, 4], [0, 1], [5, 6]]
        expected = torch.stack([task.probabilities(logits)[row].mean(0) for row in rows])
        assert torch.allclose(task.probabilities(pooled), expected, atol=1e-6)
        assert torch.equal(truth, target[[2, 0, 5]])


def test_a_listing_trains_and_tests_recordings_as_wholes(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [2000] * 6)
    rows = [(name, "a|b" if i % 2 else "a", i // 2) for i, name in enumerate(names)]
    file = write_listing(tmp_path, rows, "file,label,fold")
    results = run(
        tmp_path / "run",
        *(
            "experiment=[]",
            "data=csv",
            f"data.metadata={file}",
            "model=mnet",
            "model.depth=3",
            "trainer=cpu",
            "trainer.max_epochs=1",
        ),
        *("task=multi_label", f"data.cache_dir={tmp_path}/cache", "data.num_workers=1", "data.sample_rate=8000"),
        *("data.duration=null", "data.window=0.1", "data.pool_windows=true", "rescale=[1]", "model.normalize=true"),
    )
    assert results["test_examples"] == 2 and results["classes"] == ["a", "b"] and results["test_fold"] == 0
    assert results["transformed"]["1"] == results["test_auroc"]
