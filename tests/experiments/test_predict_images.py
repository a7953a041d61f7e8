"""The command for images, of networks that return classes or numbers."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Picture

from experiments import predict
from experiments.data.image.geometry import resize_to
from experiments.data.image.read import read_image
from experiments.data.inputs import Image, Waveform
from tests.experiments.images import CLASSES, pixels, unet, write_all_kinds
from tests.experiments.runs import predict_command as command
from tests.experiments.runs import rows, saved
from wavenets.models import CNN, MNet


@pytest.mark.parametrize("fit", ["resize", "pad", "crop"])
def test_images_are_classified_as_training_read_them(
    fit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments.data.image.fit import fit_to

    network = CNN(3, in_channels=3, width=6).eval()
    data = {"size": [32, 28], "fit": fit, "background": 0}
    run = saved(network, tmp_path / "run", "multi_class", Image(3, (32, 28)), CLASSES, data)
    files = write_all_kinds(tmp_path / "data")
    (tmp_path / "data" / "bad.png").write_text("no image")
    assert command(monkeypatch, run, f"files=[{tmp_path}/data]", f"csv={tmp_path}/files.csv", "batch_size=4") == 1
    table = rows(tmp_path / "files.csv")
    assert list(table[0]) == ["file", "predicted", "p", *(f"p_{name}" for name in CLASSES)]
    assert [row["file"] for row in table] == [str(file) for file in files]
    for row in table:
        x = fit_to(read_image(Path(row["file"]), 3, background=0), (32, 28), fit, 0.0)
        with torch.no_grad():
            p = network(x[None]).softmax(1)[0].tolist()
        assert [float(row[f"p_{name}"]) for name in CLASSES] == pytest.approx(p, abs=1e-6)
        assert row["predicted"] == CLASSES[int(np.argmax(p))]
    assert capsys.readouterr().out.count("a.png") == 1


def test_images_stay_as_they_are_if_training_did_not_resize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = CNN(3, in_channels=3, width=6).eval()
    run = saved(network, tmp_path / "run", "multi_class", Image(3, (27, 27)), CLASSES, {"size": None})
    Picture.fromarray(pixels(60, 40)).save(tmp_path / "a.png")
    assert command(monkeypatch, run, f"files=[{tmp_path}/a.png]", f"json={tmp_path}/all.json") == 0
    with torch.no_grad():
        p = network(read_image(tmp_path / "a.png", 3)[None]).softmax(1)[0].tolist()
    (prediction,) = json.loads((tmp_path / "all.json").read_text())["predictions"]
    assert [prediction["probabilities"][name] for name in CLASSES] == pytest.approx(p, abs=1e-6)


def test_a_classifier_looks_at_windows_of_a_large_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = CNN(3, in_channels=3, width=6).eval()
    run = saved(network, tmp_path / "run", "multi_class", Image(3, (24, 20)), CLASSES, {"size": None})
    Picture.fromarray(pixels(70, 65)).save(tmp_path / "a.png")
    arguments = f"maps={tmp_path}/maps", "hop=10", "probabilities=true", f"csv={tmp_path}/files.csv"
    assert command(monkeypatch, run, f"files=[{tmp_path}/a.png]", *arguments) == 0
    x, total, count = read_image(tmp_path / "a.png", 3), np.zeros((3, 70, 65)), np.zeros((70, 65))
    each = []
    for top in (0, 10, 20, 30, 40, 46):
        for left in (0, 10, 20, 30, 40, 45):
            with torch.no_grad():
                p = network(x[None, :, top : top + 24, left : left + 20]).softmax(1)[0].numpy()
            total[:, top : top + 24, left : left + 20] += p[:, None, None]
            count[top : top + 24, left : left + 20] += 1
            each.append(p)
    shares = tifffile.imread(tmp_path / "maps" / "a_probabilities.tif")
    assert np.abs(shares / 255 - total / count).max() < 0.501 / 255
    assert (np.array(Picture.open(tmp_path / "maps" / "a.png")) == total.argmax(0)).mean() > 0.999
    (row,) = rows(tmp_path / "files.csv")
    assert [float(row[f"p_{name}"]) for name in CLASSES] == pytest.approx(np.mean(each, 0).tolist(), abs=1e-6)
    assert (row["height"], row["width"]) == ("70", "65")


def test_numbers_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = CNN(2, in_channels=1, width=6).eval()
    options: dict[str, Any] = {"mean": [10.0, -3.0], "std": [2.0, 0.5]}
    run = saved(network, tmp_path / "run", "regression", Image(1, (28, 28)), ["age", "depth"], **options)
    Picture.fromarray(pixels(50, 40)).save(tmp_path / "a.png")
    written = f"csv={tmp_path}/files.csv", f"json={tmp_path}/all.json"
    assert command(monkeypatch, run, f"files=[{tmp_path}/a.png]", *written) == 0
    with torch.no_grad():
        x = resize_to(read_image(tmp_path / "a.png", 1), (28, 28))
        values = (network(x[None])[0] * torch.tensor([2.0, 0.5]) + torch.tensor([10.0, -3.0])).tolist()
    (row,) = rows(tmp_path / "files.csv")
    assert list(row) == ["file", "age", "depth"]
    assert [float(row["age"]), float(row["depth"])] == pytest.approx(values, abs=1e-5)
    (prediction,) = json.loads((tmp_path / "all.json").read_text())["predictions"]
    assert prediction["values"] == {"age": float(row["age"]), "depth": float(row["depth"])}


def test_outputs_that_are_not_numbers_are_an_error_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = unet()
    for parameter in network.parameters():
        parameter.data.fill_(float("nan"))
    run = saved(network, tmp_path / "run", "segmentation", Image(3), CLASSES)
    Picture.fromarray(pixels(20, 20)).save(tmp_path / "a.png")
    assert command(monkeypatch, run, f"files=[{tmp_path}/a.png]", f"maps={tmp_path}/maps") == 1
    assert f"error: {tmp_path}/a.png: the network's outputs are NaN" in capsys.readouterr().err
    assert not list((tmp_path / "maps").iterdir())


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("windows=x.csv", "windows=x.csv is for sounds; ckpt=.* was trained on images"),
        ("pictures=x", "pictures=x is for sounds"),
        ("hop=0.5", "hop=0.5 is not a number of pixels above 0"),
        ("tile=0", "tile=0 is not a whole number above 0"),
        ("probabilities=true", "needs a folder to write to; add maps=FOLDER"),
    ],
)
def test_mistakes_are_found_first(argument: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = saved(unet(), tmp_path / "run", "segmentation", Image(3), CLASSES)
    monkeypatch.setattr(sys, "argv", ["predict", f"ckpt={run}", "files=[x.png]", argument])
    with pytest.raises(SystemExit, match=message):
        predict.main()


def test_a_map_of_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = saved(CNN(1, width=6), tmp_path / "run", "regression", Image(1, (28, 28)), ["age"])
    assert "was trained to predict numbers" in str(command(monkeypatch, run, "files=[x.png]", "maps=x"))
    run = saved(MNet(3, 3), tmp_path / "none", "multi_class", Waveform(8000, 8000), CLASSES)
    assert "rescale_to_mpp=True is for images" in str(command(monkeypatch, run, "files=[x]", "rescale_to_mpp=true"))
