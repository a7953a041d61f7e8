"""Large images read piece by piece, against tifffile, and maps written piece by piece."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from experiments.data.image import decode
from experiments.data.image.read import read_image
from experiments.data.image.slide import open_large
from experiments.data.image.write import write_map

COLOURS = np.random.default_rng(0).integers(0, 256, (150, 210, 3)).astype(np.uint8)
WINDOWS = [(0, 150, 0, 210), (0, 1, 0, 1), (15, 33, 60, 130), (140, 150, 200, 210), (31, 65, 0, 210)]
GEOTIFF = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (34737, 2, 0, "WGS 84|", True)]


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (32, 48)},
        {"tile": (32, 48), "compression": "zlib"},
        {"tile": (32, 48), "planarconfig": "separate", "compression": "lzw"},
        {"rowsperstrip": 7, "compression": "zlib", "predictor": True},
        {"rowsperstrip": 7},
        {},
        {"planarconfig": "separate"},
        {"byteorder": ">"},
        {"compression": "zlib"},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pieces_of_tiff(tmp_path: Path, options: dict[str, Any], dtype: type) -> None:
    pixels: np.ndarray = COLOURS.astype(dtype) * (257 if dtype is np.uint16 else 1)
    written = np.moveaxis(pixels, -1, 0) if options.get("planarconfig") == "separate" else pixels
    tifffile.imwrite(tmp_path / "a.tif", written, photometric="rgb", **options)
    expected = (np.moveaxis(COLOURS, -1, 0) / 255).astype(np.float32)
    with open_large(tmp_path / "a.tif") as image:
        assert (image.shape, image.dtype, len(image.levels)) == ((3, 150, 210), np.float32, 1)
        for top, bottom, left, right in WINDOWS:
            piece = image[:, top:bottom, left:right]
            np.testing.assert_allclose(piece, expected[:, top:bottom, left:right], rtol=1e-6)
        assert np.array_equal(image[1, :5, -5:], image[:][1, :5, -5:])


def test_other_pages_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decode, "_warned", set())
    for name, pages, channels in (("stack", 4, 3), ("channels", 3, 3)):
        file = tmp_path / f"{name}.ome.tif"
        values = np.arange(pages * 30, dtype=np.uint8).reshape(pages, 5, 6)
        tifffile.imwrite(file, values, metadata={"axes": "CYX"}, photometric="minisblack")
        with open_large(file, channels) as image:
            assert np.array_equal(image[:], read_image(file, channels))
    assert [record.message for record in caplog.records if "stack" in record.message] == [
        f"{tmp_path}/stack.ome.tif has several pages or frames, of which the first is read (further files like this "
        "are not named)"
    ]
    assert "channels.ome" not in caplog.text


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOURS, photometric="rgb", tile=(32, 48), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        last = tiff.pages.first.dataoffsets[-1]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[last : last + 100] = bytes(100)  # the tile at the lower right cannot be decoded
    (tmp_path / "a.tif").write_bytes(data)
    with open_large(tmp_path / "a.tif") as image:
        assert image[:, :128, :192].shape == (3, 128, 192)
        with pytest.raises(ValueError, match=r"a\.tif cannot be decoded"):
            image[:, 128:, 192:]


def write_pyramid(file: Path, **options: Any) -> list[np.ndarray]:
    levels = [COLOURS, COLOURS[::2, ::2], COLOURS[::4, ::4]]
    with tifffile.TiffWriter(file) as tiff:
        tiff.write(levels[0], photometric="rgb", tile=(32, 32), subifds=2, **options)
        for level in levels[1:]:
            tiff.write(level, photometric="rgb", tile=(32, 32), subfiletype=1)
    return levels


def test_pyramid(tmp_path: Path) -> None:
    levels = write_pyramid(tmp_path / "a.tif", resolution=(40_000, 40_000), resolutionunit="centimeter")
    with open_large(tmp_path / "a.tif") as image:
        assert [level.shape for level in image.levels] == [(3, 150, 210), (3, 75, 105), (3, 38, 53)]
        for level, pixels in zip(image.levels, levels, strict=True):
            np.testing.assert_allclose(level[:, 5:30, 7:50], np.moveaxis(pixels, -1, 0)[:, 5:30, 7:50] / 255, rtol=1e-6)
        assert [level.mpp for level in image.levels] == pytest.approx([0.25, 0.5, 0.25 * 210 / 53])
    torch.testing.assert_close(
        read_image(tmp_path / "a.tif", 3), torch.from_numpy(np.moveaxis(COLOURS, -1, 0) / 255).float()
    )


@pytest.mark.parametrize(
    ("options", "mpp"),
    [
        ({"resolution": (50_800, 50_800), "resolutionunit": "inch"}, 0.5),
        ({"resolution": (20_000, 20_000), "resolutionunit": "centimeter"}, 0.5),
        ({"resolution": (2, 2), "imagej": True, "metadata": {"unit": "um"}}, 0.5),
        ({"ome": True, "metadata": {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}}, 0.5),
        ({"ome": True, "metadata": {"axes": "YXS", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm"}}, 0.5),
        (
            {"description": "Aperio Image Library v11.2.1\n10x10|AppMag = 20|MPP = 0.5000|Left = 3", "metadata": None},
            0.5,
        ),
        ({"resolution": (300, 300), "resolutionunit": "inch"}, None),
        ({}, None),
    ],
)
def test_microns_per_pixel(tmp_path: Path, options: dict[str, Any], mpp: float | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOURS, **{"photometric": "rgb"} | options)
    with open_large(tmp_path / "a.tif") as image:
        assert image.mpp == (mpp and pytest.approx(mpp))


def test_other_formats_and_channels(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    with open_large(tmp_path / "a.png", channels=1) as image:
        assert image.shape == (1, 150, 210)
        assert np.array_equal(image[:, 3:9, 4:], read_image(tmp_path / "a.png", 1)[:, 3:9, 4:])
        with pytest.raises(ValueError, match="empty"):
            image[:, 150:160]
        with pytest.raises(ValueError, match="are cut like"):
            image[:, ::2]


def test_a_slide_needs_openslide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.data.image.slide.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"a\.mrxs .*wavenets\[slides\]"):
        open_large(tmp_path / "a.mrxs")


def test_slide(tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    pixels = np.full((300, 400, 3), 255, np.uint8)
    pixels[100:200, 50:300] = 40, 90, 200
    tifffile.imwrite(  # OpenSlide takes it for a slide of Aperio
        tmp_path / "a.svs", pixels, photometric="rgb", tile=(240, 240), metadata=None,
        description="Aperio Image Library v11.2.1\n400x300|AppMag = 20|MPP = 0.5000", compression="jpeg",
        compressionargs={"level": 100}, subsampling=(1, 1),
    )  # fmt: skip
    with open_large(tmp_path / "a.svs") as image:
        assert (image.shape, image.mpp) == ((3, 300, 400), 0.5)
        expected = np.moveaxis(pixels, -1, 0)[:, 90:130, 260:310] / 255
        assert np.abs(image[:, 90:130, 260:310] - expected).mean() < 0.01


@pytest.mark.parametrize("shape", [(1030, 700), (2, 600, 520), (530, 600, 3)])
def test_map(tmp_path: Path, shape: tuple[int, ...]) -> None:
    tifffile.imwrite(
        tmp_path / "image.tif", COLOURS, photometric="rgb", resolution=(40_000, 20_000), resolutionunit="centimeter",
        extratags=GEOTIFF,
    )  # fmt: skip
    values = np.random.default_rng(0).integers(0, 9, shape).astype(np.uint8)
    with (
        open_large(tmp_path / "image.tif") as image,
        write_map(tmp_path / "map.tif", shape, np.uint8, image.tags) as pixels,
    ):
        assert not (tmp_path / "map.tif").exists()
        pixels[..., :400, :] = values[..., :400, :]
        pixels[..., 400:, :] = values[..., 400:, :]
    assert np.array_equal(tifffile.imread(tmp_path / "map.tif"), values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tif", "map.tif"]
    with tifffile.TiffFile(tmp_path / "map.tif") as tiff:
        page = tiff.pages.first
        assert page.is_tiled
        assert (page.tags[282].value, page.tags[283].value, page.tags[296].value) == ((40_000, 1), (20_000, 1), 3)
        assert (page.tags[33550].value, page.tags[34737].value) == ((0.5, 0.5, 0.0), "WGS 84|")


def test_a_map_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), write_map(tmp_path / "map.tif", (20, 30), np.uint8):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are not listed")
@pytest.mark.parametrize("size", [5, 60])
def test_a_tiff_that_is_cut_off_is_named_and_closed(tmp_path: Path, size: int) -> None:
    tifffile.imwrite(tmp_path / "whole.tif", np.zeros((40, 50, 3), np.uint8), photometric="rgb")
    file = tmp_path / "cut.tif"
    file.write_bytes((tmp_path / "whole.tif").read_bytes()[:size])
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ValueError, match=r"cut\.tif cannot be decoded .*; replace it"):
        open_large(file)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
