"""Networks in folders: weights and card, what they give back, and what a card may not do."""

import importlib
import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.utils import prune

from tests.library.networks import noise
from wavenets import Grid, __version__
from wavenets.models import CNN, MNet, Network, OneDCNN, ResNet, ScalogramNet, UNet

pytest.importorskip("safetensors")

NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "positional": (lambda: MNet(3, 7, normalize=True), (1, 9000)),
    "plain image": (lambda: CNN(4, in_channels=3, width=6), (3, 30, 30)),
    "shared": (lambda: MNet(5, form="shared", num_scales=3, readout="gated", dropout=0.3, base=2), (1, 9000)),
    "extents": (lambda: MNet(3, scale_extent=(2,), num_scales=8, base="3/2"), (1, 9000)),
    "fraction": (lambda: OneDCNN(num_classes=3, grid=Grid(1, Fraction(5, 4)), scale_extent=1), (1, 40000)),
    "turns": (lambda: CNN(width=4, form="shared", rotations=8, base=2, num_scales=1), (1, 20, 26)),
    "a root, turns": (
        lambda: CNN(3, width=4, grid=Grid(2, 2**0.5, rotations=4), num_scales=3),
        (1, 30, 30),
    ),
    "splines": (lambda: CNN(width=4, spline_spacing=1.5, rotations=4, num_scales=3), (1, 30, 30)),
    "scalogram": (lambda: ScalogramNet(3, base=2, width=4, filters=2, num_scales=5), (1, 9000)),
    "reflections": (lambda: CNN(width=4, rotations=4, mirrored=True, head_channels=5), (1, 30, 41)),
    "u-net": (lambda: UNet(2, 1, 4, 3, ndim=1, grid=Grid(1, "3/2"), num_scales=2), (1, 100)),
    "u-net on a network": (lambda: UNet(3, width=2, encoder=ResNet(width=4, grid=Grid(2, mirrored=True))), (3, 40, 50)),
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
            "grid": {"ndim": 2, "base": 2**0.5, "rotations": 4, "mirrored": False},
            "num_scales": 4,
        },
        "wavenets": __version__,
        "about": {},
    }


class Mine(MNet):
    """A network with a constructor of its own."""

    def __init__(self, width: int) -> None:
        super().__init__(3, num_classes=width)


class ByPosition(MNet):
    """One whose arguments have no names, or not for its callers."""

    def __init__(self, depth: int, num_classes: int, /, *others: int, normalize: bool = False) -> None:
        super().__init__(depth, num_classes, *others, normalize=normalize)


class AnyNumber(MNet):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def test_a_class_of_the_user_is_made_where_it_is_asked_for(tmp_path: Path) -> None:
    Mine(4).save_pretrained(tmp_path)
    assert isinstance(Mine.from_pretrained(tmp_path), Mine)
    with pytest.raises(ValueError, match=r"card.json names Mine, which is not a network of wavenets.models"):
        Network.from_pretrained(tmp_path)
    MNet(3).save_pretrained(tmp_path)
    assert type(MNet.from_pretrained(tmp_path)) is MNet
    with pytest.raises(ValueError, match=r"card.json names MNet, which is not a OneDCNN: use Network.from_pretrained"):
        OneDCNN.from_pretrained(tmp_path)


@pytest.mark.parametrize("make", [lambda: ByPosition(3, 4, 2, normalize=True), lambda: AnyNumber(3, 4, in_channels=2)])
def test_arguments_without_names_are_kept(make: Callable[[], MNet], tmp_path: Path) -> None:
    net = make().eval()
    net.save_pretrained(tmp_path)
    x = noise(1, 2, 9000)
    with torch.no_grad():
        assert torch.equal(type(net).from_pretrained(tmp_path)(x), net(x))


def with_head(net: Network) -> None:
    net.head[1] = torch.nn.Conv1d(256, 3, 1, bias=False)


def without_norms(net: Network) -> None:
    net.encoder.stem[1] = torch.nn.Identity()


def for_colours(net: Network) -> None:
    net.encoder.stem[0] = torch.nn.Conv1d(3, 256, 80, 4, 39, bias=False)


def with_weight_norm(net: Network) -> None:
    torch.nn.utils.parametrizations.weight_norm(net.encoder.stem[0])


def pruned(net: Network) -> None:
    prune.l1_unstructured(net.encoder.stem[0], "weight", 0.5)


def with_another_activation(net: Network) -> None:
    net.encoder.stem[2] = torch.nn.GELU()


def normalizing(net: Network) -> None:
    net.normalize = True


def strided(net: Network) -> None:
    net.encoder.stem[0].stride = (2,)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (with_head, r"head.1.weight has shape \(3, 256, 1\) in place of \(10, 256, 1\)"),
        (without_norms, r"encoder.stem.1.bias has shape None in place of \(256,\)"),
        (for_colours, r"encoder.stem.0.weight has shape \(256, 3, 80\) in place of \(256, 1, 80\)"),
        (with_weight_norm, "encoder.stem.0.parametrizations.weight.original0 has shape"),
        (pruned, "encoder.stem.0.weight has shape None in place of"),
        (with_another_activation, "encoder.stem.2.class is GELU in place of ReLU"),
        (normalizing, "normalize is True in place of False"),
        (strided, r"encoder.stem.0.stride is \(2,\) in place of \(4,\)"),
    ],
)
def test_a_network_that_is_no_longer_what_was_made_is_not_saved(
    change: Callable[[Network], None], what: str, tmp_path: Path
) -> None:
    net = MNet(3)
    change(net)
    with pytest.raises(ValueError, match=f"changed after it was created, and its card cannot describe this: {what}"):
        net.save_pretrained(tmp_path / "net")
    assert not (tmp_path / "net").exists()


def test_changes_of_layers_on_a_group_are_seen(tmp_path: Path) -> None:
    net = CNN(rotations=4, num_scales=4, width=4)
    net.encoder.stem[0].num_scales = 5
    with pytest.raises(ValueError, match=r"encoder\.stem\.0\.num_scales is 5 in place of 4"):
        net.save_pretrained(tmp_path)
    net = CNN(rotations=4, width=4)
    net.readout.mode = "max"
    with pytest.raises(ValueError, match=r"readout\.mode is max in place of mean"):
        net.save_pretrained(tmp_path)
    net = CNN(rotations=4, width=4).train().requires_grad_(False)  # which change nothing that it computes
    assert net.min_size == 4
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(net).save_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class": "Popen"}, "names Popen, which is not a network of wavenets.models"),
        ({"class": "subprocess.Popen"}, "names subprocess.Popen, which is not a network"),
        ({"class": "Options"}, "names Options, which is not a network"),
        ({"class": "Network"}, "names Network, which is not a network"),
        ({"class": "__builtins__"}, "names __builtins__, which is not a network"),
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
    with pytest.raises(FileNotFoundError, match=r"no/such/folder is not a folder, nor a name on the Hugging Face hub"):
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


def test_nothing_is_written_of_what_a_card_cannot_say(tmp_path: Path) -> None:
    encoder, *parts = MNet(3).children()
    with pytest.raises(ValueError, match="encoder is of type Encoder, where a card has numbers, text"):
        Network(encoder, *parts).save_pretrained(tmp_path / "net")
    with pytest.raises(ValueError, match="Out of range float"):
        MNet(3).save_pretrained(tmp_path / "net", {"accuracy": float("nan")})
    assert not (tmp_path / "net").exists()


def test_a_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ResNet(3, width=4).save_pretrained(tmp_path)
    asked = []

    class HfHubHTTPError(Exception): ...

    def snapshot_download(name: str, allow_patterns: list[str], revision: str | None = None) -> str:
        asked.append((name, allow_patterns, revision))
        if name == "some/body":
            raise HfHubHTTPError("404\nnot found")
        return str(tmp_path)

    hub: Any = ModuleType("huggingface_hub")
    hub.snapshot_download, hub.errors = snapshot_download, SimpleNamespace(HfHubHTTPError=HfHubHTTPError)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert isinstance(Network.from_pretrained("some/net"), ResNet)
    assert isinstance(Network.from_pretrained("some/net", revision="v1.0"), ResNet)
    files = ["model.safetensors", "card.json"]
    assert asked == [("some/net", files, None), ("some/net", files, "v1.0")]
    with pytest.raises(
        ValueError, match=r"^revision=v1.0 is for names on the Hugging Face hub, and .* is a folder here"
    ):
        Network.from_pretrained(tmp_path, revision="v1.0")
    with pytest.raises(
        FileNotFoundError, match=r"some/body is not a folder, and could not be loaded from .* hub: 404 not found"
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
        ImportError, match=r"^some/net is not a folder here; .* hub, huggingface_hub is missing: pip install"
    ):
        Network.from_pretrained("some/net")
    assert not (tmp_path / "new").exists()
