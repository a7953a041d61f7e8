"""Networks in folders: weights and card, what they give back, and what a card may not do."""

import importlib
import json
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tests.networks import noise
from wavenets import Grid, __version__
from wavenets.models import (
    CNN,
    EnvelopeMNet,
    MNet,
    Network,
    OneDCNN,
    ResNet,
)

pytest.importorskip("safetensors")

NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "positional": (lambda: MNet(3, 7, normalize=True), (1, 9000)),
    "plain image": (lambda: CNN(4, in_channels=3, width=6), (3, 30, 30)),
    "shared": (lambda: MNet(5, form="shared", num_scales=3, readout="gated", dropout=0.3, base=2), (1, 9000)),
    "extents": (lambda: MNet(3, scale_extent=(2,), num_scales=8, base="3/2"), (1, 9000)),
    "fraction": (lambda: OneDCNN(num_classes=3, grid=Grid(1, Fraction(5, 4)), scale_extent=1), (1, 40000)),
    "undecimated": (lambda: MNet(3, grid=Grid(1, decimated=False), scale_extent=1, num_scales=7), (1, 3000)),
    "turns": (lambda: CNN(width=4, form="shared", rotations=8, base=2, num_scales=1), (1, 20, 26)),
    "a root, turns": (
        lambda: CNN(3, width=4, grid=Grid(2, 2**0.5, rotations=4), num_scales=3),
        (1, 30, 30),
    ),
    "splines": (lambda: CNN(width=4, spline_spacing=1.5, rotations=4, num_scales=3), (1, 30, 30)),
    "envelopes": (lambda: EnvelopeMNet(3, bands=4, form="shared", num_scales=2), (1, 90000)),
    "resnet": (lambda: ResNet(5, width=4, out_scales=1, base=2), (3, 80, 80)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_what_it_was(name: str, tmp_path: Path) -> None:
    make, shape = NETWORKS[name]
    net = make().train()
    for buffer in (b for key, b in net.named_buffers() if key.endswith(("running_mean", "running_var"))):
        buffer.uniform_(0.5, 1.5)
    net.save_pretrained(tmp_path / "deep" / "net", {"classes": ["ä", "b"]})
    assert sorted(file.name for file in (tmp_path / "deep" / "net").iterdir()) == ["card.json", "model.safetensors"]
    again = Network.from_pretrained(tmp_path / "deep" / "net")
    assert type(again) is type(net) and not again.training and again.about == {"classes": ["ä", "b"]}
    grids = [[m.grid for m in one.modules() if isinstance(getattr(m, "grid", None), Grid)] for one in (net, again)]
    assert grids[0] == grids[1]
    x = noise(2, *shape)
    with torch.no_grad():
        assert torch.equal(again(x), net.eval()(x))
    again.save_pretrained(tmp_path / "twice")
    for file in "card.json", "model.safetensors":
        assert (tmp_path / "twice" / file).read_bytes() == (tmp_path / "deep" / "net" / file).read_bytes()


def test_double_precision_is_kept(tmp_path: Path) -> None:
    net = CNN(width=4, num_scales=3, spline_spacing=1.5, rotations=4).double().eval()
    net.save_pretrained(tmp_path)
    x = noise(1, 1, 30, 30, dtype=torch.float64)
    assert torch.equal(Network.from_pretrained(tmp_path)(x), net(x))


def test_the_card_says_what_was_asked_for(tmp_path: Path) -> None:
    CNN(3, grid=Grid(2, 2**0.5, rotations=4), num_scales=4).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "card.json").read_text()) == {
        "class": "CNN",
        "arguments": {
            "num_classes": 3,
            "grid": {"ndim": 2, "base": 2**0.5, "decimated": True, "rotations": 4},
            "num_scales": 4,
        },
        "wavenets": __version__,
        "about": {},
    }


class Mine(MNet):
    """A network of one's own."""

    def __init__(self, width: int) -> None:
        super().__init__(3, num_classes=width)


def test_a_class_of_ones_own_is_made_where_it_is_asked_for(tmp_path: Path) -> None:
    Mine(4).save_pretrained(tmp_path)
    assert isinstance(Mine.from_pretrained(tmp_path), Mine)
    with pytest.raises(ValueError, match=r"card.json names Mine, which is no network of wavenets.models"):
        Network.from_pretrained(tmp_path)
    MNet(3).save_pretrained(tmp_path)
    assert type(MNet.from_pretrained(tmp_path)) is MNet
    with pytest.raises(ValueError, match=r"card.json names MNet, which is no OneDCNN: use Network.from_pretrained"):
        OneDCNN.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class": "Popen"}, "names Popen, which is no network of wavenets.models"),
        ({"class": "subprocess.Popen"}, "names subprocess.Popen, which is no network"),
        ({"class": "Options"}, "names Options, which is no network"),
        ({"class": "Network"}, "names Network, which is no network"),
        ({"class": "__builtins__"}, "names __builtins__, which is no network"),
        ({"class": ["MNet"]}, "is not a card that save_pretrained writes"),
        ({"arguments": {"depth": {"_target_": "os.system"}}}, "depth is of type dict, where a card has numbers, text"),
        (
            {"arguments": {"depth": [{"_target_": "os.system"}]}},
            "depth is of type dict, where a card has numbers, text",
        ),
        ({"arguments": {"depth": 3, "grid": {"ndim": 1, "os": "system"}}}, "MNet cannot be made"),
        ({"arguments": {"depth": 7}}, "MNet cannot be made .*depth must be one of"),
        ({"arguments": {}}, "MNet cannot be made .*depth"),
        ({"arguments": {"depth": 3, "num_classes": 5}}, "model.safetensors is damaged, or does not fit its card.json"),
        ({"about": None}, "is not a card that save_pretrained writes"),
    ],
)
def test_a_card_is_data(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    MNet(3).save_pretrained(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(card | change))
    with pytest.raises(ValueError, match=message):
        Network.from_pretrained(tmp_path)


def test_files_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no/such/folder is no folder, nor a name on the Hugging Face hub"):
        Network.from_pretrained("no/such/folder")
    with pytest.raises(FileNotFoundError, match=r"holds no card.json: it is not what save_pretrained writes"):
        Network.from_pretrained(tmp_path)
    MNet(3).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        Network.from_pretrained(tmp_path)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"model.safetensors not found, beside card.json"):
        Network.from_pretrained(tmp_path)
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(ValueError, match=r"card.json is not a card that save_pretrained writes"):
        Network.from_pretrained(tmp_path)


def test_nothing_is_written_of_what_cannot_be_told(tmp_path: Path) -> None:
    parts = (torch.nn.Identity(),) * 4
    with pytest.raises(ValueError, match="stem is of type Identity, where a card has numbers, text"):
        Network(*parts).save_pretrained(tmp_path / "net")
    with pytest.raises(ValueError, match="Out of range float"):
        MNet(3).save_pretrained(tmp_path / "net", {"accuracy": float("nan")})
    assert not (tmp_path / "net").exists()


def test_a_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ResNet(3, width=4).save_pretrained(tmp_path)
    asked = []

    class HfHubHTTPError(Exception): ...

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if name == "some/body":
            raise HfHubHTTPError("404\nnot found")
        return str(tmp_path)

    hub: Any = ModuleType("huggingface_hub")
    hub.snapshot_download, hub.errors = snapshot_download, SimpleNamespace(HfHubHTTPError=HfHubHTTPError)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert isinstance(Network.from_pretrained("some/net"), ResNet)
    assert asked == [("some/net", ["model.safetensors", "card.json"])]
    with pytest.raises(
        FileNotFoundError, match=r"some/body is no folder, and not to be had from .* hub: 404 not found"
    ):
        Network.from_pretrained("some/body")


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> Any:
        raise ImportError(name)

    MNet(3).save_pretrained(tmp_path)
    monkeypatch.setattr(importlib, "import_module", import_module)
    for use in (lambda: MNet(3).save_pretrained(tmp_path / "new"), lambda: Network.from_pretrained(tmp_path)):
        with pytest.raises(ImportError, match=r"^safetensors is missing: pip install 'wavenets\[pretrained\]'$"):
            use()
    with pytest.raises(
        ImportError, match=r"^some/net is no folder here; .* hub, huggingface_hub is missing: pip install"
    ):
        Network.from_pretrained("some/net")
    assert not (tmp_path / "new").exists()
