"""What the published sets of images share: configurations, and files that are made once."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.utils import instantiate

from experiments.data.sets.derived import made_once
from experiments.data.sets.published import Example, hold_out, images
from experiments.data.source import checked, checked_factors
from tests.experiments.data.sets import copies
from tests.experiments.runs import composed, run

WRITERS: dict[str, Callable[[Path], Path]] = {
    name: getattr(copies, f"write_{name}")
    for name in ("drive", "stare", "chase_db1", "monuseg", "isbi2012", "patch_camelyon", "plankton", "idc")
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_configuration_makes_the_set(name: str, tmp_path: Path) -> None:
    root, cached = WRITERS[name](tmp_path / "set"), name not in ("drive", "patch_camelyon")
    cache = [f"data.cache_dir={tmp_path}/cache"] if cached else []
    cfg = composed("experiment=[]", f"data={name}", f"data.root={root}", *cache)
    data = checked(instantiate(cfg.data))
    masks = name not in ("patch_camelyon", "plankton", "idc")
    assert cfg.task._target_.endswith("Segmentation" if masks else "MultiClass")
    assert checked_factors(data, data.test_factors) == list(data.test_factors)
    x, target = copies.examples(data, "val")[0]
    assert x.ndim == 3 and (target.shape == x.shape[1:] if masks else target in range(len(data.classes)))


def test_a_run_on_a_published_set(tmp_path: Path) -> None:
    root = copies.write_drive(tmp_path / "set")
    results = run(
        tmp_path / "run", "experiment=[]", "data=drive", f"data.root={root}", "data.crop=16", "data.crops_per_image=1",
        "model=unet", "model.width=2", "model.depth=2", "trainer=cpu", "trainer.max_epochs=1", "rescale=[90]",
    )  # fmt: skip
    assert results["classes"] == ["background", "vessel"] and results["test_examples"] == 20


def test_files_are_made_whole_or_not_at_all(tmp_path: Path) -> None:
    source, cache = tmp_path / "source.txt", tmp_path / "cache"
    source.write_text("one")

    def copy(folder: Path) -> None:
        (folder / "a.txt").write_text(source.read_text())
        if fails:
            raise ValueError("stop")
        (folder / "b.txt").write_text(source.read_text())

    fails = True
    with pytest.raises(ValueError, match="stop"):
        made_once(source, "copy", cache, copy)
    assert not [path for path in cache.iterdir() if path.suffix not in (".lock", ".partial")]
    fails = False
    folder = made_once(source, "copy", cache, copy)
    assert sorted(file.name for file in folder.iterdir()) == ["a.txt", "b.txt"]
    (folder / "a.txt").write_text("mine")
    assert made_once(source, "copy", cache, copy) == folder and (folder / "a.txt").read_text() == "mine"
    source.write_text("three")
    assert (made_once(source, "copy", cache, copy) / "a.txt").read_text() == "three"
    same_size = source.stat().st_mtime_ns + 10**9
    source.write_text("seven")
    os.utime(source, ns=(same_size, same_size))
    assert (made_once(source, "copy", cache, copy) / "a.txt").read_text() == "seven"


def test_validation_keeps_groups_together() -> None:
    parts = ["train" if row < 40 else "test" for row in range(50)]
    listed = [Example(Path(f"{row}.png"), part, group=f"{part} {row // 4}") for row, part in enumerate(parts)]
    for seed in range(5):
        split = hold_out(listed, 0.2, seed)
        assert [example.part == "test" for example in split] == [row >= 40 for row in range(50)]
        held = {example.group for example in split if example.part == "val"}
        assert [example.part == "val" for example in split[:40]] == [example.group in held for example in split[:40]]
        assert len(held) == 2
    with_val = [Example(Path(f"{row}.png"), part) for row, part in enumerate(["train", "train", "val", "test"])]
    assert hold_out(with_val, 0.5, 0) == with_val


def test_a_group_in_two_stages() -> None:
    listed = [Example(Path(f"{part}.png"), part, "a", group="patient 7") for part in ("train", "test")]
    with pytest.raises(ValueError, match="the group patient 7 is in train and in test"):
        images(listed, ["a"])
    assert images(listed[:1], ["a"]).group == ["patient 7"]
