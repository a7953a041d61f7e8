"""Image files of all kinds, against Pillow, tifffile and the arrays that were written."""

import logging
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from experiments.data.image import decode
from experiments.data.image.read import image_size, is_image, read_image

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65_536, (6, 8, 3)).astype(np.uint16)


def channels_first(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(np.atleast_3d(values), -1, 0).copy())


@pytest.fixture(autouse=True)
def unwarned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_warned", set())


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tga", "a.tif", "a.webp"])
def test_lossless_formats_keep_every_value(tmp_path: Path, name: str) -> None:
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(COLOURS).save(tmp_path / name, **options)
    expected = channels_first(COLOURS).float() / 255
    torch.testing.assert_close(read_image(tmp_path / name, 3), expected, rtol=0, atol=0)
    grey = np.asarray(Image.fromarray(COLOURS).convert("L"))
    assert (read_image(tmp_path / name, 1) * 255 - channels_first(grey)).abs().max() <= 0.51  # Pillow rounds


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_sixteen_bits_in_colour(tmp_path: Path, order: str, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DEEP, byteorder=order, photometric="rgb", compression=compression)  # type: ignore[arg-type]
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(DEEP))
    expected = (channels_first(DEEP.astype(np.float64)) / 65_535).float()
    for name in ("a.tif", "a.png"):
        torch.testing.assert_close(read_image(tmp_path / name, 3), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "int32", "float32"])
def test_types_and_their_ranges(tmp_path: Path, dtype: str) -> None:
    values = (
        np.linspace(0, 1, 48).reshape(6, 8)
        if dtype == "float32"
        else RAMP.astype(np.int64) * (1 if dtype == "uint8" else 100)
    )
    tifffile.imwrite(tmp_path / "a.tif", values.astype(dtype))
    top = {"uint8": 255, "float32": 1}.get(dtype, 65_535)
    expected = torch.from_numpy(values / top).float()[None]
    torch.testing.assert_close(read_image(tmp_path / "a.tif", 1), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "values",
    [RAMP.astype(np.int16) - 100, RAMP.astype(np.int8), RAMP.astype(np.float32), RAMP.astype(np.uint32) * 10_000],
)
def test_values_beyond_their_type_want_a_range(tmp_path: Path, values: np.ndarray) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, values)
    low, high = values.min(), values.max()
    with pytest.raises(ValueError, match=rf"a\.tif has values from {low} to {high}; data\.range=\[{low},{high}\]"):
        read_image(file, 1)
    middle = (float(low) + float(high)) / 2
    expected = ((values.astype(float) - low) / (middle - low)).clip(0, 1)
    torch.testing.assert_close(read_image(file, 1, range=(low, middle))[0], torch.from_numpy(expected).float())


def test_a_range_is_one(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"data.range=\[5,5\]"):
        read_image(tmp_path / "a.png", 1, range=(5, 5))


def test_not_a_number(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((6, 8), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"a\.tif has pixels that are not numbers"):
        read_image(tmp_path / "a.tif", 1)


def test_infinite_values(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 0.5, np.inf]], np.float32))
    with pytest.raises(ValueError, match=r"a\.tif has infinite values; replace them, or set data.range"):
        read_image(tmp_path / "a.tif", 1)
    assert read_image(tmp_path / "a.tif", 1, range=(0, 1)).tolist() == [[[0, 0.5, 1]]]


@pytest.mark.parametrize(("highest", "remedy"), [(4095, "[0,4095]"), (255, "[0,255]"), (4096, None)])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_fewer_bits_than_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, highest: int, remedy: str | None
) -> None:
    values = np.linspace(0, highest, 48).reshape(6, 8).astype(np.uint16)
    files = [tmp_path / name, tmp_path / f"b{name}"]
    for file in files:
        Image.fromarray(values).save(file)
        with caplog.at_level(logging.WARNING):
            read_image(file, 1)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (remedy is not None)
    assert not remedy or (f"data.range={remedy}" in said[0] and str(files[0]) in said[0])
    x = read_image(files[0], 1, range=(0, highest))
    torch.testing.assert_close(x[0], torch.from_numpy(values / highest).float())


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("background", [255, 0, 51])
def test_transparency(tmp_path: Path, mode: str, background: int) -> None:
    image = Image.fromarray(np.dstack([COLOURS, np.where(RAMP > 100, 255, 0).astype(np.uint8)]), "RGBA")
    if mode == "P":
        image = Image.fromarray((RAMP > 100).astype(np.uint8), "P")
        image.putpalette([0, 0, 0, 10, 20, 30])
        image.save(tmp_path / "a.png", transparency=0)
    else:
        image.convert(mode).save(tmp_path / "a.png")
    shown = Image.open(tmp_path / "a.png").convert("RGBA")
    behind = Image.new("RGBA", shown.size, (background,) * 3 + (255,))
    expected = channels_first(np.asarray(Image.alpha_composite(behind, shown).convert("RGB"))).float() / 255
    torch.testing.assert_close(read_image(tmp_path / "a.png", 3, background), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "premultiplied"), [("unassalpha", False), ("assocalpha", True)])
def test_transparent_tiff(tmp_path: Path, kind: str, premultiplied: bool) -> None:
    alpha = RAMP[..., None]
    tifffile.imwrite(tmp_path / "a.tif", np.concatenate([COLOURS, alpha], 2), photometric="rgb", extrasamples=[kind])
    share = alpha / 255
    expected = COLOURS / 255 * (1 if premultiplied else share) + 1 - share
    torch.testing.assert_close(read_image(tmp_path / "a.tif", 3), channels_first(expected).float())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_orientation(tmp_path: Path, name: str, orientation: int) -> None:
    image, exif = Image.fromarray(COLOURS), Image.Exif()
    exif[274] = orientation
    if name == "a.png":
        image.save(tmp_path / name, exif=exif)
    else:
        tifffile.imwrite(tmp_path / name, COLOURS, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    image.save(tmp_path / "plain.png", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "plain.png")))
    x = read_image(tmp_path / name, 3)
    torch.testing.assert_close(x, channels_first(upright).float() / 255, rtol=0, atol=0)
    assert image_size(tmp_path / name) == tuple(x.shape[1:]) == upright.shape[:2]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(tmp_path: Path, dtype: type) -> None:
    values: np.ndarray = (RAMP.astype(np.int64) * (1 if dtype is np.uint8 else 250)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    expected = 1 - values / np.iinfo(dtype).max
    torch.testing.assert_close(read_image(tmp_path / "a.tif", 1)[0], torch.from_numpy(expected).float())


@pytest.mark.parametrize("mode", ["1", "CMYK", "P", "L"])
def test_modes_of_pillow(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    image.save(tmp_path / "a.tif")
    expected = channels_first(np.asarray(image.convert("RGB"))).float() / 255
    torch.testing.assert_close(read_image(tmp_path / "a.tif", 3), expected, rtol=0, atol=0)


def test_lab(tmp_path: Path) -> None:
    lab = np.array([[[0, 0, 0], [255, 0, 0], [137, 0, 0]]], np.uint8)  # black, white and the grey of 128
    tifffile.imwrite(tmp_path / "a.tif", lab, photometric="cielab")
    expected = torch.tensor([0, 255, 128]).expand(3, 1, 3) / 255
    torch.testing.assert_close(read_image(tmp_path / "a.tif", 3), expected, rtol=0, atol=1.5 / 255)


@pytest.mark.parametrize("name", ["a.gif", "a.tif"])
def test_pages(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    pages = [Image.fromarray(np.full((6, 8), 100 * i, np.uint8)) for i in range(3)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    assert [read_image(tmp_path / name, 1, page=i).mul(255).unique().round().tolist() for i in range(3)] == [
        [0],
        [100],
        [200],
    ]
    assert not caplog.records
    assert read_image(tmp_path / name, 1).max() == 0
    assert name in caplog.text
    with pytest.raises(ValueError, match="no page 3"):
        read_image(tmp_path / name, 1, page=3)


def test_channels_as_pages(tmp_path: Path) -> None:
    values = np.moveaxis(DEEP, -1, 0)
    tifffile.imwrite(tmp_path / "a.ome.tif", values, metadata={"axes": "CYX"}, photometric="minisblack")
    torch.testing.assert_close(read_image(tmp_path / "a.ome.tif", 3), torch.from_numpy(values / 65_535).float())


def test_planes(tmp_path: Path) -> None:
    values = np.moveaxis(COLOURS, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", planarconfig="separate")
    torch.testing.assert_close(read_image(tmp_path / "a.tif", 3), torch.from_numpy(values / 255).float())


def test_other_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((6, 8, 5), np.uint8), photometric="minisblack", planarconfig="contig")
    assert read_image(tmp_path / "a.tif", 5).shape == (5, 6, 8)
    with pytest.raises(ValueError, match=r"a\.tif has 5 channels instead of 3; data\.channels=5"):
        read_image(tmp_path / "a.tif", 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.tif", "deep.png"])
def test_truncated(tmp_path: Path, name: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    if name == "deep.png":
        (tmp_path / name).write_bytes(imagecodecs.png_encode(values.astype(np.uint16) * 257))
    else:
        Image.fromarray(values).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    if name == "a.tif":  # its head at the front, as most writers have it
        tifffile.imwrite(tmp_path / name, values, photometric="rgb")
        data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(ValueError, match=rf"{name} cannot be decoded") as error:
        read_image(tmp_path / name, 3)
    assert "\n" not in str(error.value)


def test_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    for read in (image_size, lambda file: read_image(file, 3)):
        with pytest.raises(ValueError, match=r"a\.png cannot be decoded"):
            read(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "b.png", 3)


def test_a_tiff_of_another_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.png", DEEP, photometric="rgb")
    torch.testing.assert_close(read_image(tmp_path / "a.png", 3), (channels_first(DEEP.astype(float)) / 65_535).float())


def test_large_images_are_no_attack(tmp_path: Path) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == (10_000, 20_000)


@pytest.mark.parametrize(
    "name",
    [
        "a.JPG",
        "a.jfif",
        "a.jpe",
        "a.jp2",
        "a.avif",
        "a.tga",
        "a.tiff",
        "a.svs",
        "a.ndpi",
        "a.ome.tif",
        "a.mrxs",
        "a.gif",
    ],
)
def test_names_of_images(name: str) -> None:
    assert is_image(Path(name))


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.h5", "a.mpg", "a.pdf", "a.csv", "a"])
def test_names_of_others(name: str) -> None:
    assert not is_image(Path(name))
