"""The commands with views.…: against the views by hand."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image as Picture

import experiments
from experiments import evaluate, export
from experiments.card import load_network
from experiments.data.inputs import Image
from experiments.evaluation.views import on_views
from experiments.results import Results
from experiments.training.tasks.multi_class import MultiClass
from experiments.trust import build
from tests.experiments.evaluation.test_views import cnn, surest
from tests.experiments.images import CLASSES, pixels, unet
from tests.experiments.runs import predict_command as command
from tests.experiments.runs import rows, run, saved, short
from wavenets import Grid

KEYS = "views.num_scales=5", "views.base=1.4142", "views.rotations=4", "views.mirrored=true", "views.finer=1"


@pytest.mark.parametrize("mode", ["mean", "max", "confident"])
def test_a_predicted_map_turns_with_the_image(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(unet(), tmp_path / "run", "segmentation", Image(3), CLASSES)
    upright, turned = pixels(61, 75), np.rot90(pixels(61, 75))[:, ::-1]
    for name, image in ("a", upright), ("b", turned):
        Picture.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{name}.png")
    files = f"files=[{tmp_path}/a.png,{tmp_path}/b.png]"
    for maps, keys in ("views", [*KEYS, f"views.mode={mode}"]), ("plain", []):
        written = f"maps={tmp_path}/{maps}", "probabilities=true"
        assert command(monkeypatch, folder, files, *written, *keys) == 0
    differ = {}
    for maps in "views", "plain":
        a, b = (tifffile.imread(tmp_path / maps / f"{name}_probabilities.tif").astype(int) for name in "ab")
        differ[maps] = np.abs(np.rot90(a, axes=(1, 2))[..., ::-1] - b).max()
        one, other = (np.array(Picture.open(tmp_path / maps / f"{name}.png")) for name in "ab")
        assert len(np.unique(one)) > 1
        assert np.array_equal(np.rot90(one)[:, ::-1], other) == (maps == "views")
    assert differ["views"] == 0 < differ["plain"]


@pytest.mark.parametrize("chosen", [("views.rotations=4", "views.mode=confident"), ("views.thickness=1.5",)])
def test_maps_on_views_are_computed_tile_by_tile(
    chosen: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved(unet(), tmp_path / "run", "segmentation", Image(3), CLASSES)
    Picture.fromarray(pixels(120, 150)).save(tmp_path / "a.png")
    maps = []
    for tile in 1024, 64:
        where = tmp_path / str(tile)
        keys = f"maps={where}", f"tile={tile}", "views.num_scales=2", *chosen
        assert command(monkeypatch, folder, f"files=[{tmp_path}/a.png]", *keys) == 0
        maps.append(np.array(Picture.open(where / "a.png")))
    assert "warning" not in capsys.readouterr().err
    assert (maps[0] == maps[1]).mean() > 0.999  # tiles add up in another order


def test_a_sound_is_judged_at_its_surest_scale(
    trained_m3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "a.wav", rng.uniform(-0.5, 0.5, 1600), 8000, subtype="FLOAT")
    keys = "views.num_scales=3", "views.base=2", "views.mode=confident"
    assert command(monkeypatch, trained_m3, f"files=[{tmp_path}/a.wav]", f"csv={tmp_path}/a.csv", *keys) == 0
    trained = experiments.load(trained_m3)
    with torch.no_grad():
        views = Grid(1).views(trained.preprocess(tmp_path / "a.wav"), 3)
        expected = surest([trained.network(view) for view in views]).softmax(1)[0]
    (row,) = rows(tmp_path / "a.csv")
    for name, p in zip(trained.classes, expected.tolist(), strict=True):
        assert float(row[f"p_{name}"]) == pytest.approx(p, abs=1e-4)


def loss_on_views(folder: Path, num_scales: int) -> float:
    """Return the test loss of the run on the mean over octaves, by hand."""
    network, card = load_network(folder / "checkpoints" / "best.ckpt")
    examples = build(card.config["data"]).split("test")
    x, target = (torch.stack([torch.as_tensor(part) for part in parts]) for parts in zip(*examples, strict=True))
    with torch.no_grad():
        logits = torch.stack([network(view) for view in Grid(1).views(x, num_scales)]).mean(0)
    return F.cross_entropy(logits, target).item()


def test_evaluate_shows_the_network_as_it_is_and_on_views(
    trained_m3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(trained_m3, tmp_path / "run")
    keys = "views.num_scales=3", "views.base=2"
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={folder}", *keys, "rescale=[1,2]"])
    evaluate.main()
    plain, on_views = (Results.load(folder / "checkpoints" / f"{name}.json") for name in ("best", "views_best"))
    assert (plain.views, on_views.views) == ({}, {"num_scales": 3, "base": 2})
    assert plain.test["loss"] == pytest.approx(Results.load(trained_m3 / "results.json").test["loss"], abs=1e-6)
    assert on_views.test["loss"] == pytest.approx(loss_on_views(folder, 3), abs=1e-6)
    assert on_views.parameters == plain.parameters and list(on_views.transformed) == ["1", "2"]
    assert (folder / "checkpoints" / "views_best_confusion.png").is_file()
    out = capsys.readouterr().out
    assert "as it" in out and "views" in out
    (line,) = (line for line in out.splitlines() if "test loss" in line)
    assert f"{plain.test['loss']:.3f}" in line and f"{on_views.test['loss']:.3f}" in line
    monkeypatch.setattr(sys, "argv", ["evaluate", f"ckpt={folder}", "views.rotations=4"])
    with pytest.raises(SystemExit, match=r"error: views.rotations=4 is for images"):
        evaluate.main()


def test_a_run_is_trained_as_ever_and_tested_on_views(sounds: Path, trained_m3: Path, tmp_path: Path) -> None:
    results = run(tmp_path, *short(sounds), "views.num_scales=2")
    assert results["views"] == {"num_scales": 2}
    assert results["test_loss"] == pytest.approx(loss_on_views(tmp_path, 2), abs=1e-6)
    plain, ours = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (trained_m3, tmp_path)
    )
    assert all(torch.equal(plain[key], ours[key]) for key in plain)
    with pytest.raises(ValueError, match=r"views.mirrored=True is for images"):
        run(tmp_path / "wrong", *short(sounds), "views.mirrored=true")
    assert not list((tmp_path / "wrong").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("format", "mode"), [("onnx", "confident"), ("export", "mean")])
def test_the_exported_network_is_that_on_views(
    format: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = cnn()
    folder = saved(network, tmp_path / "run", "multi_class", Image(1), list("abcd"))
    views = {"num_scales": 2, "mode": mode}
    keys = [f"views.{key}={value}" for key, value in views.items()]
    monkeypatch.setattr(sys, "argv", ["export", f"ckpt={folder}", f"format={format}", *keys])
    export.main()
    net, x = on_views(network, MultiClass(4), views), torch.randn(3, 1, 31, 44)
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "checkpoints" / "best.onnx")
        about, y = session.get_modelmeta().custom_metadata_map, session.run(None, {"input": x.numpy()})[0]
    else:
        extra = {"metadata.json": ""}
        program = torch.export.load(folder / "checkpoints" / "best.pt2", extra_files=extra)
        about, y = json.loads(extra["metadata.json"]), program.module()(x)
    with torch.no_grad():
        torch.testing.assert_close(torch.as_tensor(y), net(x), rtol=0, atol=1e-5)
    assert json.loads(about["views"]) == views and json.loads(about["min_size"]) == net.min_size


def test_a_network_that_chooses_by_thickness_is_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(unet(), tmp_path / "run", "segmentation", Image(3), CLASSES)
    monkeypatch.setattr(sys, "argv", ["export", f"ckpt={folder}", "views.num_scales=2", "views.thickness=5"])
    with pytest.raises(SystemExit, match=r"views.thickness=5 depends on data and cannot be exported; leave it out"):
        export.main()
