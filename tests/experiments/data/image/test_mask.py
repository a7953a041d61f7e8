"""Masks in all their forms, outlines and the field of view."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from experiments.data.image import decode
from experiments.data.image.geometry import IGNORED
from experiments.data.image.mask import field_of_view, rasterize, read_aperio_xml, read_instances, read_mask

VESSEL = np.random.default_rng(0).random((12, 17)) < 0.3
CLASSES = np.random.default_rng(1).integers(0, 4, (12, 17)).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.tif", "a.bmp"])
@pytest.mark.parametrize("high", [1, 255, True])
def test_two_classes(tmp_path: Path, name: str, high: Any) -> None:
    Image.fromarray(VESSEL if high is True else (VESSEL * high).astype(np.uint8)).save(tmp_path / name)
    mask = read_mask(tmp_path / name, 2, (12, 17))
    assert mask.dtype == torch.int64
    assert np.array_equal(mask, VESSEL)


@pytest.mark.parametrize("high", [1, 255, True])
def test_numbers_count_where_zero_is_white(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, high: Any
) -> None:
    """So tifffile writes arrays of bool, and Fiji masks."""
    monkeypatch.setattr(decode, "_warned", set())
    values = VESSEL if high is True else (VESSEL * high).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=None if high is True else "miniswhite")
    assert np.array_equal(read_mask(tmp_path / "a.tif", 2, (12, 17)), VESSEL)
    assert "says that 0 is shown as white; the numbers count" in caplog.text


@pytest.mark.parametrize("value", [0, 1, 255])
def test_two_classes_of_which_one_is_there(tmp_path: Path, value: int) -> None:
    Image.new("L", (17, 12), value).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", 2, (12, 17)).unique().tolist() == [min(value, 1)]


def test_of_two_classes_a_value_is_the_same_class_in_all_files(tmp_path: Path) -> None:
    for name, low, high in ("a.png", 0, 128), ("b.png", 128, 255):
        Image.fromarray(np.where(VESSEL, high, low).astype(np.uint8)).save(tmp_path / name)
    assert np.array_equal(read_mask(tmp_path / "a.png", 2, (12, 17)), VESSEL)
    with pytest.raises(ValueError, match=r"b\.png has the value 128.*data\.mask_values"):
        read_mask(tmp_path / "b.png", 2, (12, 17))
    assert np.array_equal(read_mask(tmp_path / "b.png", 2, (12, 17), values=[128, 255]), VESSEL)


def test_jpeg(tmp_path: Path) -> None:
    for name, values in ("flat.jpg", VESSEL & False), ("noisy.jpeg", VESSEL):
        Image.fromarray(values.astype(np.uint8) * np.uint8(255)).save(tmp_path / name, quality=80)
    assert not read_mask(tmp_path / "flat.jpg", 2, (12, 17)).any()
    for read in (read_instances, lambda file: read_mask(file, 2, (12, 17))):
        with pytest.raises(ValueError, match=r"noisy\.jpeg is a JPEG, which changes the numbers of a mask; save it as"):
            read(tmp_path / "noisy.jpeg")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_in_floating_point(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", CLASSES.astype(dtype))
    assert np.array_equal(read_mask(tmp_path / "a.tif", 4, (12, 17)), CLASSES)
    tifffile.imwrite(tmp_path / "a.tif", np.where(VESSEL, np.inf, CLASSES).astype(dtype))
    with pytest.raises(ValueError, match=r"a\.tif has values"):
        read_mask(tmp_path / "a.tif", 4, (12, 17))


def test_sixteen_bits_and_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(VESSEL.astype(np.uint16) * 65_535).save(tmp_path / "a.png")
    Image.fromarray(np.repeat(VESSEL[..., None] * np.uint8(255), 3, 2)).save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert np.array_equal(read_mask(tmp_path / name, 2, (12, 17)), VESSEL)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.tif"])  # of which two fill the palette up with black
@pytest.mark.parametrize("white_first", [False, True])
def test_black_and_white_palette(tmp_path: Path, white_first: bool, name: str) -> None:
    image = Image.fromarray((VESSEL ^ white_first).astype(np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0] if white_first else [0, 0, 0, 255, 255, 255])
    image.save(tmp_path / name)
    assert np.array_equal(read_mask(tmp_path / name, 2, (12, 17)), VESSEL)


def test_a_palette_that_does_not_tell_values_apart_counts_by_numbers(tmp_path: Path) -> None:
    image = Image.fromarray(CLASSES % 3, "P")
    image.putpalette([0, 0, 0, 255, 255, 255])  # 2 is black as well, as 0 is
    image.save(tmp_path / "a.tif")
    assert np.array_equal(read_mask(tmp_path / "a.tif", 3, (12, 17)), CLASSES % 3)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.tif"])
def test_palette(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(CLASSES, "P")
    image.putpalette([9, 8, 7, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    options: dict[str, Any] = {"optimize": False} if name == "a.gif" else {}
    image.save(tmp_path / name, **options)
    assert np.array_equal(read_mask(tmp_path / name, 4, (12, 17)), CLASSES)


def test_values_and_ignored_pixels(tmp_path: Path) -> None:
    Image.fromarray(np.array([10, 40, 20, 30], np.uint8)[CLASSES]).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png", 3, (12, 17), values=[20, 10, 30], ignore=40)
    assert np.array_equal(mask, np.array([1, IGNORED, 0, 2])[CLASSES])
    with pytest.raises(ValueError, match=r"a\.png has the value 40, but the 3 classes have the values 20, 10, 30"):
        read_mask(tmp_path / "a.png", 3, (12, 17), values=[20, 10, 30])
    with pytest.raises(ValueError, match=r"mask_values=\[20\] does not list"):
        read_mask(tmp_path / "a.png", 3, (12, 17), values=[20])


def test_unknown_value(tmp_path: Path) -> None:
    Image.fromarray(CLASSES).save(tmp_path / "a.png")
    for classes in (2, 3):
        with pytest.raises(ValueError, match=r"a\.png has the value \d.*data\.mask_values"):
            read_mask(tmp_path / "a.png", classes, (12, 17))


def test_another_size(tmp_path: Path) -> None:
    Image.fromarray(CLASSES).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png has 12 × 17 pixels, but its image b\.png has 17 × 12"):
        read_mask(tmp_path / "a.png", 4, (17, 12), image=Path("b.png"))


def test_colours_and_decimals(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([CLASSES, CLASSES, 1 - CLASSES])).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", CLASSES / 4)
    with pytest.raises(ValueError, match=r"a\.png has colours"):
        read_mask(tmp_path / "a.png", 4, (12, 17))
    with pytest.raises(ValueError, match=r"a\.tif has values with decimals"):
        read_mask(tmp_path / "a.tif", 4, (12, 17))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mask_in_the_opacity(tmp_path: Path, mode: str) -> None:
    white = Image.new("L", (17, 12), 255)
    Image.merge(mode, [white] * (len(mode) - 1) + [Image.fromarray(CLASSES * 80)]).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png differs only in its opacity"):
        read_mask(tmp_path / "a.png", 2, (12, 17))


def test_objects_have_no_numbers_below_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, -1, 1]], np.int16))
    with pytest.raises(ValueError, match=r"a\.tif has the value -1; objects are numbered from 1"):
        read_instances(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint32])
def test_instances(tmp_path: Path, dtype: type) -> None:
    numbers = np.arange(204).reshape(12, 17) * (300 if dtype is np.uint16 else 70_000)
    tifffile.imwrite(tmp_path / "a.tif", numbers.astype(dtype))
    instances = read_instances(tmp_path / "a.tif", (12, 17))
    assert instances.dtype == torch.int64
    assert np.array_equal(instances, numbers)
    with pytest.raises(ValueError, match=r"12 × 17 pixels, but its image has 17 × 12"):
        read_instances(tmp_path / "a.tif", (17, 12))


def test_outlines(tmp_path: Path) -> None:
    corners = [[(2, 1), (6, 1), (6, 4), (2, 4)], [(5, 3), (9, 3), (9, 30), (5, 30)], []]
    regions = "".join(
        "<Region><Vertices>" + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in region) + "</Vertices></Region>"
        for region in corners
    )
    (tmp_path / "a.xml").write_text(f"<Annotations><Annotation><Regions>{regions}</Regions></Annotation></Annotations>")
    expected = np.zeros((12, 17), int)
    expected[1:5, 2:7] = 1
    expected[3:, 5:10] = 2
    assert np.array_equal(read_aperio_xml(tmp_path / "a.xml", (12, 17)), expected)
    (tmp_path / "b.xml").write_text("<Annotations>")
    with pytest.raises(ValueError, match=r"b\.xml cannot be read"):
        read_aperio_xml(tmp_path / "b.xml", (12, 17))


def test_area_of_a_disc() -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    disc = rasterize([np.stack([50 + 30 * np.cos(angle), 40 + 30 * np.sin(angle)], 1)], (80, 100))
    assert disc.sum().item() == pytest.approx(np.pi * 30**2, rel=0.02)
    assert disc.nonzero().float().mean(0).tolist() == pytest.approx([40, 50], abs=0.1)


@pytest.mark.parametrize("darkest", [1, 0.1])
def test_field_of_view(darkest: float) -> None:
    y, x = np.mgrid[:120, :130]
    disc = ((y - 60) ** 2 + (x - 64) ** 2 < 62**2) & (y > 8)  # cut off above, as by some cameras
    image = disc * (0.4 + 0.2 * np.sin(x / 20)) * np.clip(x / 90, darkest, 1) + np.random.default_rng(0).normal(
        0, 0.01, disc.shape
    )
    image[50:60, 40:50] = 0  # a dark spot inside
    image[:4, :6] = 1  # a letter in the corner
    found = field_of_view(torch.from_numpy(image)[None].clamp(0, 1)).numpy()
    assert (found & disc).sum() / (found | disc).sum() > 0.98
    with pytest.raises(ValueError, match="one colour"):
        field_of_view(torch.ones(3, 9, 9))
