"""Images and masks of a user's own, from the CSV file to the maps of new images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import experiments
from tests.experiments.runs import run

COMMAND = (
    *("task=segmentation", "model=unet", "model.rotations=4", "model.mirrored=true", "model.width=8", "data=csv"),
    "data.crop=48",
)


def write(folder: Path) -> Path:
    """Write colour images of odd sizes with discs, and the CSV file that lists them."""
    rng, rows = np.random.default_rng(0), []
    for number, split in enumerate(["train", "train", "train", "val", "test"]):
        height, width = 61 + number, 75 - 2 * number
        y, x = np.mgrid[:height, :width]
        mask = (y - 30) ** 2 + (x - 25 - number) ** 2 < 150
        image = rng.integers(0, 100, (height, width, 3)) + 120 * mask[..., None]
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{number}.png")
        Image.fromarray((255 * mask).astype(np.uint8)).save(folder / f"{number}_mask.png")
        rows.append((f"{number}.png", f"{number}_mask.png", split))
    pd.DataFrame(rows, columns=["file", "mask", "split"]).to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the images and of a run on them."""
    images, folder = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("run")
    short = (
        "trainer=cpu",
        "trainer.max_epochs=4",
        "data.crops_per_image=2",
        "batch_size=2",
        "optimizer.lr=0.01",
        "model.depth=2",
        "rescale=[]",
    )
    results = run(folder, *COMMAND, f"data.metadata={write(images)}", *short)
    assert results["test_examples"] == 1
    assert 0 <= results["test_dice"] <= 1
    return images, folder


def test_colour_images_set_the_channels_of_the_network(trained: tuple[Path, Path]) -> None:
    loaded = experiments.load(trained[1])
    assert loaded.network.in_channels == 3
    assert loaded.classes == ["0", "1"]
    assert (trained[1] / "overlays.png").is_file()


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_maps_of_moved_images_are_the_moved_maps(trained: tuple[Path, Path], turns: int, mirror: bool) -> None:
    images, folder = trained
    loaded, image = experiments.load(folder), np.asarray(Image.open(images / "4.png"))
    moved = np.rot90(image[:, ::-1] if mirror else image, turns)
    Image.fromarray(np.ascontiguousarray(moved)).save(folder / "moved.png")
    before, after = loaded.predict(images / "4.png"), loaded.predict(folder / "moved.png")
    assert isinstance(before, np.ndarray) and isinstance(after, np.ndarray)
    assert before.shape == image.shape[:2]
    assert 0 < before.mean() < 1
    assert (after == np.rot90(before[:, ::-1] if mirror else before, turns)).all()
