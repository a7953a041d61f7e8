"""Sets of one's own, listed in a CSV file: sounds and images, folds and splits, one label or several, and windows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hydra.utils import instantiate
from PIL import Image

from experiments.data import CSV, AudioSet
from experiments.data.clips import windows
from experiments.data.pictures import ImageSet, read_image
from experiments.report.measure import of_recordings
from experiments.training.task import MultiClass, MultiLabel
from tests.experiment_runs import composed, run

RATE = 8000
STAGES: Any = ("train", "val", "test")


def ramp(start: int, length: int) -> np.ndarray:
    """A sound whose samples are numbers in sequence, so that each window tells where it was cut."""
    return (np.arange(start, start + length) / 32768).astype(np.float32)


def write_listing(folder: Path, rows: list[tuple[Any, ...]], columns: str, name: str = "metadata.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns.split(",")).to_csv(
        folder / name, index=False, sep="\t" if name.endswith("tsv") else ","
    )
    return folder / name


def write_sounds(folder: Path, lengths: list[int]) -> list[str]:
    (folder / "sub folder").mkdir(parents=True)
    names = [f"sub folder/{number}.{'flac' if number % 2 else 'wav'}" for number in range(len(lengths))]
    for number, (name, length) in enumerate(zip(names, lengths, strict=True)):
        soundfile.write(folder / name, ramp(1000 * number, length), RATE)
    return names


def options(folder: Path, **more: Any) -> dict[str, Any]:
    return {"sample_rate": RATE, "duration": 0.01, "cache_dir": folder / "cache", "num_workers": 1} | more


@pytest.mark.parametrize("folds", [[600, 900, 1200], ["slow", "fast", "medium"], [0.5, 1.5, 2.5], [1.0, 2.0, 10.0]])
def test_folds_may_be_any_values(tmp_path: Path, folds: list[Any]) -> None:
    names = write_sounds(tmp_path, [80] * 6)
    file = write_listing(
        tmp_path, [(name, "ab"[i % 2], folds[i // 2]) for i, name in enumerate(names)], "file,label,fold"
    )
    data = CSV(file, test_fold=folds[1], **options(tmp_path))
    assert isinstance(data, AudioSet) and data.classes == ["a", "b"]
    after = {600: 1200, "slow": "medium", 0.5: "2.5", 1.0: 10}[folds[0]]  # the one after the second, in order
    first = {600: 600, "slow": "slow", 0.5: "0.5", 1.0: 1}[folds[0]]
    assert (data.folds["train"], data.folds["val"]) == ([first], [after])
    assert [file.name for file in data.files("test")] == ["2.wav", "3.flac"]
    assert [label for _, label in data.split("test")] == [0, 1]
    with pytest.raises(ValueError, match=r"data.test_fold=77 is not a fold of this set"):
        CSV(file, test_fold=77, **options(tmp_path))


def test_a_split_is_kept_and_a_fold_asked_for_comes_first(tmp_path: Path) -> None:
    names = write_sounds(tmp_path / "sounds", [80] * 6)
    words = ["Training", "validation", "test", "train", "dev", "test"]
    rows = [(name, i % 2, words[i], i // 2, "x") for i, name in enumerate(names)]
    file = write_listing(tmp_path / "elsewhere", rows, "file,label,split,fold,more", "list.tsv")
    data = CSV(file, root=tmp_path / "sounds", **options(tmp_path))
    assert {stage: [path.stem for path in data.files(stage)] for stage in STAGES} == {
        "train": ["0", "3"],
        "val": ["1", "4"],
        "test": ["2", "5"],
    }
    assert data.folds == {} and data.classes == ["0", "1"]
    data = CSV(file, root=tmp_path / "sounds", test_fold=2, **options(tmp_path))
    assert [path.stem for path in data.files("test")] == ["4", "5"] and data.folds["test"] == [2]


def test_several_labels_or_none(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    rows = [(names[0], "b | a", "train"), (names[1], "", "val"), (names[2], "c|b", "test")]
    file = write_listing(tmp_path, rows, "file,label,split")
    data = CSV(file, **options(tmp_path))
    assert data.classes == ["a", "b", "c"]
    assert [data.split(stage)[0][1].tolist() for stage in STAGES] == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert data.split("train")[0][1].dtype == torch.float32
    with pytest.raises(ValueError, match=r"line 3 of data.metadata has no label"):
        CSV(file, multi_label=False, **options(tmp_path))
    single = write_listing(tmp_path, [(*row[:1], "a", row[2]) for row in rows], "file,label,split", "single.csv")
    assert CSV(single, multi_label=True, **options(tmp_path)).split("val")[0][1].tolist() == [1]


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


def write_images(folder: Path, mode: str = "RGB", shapes: tuple[tuple[int, int], ...] = ((9, 7),) * 6) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for number, shape in enumerate(shapes):
        values = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(values).convert(mode).save(folder / f"{number}.png")
        rows.append((f"{number}.png", "ab"[number % 2], "uvw"[number // 2]))
    return write_listing(folder, rows, "file,label,fold")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
def test_images_of_any_kind(tmp_path: Path, mode: str) -> None:
    file = write_images(tmp_path, mode)
    for channels, wanted in (3, "RGB"), (1, "L"):
        data = CSV(file, channels=channels, test_fold="v")
        assert isinstance(data, ImageSet) and data.folds == {"train": ["u"], "val": ["w"], "test": ["v"]}
        (x, label), _ = data.split("test")
        expected = np.asarray(Image.open(tmp_path / "2.png").convert(wanted)).reshape(9, 7, channels)
        assert label == 0 and x.dtype == torch.float32
        assert torch.equal((x * 255).round(), torch.from_numpy(expected.copy()).movedim(2, 0).float())


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    file = write_images(tmp_path)
    Image.fromarray(np.full((9, 7), 0xAB12, np.uint16)).save(tmp_path / "0.png")
    assert (CSV(file, channels=1).split("test")[0][0] * 255).round().unique().tolist() == [0xAB]


def test_images_are_resized_whole(tmp_path: Path) -> None:
    data = CSV(write_images(tmp_path, shapes=((8, 8),) * 6))
    assert data.quantity == "size of the test images"
    for factor, side in (0.5, 4), (1, 8), (2, 16):
        x = data.rescaled("test", factor)[0][0]
        assert x.shape == (3, side, side)
        assert torch.allclose(x.mean(), data.split("test")[0][0].mean(), atol=0.02)
    with pytest.raises(ValueError, match="rescale=5 is out of range"):
        data.check_factor(5)


def test_images_are_turned(tmp_path: Path) -> None:
    data = CSV(write_images(tmp_path, shapes=((8, 8),) * 6), quantity="angle")
    assert data.quantity == "angle"
    x = data.split("test")[1][0]
    for quarters in range(-4, 5):
        assert torch.equal(data.rescaled("test", 90 * quarters)[1][0], torch.rot90(x, quarters, (1, 2)))
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(tmp_path / "1.png")  # its corners do not become black
    assert (data.rescaled("test", 45)[1][0] * 255).round().unique().tolist() == [200]
    with pytest.raises(ValueError, match="rescale=361 is out of range"):
        data.check_factor(361)


def test_images_of_several_sizes_need_one(tmp_path: Path) -> None:
    file = write_images(tmp_path, shapes=((9, 7), (9, 8), (9, 7), (9, 7), (9, 7), (9, 7)))
    with pytest.raises(ValueError, match=r"1.png has 9 × 8 pixels, .*0.png has 9 × 7; data.size=\[9,7\] resizes all"):
        list(CSV(file).split("test"))
    assert {x.shape for x, _ in CSV(file, size=[5, 6]).split("test")} == {(3, 5, 6)}


@pytest.mark.parametrize(
    "columns, rows, message",
    [
        (
            "file,fold",
            [("0.wav", 1)],
            "columns file, fold; it needs the columns file, label, and fold",
        ),
        ("file,label", [("0.wav", 1)], "needs the columns file, label, and fold or split"),
        ("name,label,fold", [("0.wav", 1, 1)], "lacks the column file"),
        ("file,label,fold", [("0.wav", "a", 1), ("0.wav", "a", 2)], "lists 0.wav twice"),
        ("file,label,fold", [("0.wav", "a", 1), (" ./0.wav", "a", 2)], "lists 0.wav twice"),
        ("file,label,fold", [("0.wav", "a", 1), (None, "a", 2)], "empty field in line 3"),
        ("file,label,fold", [("0.wav", "a", 1), ("1.wav", "a", None), ("2.wav", "a", 2)], "line 3 of .* has no fold"),
        ("file,label,fold", [("0.wav", "a", 1), ("1.wav", " ", 2), ("2.wav", "a", 3)], "line 3 of .* has no label"),
        (
            "file,label,fold",
            [("0.wav", "a", 1), ("1.png", "a", 2), ("2.wav", "a", 3)],
            "images and others, such as .*0.wav",
        ),
        ("file,label,fold", [("0.wav", "a", 1), ("1.wav", "a", 2)], "needs at least three"),
        ("file,label,split", [("0.wav", "a", "train"), ("1.wav", "a", "tset")], "has the split 'tset'"),
        ("file,label,split", [("0.wav", "a", "train"), ("1.wav", "a", "test")], "no line with the split val"),
        (
            "file,label,fold",
            [("no.wav", "a", 1), ("1.wav", "a", 2), ("2.wav", "a", 3)],
            "no.wav is in the metadata but not",
        ),
        ("file,label,fold", [(f"{i}.png", "a", i) for i in range(3)], "0.png is in the metadata but not on disk"),
        ("file,label,fold", [], "no line below its head; mend it"),
    ],
)
def test_a_broken_listing_is_told_in_one_line(tmp_path: Path, columns: str, rows: Any, message: str) -> None:
    write_sounds(tmp_path, [])
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", ramp(0, 80), RATE)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        CSV(write_listing(tmp_path, rows, columns), **options(tmp_path))
    assert "\n" not in str(error.value)


def test_arguments_out_of_range(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    file = write_listing(tmp_path, [(name, "a", i) for i, name in enumerate(names)], "file,label,fold")
    for wrong, message in (
        ({"duration": None}, r"data.window=… cuts them"),
        ({"sample_rate": 8000.5}, r"data.sample_rate=8000.5 is no whole number of Hz"),
        ({"duration": 1, "window": 2}, "data.window=2 s is longer than data.duration=1 s"),
        ({"duration": None, "window": 0.01, "hop": 1e-6}, "less than one sample"),
    ):
        with pytest.raises(ValueError, match=message):
            CSV(file, **options(tmp_path, **wrong))
    data = CSV(file, **options(tmp_path, sample_rate=16e3))
    assert isinstance(data, AudioSet) and len(data.split("test")) == 1 and data.sample_rate == 16_000
    with pytest.raises(FileNotFoundError, match=r"none.csv not found: data.metadata must be a CSV file"):
        CSV(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"data.channels=2 is unknown"):
        CSV(write_images(tmp_path / "images"), channels=2)


def test_names_that_look_like_nothing_are_names(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    labels = ["NA", "null", "nan"]
    file = write_listing(tmp_path, [(name, labels[i], i) for i, name in enumerate(names)], "file,label,fold")
    assert CSV(file, **options(tmp_path)).classes == ["NA", "nan", "null"]


def test_labels_are_texts(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    file = write_listing(
        tmp_path, [(name, ["01", "1", "1.0"][i], i) for i, name in enumerate(names)], "file,label,fold"
    )
    assert sorted(CSV(file, **options(tmp_path)).classes) == ["01", "1", "1.0"]


def test_a_split_goes_without_folds(tmp_path: Path) -> None:
    names = write_sounds(tmp_path, [80] * 3)
    stages = ["train", "val", "test"]
    file = write_listing(tmp_path, [(name, "a", stages[i]) for i, name in enumerate(names)], "file,label,split")
    with pytest.raises(ValueError, match=r"says the split itself; data.val_fold=False goes with data.test_fold"):
        CSV(file, **options(tmp_path), val_fold=False)


@pytest.mark.parametrize("pixels", [np.full((5, 5), 0.5, np.float32), np.full((5, 5), 70_000, np.int32)], ids=str)
def test_pixels_that_would_be_lost_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "deep.tif")
    with pytest.raises(ValueError, match=r"deep.tif cannot be decoded \(its pixels have more than 16 bits"):
        read_image(tmp_path / "deep.tif", 1)


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
        *("experiment=[]", "data=csv", f"data.metadata={file}", "model=m3", "trainer=cpu", "trainer.max_epochs=1"),
        *("task=multi_label", f"data.cache_dir={tmp_path}/cache", "data.num_workers=1", "data.sample_rate=8000"),
        *("data.duration=null", "data.window=0.1", "data.pool_windows=true", "rescale=[1]", "++model.normalize=true"),
    )
    assert results["test_clips"] == 2 and results["classes"] == ["a", "b"] and results["test_fold"] == 0
    assert results["rescaled"]["1"] == results["test_auroc"]


@pytest.mark.parametrize("name", ["csv", "hit_sm", "crc_histo"])
def test_configurations_make_the_set(tmp_path: Path, name: str) -> None:
    names = write_sounds(tmp_path, [9000] * 15)
    file = write_listing(tmp_path, [(n, "a", [900, 1, 2][i % 3]) for i, n in enumerate(names)], "file,label,fold")
    cfg = composed(f"data={name}", f"data.metadata={file}", f"data.cache_dir={tmp_path}", "data.num_workers=1").data
    assert len(instantiate(cfg).split("test")) >= 5
