"""Every network as one ONNX file for all batches and sizes; archives and machine code; the command."""

import json
import shutil
import sys
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from experiments import export
from experiments.evaluation.formats import FORMATS, program, to_onnx
from experiments.export import example
from tests.experiments.runs import run, short, write_set
from tests.slow import quickly
from wavenets import Grid
from wavenets.models import (
    CNN,
    MNet,
    OneDCNN,
    Options,
    ResNet,
    SampleCNN,
    UNet,
)
from wavenets.nn import LiftingConv2d, MaxPool1d, Readout, Views

pytestmark = pytest.mark.no_cover  # of pytest-cov: to trace compilers takes half as long again
SHARED = {"form": "shared", "num_scales": 2}
# An export takes seconds to minutes: what is quick is exported always, all else by `pytest -m exhaustive`.
QUICK = {
    "M5": lambda: MNet(5),
    "CNN": lambda: CNN(),
    "1DCNN": lambda: OneDCNN(),
    "W-M3, spanning two scales": lambda: MNet(3, form="shared", num_scales=3, scale_extent=2, base=2),
    "W-M3, shared, base 3/2": lambda: MNet(3, **SHARED, readout="gated", base="3/2", normalize=True),
    "W-CNN, spanning two scales": lambda: CNN(scale_extent=(2, 1), out_scales=1, width=4, base=2**0.5),
    "W-CNN, 4 turns": lambda: CNN(form="shared", num_scales=1, rotations=4, width=4),
}
SLOW = {
    **{f"M{depth}": lambda depth=depth: MNet(depth) for depth in (3, 11, 18, 34)},
    **{f"W-M{depth}": lambda depth=depth: MNet(depth, base=2) for depth in (3, 5, 11, 18, 34)},
    **{f"W-M{depth}, shared": lambda depth=depth: MNet(depth, **SHARED, base=2) for depth in (5, 11, 18, 34)},
    "W-1DCNN": lambda: OneDCNN(base=2),
    "W-1DCNN, shared": lambda: OneDCNN(**SHARED, base=2),
    "SampleCNN": lambda: SampleCNN(),
    "W-SampleCNN": lambda: SampleCNN(base=2),
    "W-SampleCNN, shared": lambda: SampleCNN(**SHARED, base=2),
    "W-CNN": lambda: CNN(base=2**0.5),
    "W-CNN, 2 turns": lambda: CNN(rotations=2, base=2**0.5),
    "W-CNN, 4 turns and scales": lambda: CNN(rotations=4, base=2**0.5),
    "W-CNN, 8 turns": lambda: CNN(**SHARED, rotations=8),
    "ResNet": lambda: ResNet(10),
    "W-ResNet": lambda: ResNet(10, width=8, base=2),
    "W-ResNet, shared": lambda: ResNet(10, width=8, **SHARED, base=2),
    "W-ResNet, 8 turns": lambda: ResNet(10, width=8, **SHARED, rotations=8),
}


def randomised(network: nn.Module) -> nn.Module:
    """As if it were trained: batch norms have statistics of their own, so that none can be forgotten."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


def inputs(network: nn.Module) -> list[Tensor]:
    """The least size, odd ones, and oblong images; one input and several."""
    least = network.min_size
    sizes = [[least] * network.ndim, [least + 1, least + 4], [2 * least + 5, 2 * least], [4 * least + 3, 3 * least + 2]]
    return [torch.randn(1 + 2 * (i % 2), network.in_channels, *size[: network.ndim]) for i, size in enumerate(sizes)]


def exports(network: nn.Module, form: str, file: Path) -> None:
    network = randomised(network)
    exported = FORMATS[form](network, *example(network), {"classes": "[]"}, file)
    for x in inputs(network):
        expected = network(x)
        torch.testing.assert_close(exported(x), expected, rtol=0, atol=1e-5 * max(1, expected.abs().max().item()))


@pytest.mark.parametrize("name", quickly(QUICK, "M5", "W-CNN, spanning two scales"))
def test_onnx_is_for_all_batches_and_sizes(name: str, tmp_path: Path) -> None:
    exports(QUICK[name](), "onnx", tmp_path / "net.onnx")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SLOW)
def test_onnx_of_every_network(name: str, tmp_path: Path) -> None:
    exports(SLOW[name](), "onnx", tmp_path / "net.onnx")


@pytest.mark.parametrize(
    "group",
    [
        {},
        pytest.param({"rotations": 4, "mirrored": True}, marks=pytest.mark.slow),
        pytest.param({"base": 2, "num_scales": 3}, marks=pytest.mark.slow),
    ],
    ids=["plain", "4 turns, mirrored", "three scales"],
)
def test_onnx_of_unets(group: Options, tmp_path: Path) -> None:
    """Maps have the size of the image, which is another one than that of the example."""
    depth = 1 if "rotations" in group else 2  # with eight orientations a deeper graph takes minutes
    net = randomised(UNet(2, width=1, depth=depth, **group))
    x, free = example(net)
    exported = to_onnx(net, x, free, {}, tmp_path / "net.onnx")
    for shape in (3, 3, 33, 40), (1, 3, 50, 37):
        assert shape[2:] != x.shape[2:]
        torch.testing.assert_close(exported(y := torch.randn(shape)), net(y), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("pool", [MaxPool1d(3, ceil_mode=True), MaxPool1d(3)], ids=str)
def test_onnx_of_poolings_that_round_up(pool: nn.Module, tmp_path: Path) -> None:
    net = nn.Sequential(Views(3, Grid(1)), pool, Readout("mean"))
    exported = to_onnx(net, *example(net, (2, 80)), {}, tmp_path / "net.onnx")
    for size in 40, 41, 42, 100:
        x = torch.randn(3, 2, size)
        torch.testing.assert_close(exported(x), net(x), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rotations", [2, 8])
def test_onnx_of_kernels_at_angles(rotations: int, tmp_path: Path) -> None:
    grid = Grid(2, rotations=rotations)
    net = nn.Sequential(LiftingConv2d(1, 2, 3, 1, grid=grid), Readout("max")).requires_grad_(False)
    exported = to_onnx(net, *example(net, (1, 20, 23)), {}, tmp_path / "net.onnx")
    for size in (9, 14), (20, 20):
        x = torch.randn(3, 1, *size)
        torch.testing.assert_close(exported(x), net(x), rtol=0, atol=1e-6)


ARCHIVED = "CNN", "W-M3, spanning two scales", "W-CNN, spanning two scales", "W-SampleCNN, shared"


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHIVED)
def test_archives_are_for_all_batches_and_sizes(name: str, tmp_path: Path) -> None:
    exports((QUICK | SLOW)[name](), "export", tmp_path / "net.pt2")


@pytest.mark.slow
def test_archives_of_turns_take_levels_of_one_pixel() -> None:
    grid = Grid(2, rotations=4)
    net = nn.Sequential(LiftingConv2d(3, 2, 3, 2, grid=grid), Readout("mean")).requires_grad_(False)
    free = {0: Dim("batch", min=1), 2: Dim("height", min=2), 3: Dim("width", min=2)}
    archived = program(net, torch.randn(2, 3, 9, 11), free).module()
    for size in (2, 2), (3, 2), (9, 4):
        x = torch.randn(1, 3, *size)
        torch.testing.assert_close(archived(x), net(x), rtol=0, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_archives_of_every_network(name: str, tmp_path: Path) -> None:
    exports((QUICK | SLOW)[name](), "export", tmp_path / "net.pt2")


@pytest.mark.parametrize(
    "network", [ResNet(10, width=2), ResNet(10, width=2, **SHARED, base=2)], ids=["plain", "shared"]
)
def test_an_image_to_export_with_has_no_level_of_one_pixel(network: nn.Module) -> None:
    x, free = example(network.eval())
    levels = network.features(x)
    assert all(level.shape[-1] > 1 for level in (levels if isinstance(levels, tuple) else (levels,)))
    assert free[2].min == network.min_size  # but it is for all that the network takes


@pytest.mark.exhaustive
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_machine_code_of_every_network(name: str, tmp_path: Path) -> None:
    exports((QUICK | SLOW)[name](), "aot", tmp_path / "net.pt2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    run(folder, *short(write_set(tmp_path_factory.mktemp("set"))), "trainer.max_epochs=1")
    return folder


def command(monkeypatch: pytest.MonkeyPatch, trained: Path, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["export", f"ckpt={trained}", *arguments])
    export.main()


def test_the_command_writes_a_file_that_says_what_it_is(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, trained)
    file = trained / "checkpoints" / "best.onnx"
    printed = capsys.readouterr()
    assert str(file) in printed.out and printed.out.count("\n") == 1 and not printed.err  # libraries say nothing
    said = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert json.loads(said["classes"]) == ["class0", "class1", "class2"]
    assert (said["sample_rate"], said["num_samples"]) == ("8000", "1600")
    assert said["normalization"] == "root mean square, by the network itself" and "softmax" in said["output"]


def test_mistakes_are_told_and_nothing_is_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, message in (
        (["format=tf"], "format=tf is unknown; choose one of onnx, export, aot"),
        ([f"out={tmp_path}/net.pt"], "net.pt must end in .onnx"),
        ([f"out={tmp_path}/none/net.onnx"], "none not found; create this folder for net.onnx"),
    ):
        with pytest.raises(SystemExit, match=message):
            command(monkeypatch, trained, *arguments)
    monkeypatch.setitem(
        FORMATS, "onnx", lambda network, x, free, said, file: file.touch() or (lambda x: 0 * network(x))
    )
    with pytest.raises(SystemExit, match="the exported network differs from the trained one"):
        command(monkeypatch, trained, f"out={tmp_path}/net.onnx")
    assert not list(tmp_path.iterdir())
