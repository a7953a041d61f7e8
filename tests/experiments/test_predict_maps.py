"""The command for images, of networks that return maps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Picture

from experiments.data.image.geometry import resize_to
from experiments.data.image.read import read_image
from experiments.data.inputs import Image
from tests.experiments.images import CLASSES, expected, pixels, unet, write_all_kinds
from tests.experiments.runs import predict_command as command
from tests.experiments.runs import rows, saved


@pytest.mark.parametrize("classes", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_maps_are_those_of_the_network(
    classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = unet(classes, **({"rotations": 4} if classes == 2 else {}))
    run = saved(network, tmp_path / "run", "segmentation", Image(3), CLASSES[:classes])
    files = write_all_kinds(tmp_path / "data")
    (tmp_path / "data" / "bad.png").write_text("no image")
    (tmp_path / "data" / "notes.txt").touch()
    asked = [f"csv={tmp_path}/files.csv", f"json={tmp_path}/all.json", f"maps={tmp_path}/maps"]
    options = "probabilities=true", "overlays=true", "tile=24"
    assert command(monkeypatch, run, f"files=[{tmp_path}/data]", *asked, *options) == 1
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith(("error", "skipped", "warning"))]
    assert lines[0] == "skipped 1 file: .txt" and "bad.png cannot be decoded" in lines[1] and len(lines) == 2
    assert all(out.count(name) == 1 for name in ("a.png", "a.bmp", "b.tif", "c.png", "d.bmp", "e.tif"))
    written = json.loads((tmp_path / "all.json").read_text())
    assert [Path(entry["file"]).name for entry in written["errors"]] == ["bad.png"]
    table = rows(tmp_path / "files.csv")
    assert [row["file"] for row in table] == [str(file) for file in files]
    assert sorted(file.name for file in (tmp_path / "maps").glob("a*.png")) == [
        *("a.png", "a_2.png", "a_2_overlay.png", "a_overlay.png")
    ]
    for row, entry in zip(table, written["predictions"], strict=True):
        x = read_image(Path(row["file"]), 3)
        truth = expected(network, x)
        assert len(np.unique(truth)) == classes
        read: Any = tifffile.imread if entry["map"].endswith("tif") else lambda file: np.array(Picture.open(file))
        with torch.no_grad():
            logits = network(x[None])[0]
        two = (
            torch.cat([torch.zeros_like(logits), logits]).topk(2, 0).values
            if classes == 2
            else logits.topk(2, 0).values
        )
        sure = (two[0] - two[1] > 1e-5).numpy()  # tiles add up in another order
        assert sure.mean() > 0.99
        np.testing.assert_array_equal(read(entry["map"])[sure], truth[sure])
        p = torch.cat([1 - logits.sigmoid(), logits.sigmoid()]) if classes == 2 else logits.softmax(0)
        shares = tifffile.imread(entry["probabilities"])
        assert shares.shape == p.shape and np.abs(shares / 255 - p.numpy()).max() < 0.501 / 255
        assert (int(row["height"]), int(row["width"])) == truth.shape
        for number, name in enumerate(CLASSES[:classes]):
            assert float(row[f"share_{name}"]) == pytest.approx((truth == number).mean(), abs=0.01)
            assert int(row[f"components_{name}"]) == entry["components"][name] > 0
        assert float(row["thickness"]) == entry["thickness"] > 0
        assert Picture.open(entry["overlay"]).size == truth.shape[::-1]
    assert Picture.open(tmp_path / "maps" / "c.png").mode == "P"
    assert Path(written["predictions"][-1]["map"]).name == "e.tif"
    with tifffile.TiffFile(tmp_path / "maps" / "e.tif") as tiff:
        page: Any = tiff.pages[0]
        assert page.tags[33550].value == (0.5, 0.5, 0.0) and page.is_tiled
        assert page.tags[282].value == (40_000, 1) and page.tags[296].value == 3
    assert not [file for file in (tmp_path / "maps").iterdir() if file.suffix in (".raw", ".partial")]


def test_a_large_map_is_a_tiff_and_a_small_one_a_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = saved(unet(), tmp_path / "run", "segmentation", Image(3), CLASSES)
    for width in 10_000, 10_001:
        tifffile.imwrite(tmp_path / f"{width}.tif", np.zeros((3, width, 3), np.uint8), photometric="rgb")
    files = f"files=[{tmp_path}/10000.tif,{tmp_path}/10001.tif]"
    assert command(monkeypatch, run, files, f"maps={tmp_path}/maps", "overlays=true") == 0
    names = sorted(file.name for file in (tmp_path / "maps").iterdir())
    assert names == ["10000.png", "10000_overlay.png", "10001.tif", "10001_overlay.png"]
    assert Picture.open(tmp_path / "maps" / "10001_overlay.png").size == (2000, 1)


def test_inputs_are_not_overwritten_and_a_second_run_overwrites_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = saved(unet(), tmp_path / "run", "segmentation", Image(3), CLASSES)
    Picture.fromarray(pixels(20, 20)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    for _ in range(2):
        assert command(monkeypatch, run, f"files=[{tmp_path}/a.png]", f"maps={tmp_path}") == 0
        assert sorted(file.name for file in tmp_path.glob("*.png")) == ["a.png", "a_2.png"]
    assert (tmp_path / "a.png").read_bytes() == before


def test_what_cannot_be_tiled_exactly_is_blended_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = unet(base=2**0.5, num_scales=2)
    run = saved(network, tmp_path / "run", "segmentation", Image(3), CLASSES)
    Picture.fromarray(pixels(120, 150)).save(tmp_path / "a.png")
    assert command(monkeypatch, run, f"files=[{tmp_path}/a.png]", f"maps={tmp_path}/maps", "tile=64") == 0
    err = capsys.readouterr().err
    assert f"warning: {tmp_path}/a.png: " in err and "neighbouring tiles differ by" in err
    truth = expected(network, read_image(tmp_path / "a.png", 3))
    assert (np.array(Picture.open(tmp_path / "maps" / "a.png")) == truth).mean() > 0.9


def test_maps_at_the_microns_per_pixel_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The image has half of the training's microns per pixel: the network sees it at half the size."""
    network = unet()
    run = saved(network, tmp_path / "run", "segmentation", Image(3, mpp=0.5), CLASSES)
    written: dict[str, Any] = {"photometric": "rgb", "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", pixels(90, 70), resolution=(40_000, 40_000), **written)  # 0.25
    Picture.fromarray(pixels(20, 20)).save(tmp_path / "unknown.png")
    files = f"files=[{tmp_path}/a.tif,{tmp_path}/unknown.png]"
    assert command(monkeypatch, run, files, f"maps={tmp_path}/maps", "rescale_to_mpp=true", "tile=24") == 1
    assert "unknown.png does not state its microns per pixel" in capsys.readouterr().err
    with torch.no_grad():
        half = resize_to(read_image(tmp_path / "a.tif", 3), (45, 35)).clamp(0, 1)
        logits = torch.nn.functional.interpolate(network(half[None]), (90, 70), mode="bilinear", align_corners=False)
    agreement = np.array(Picture.open(tmp_path / "maps" / "a.png")) == logits[0].argmax(0).numpy()
    assert agreement.mean() > 0.999
    run = saved(network, tmp_path / "other", "segmentation", Image(3), CLASSES)
    assert "the training's microns per pixel are unknown" in str(
        command(monkeypatch, run, files, "rescale_to_mpp=true")
    )


def test_maps_of_a_network_that_was_trained_on_resized_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = unet()
    run = saved(network, tmp_path / "run", "segmentation", Image(3, (40, 32)), CLASSES, {"size": [40, 32]})
    Picture.fromarray(pixels(80, 64)).save(tmp_path / "a.png")
    assert command(monkeypatch, run, f"files=[{tmp_path}/a.png]", f"maps={tmp_path}/maps") == 0
    with torch.no_grad():
        small = resize_to(read_image(tmp_path / "a.png", 3), (40, 32)).clamp(0, 1)
        logits = torch.nn.functional.interpolate(network(small[None]), (80, 64), mode="bilinear", align_corners=False)
    agreement = np.array(Picture.open(tmp_path / "maps" / "a.png")) == logits[0].argmax(0).numpy()
    assert agreement.mean() > 0.999
