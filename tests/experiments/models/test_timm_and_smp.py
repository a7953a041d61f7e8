"""Networks of timm and segmentation_models_pytorch as models of a configuration."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from experiments.models.on_views import required
from experiments.models.smp import Smp
from experiments.models.timm import Timm
from experiments.trust import build
from tests.experiments.runs import composed
from wavenets import Grid
from wavenets.testing import map_error

D4 = {"rotations": 4, "mirrored": True}


def test_a_missing_library_is_named() -> None:
    with pytest.raises(ImportError, match=r"no_such_library is missing .*pip install 'wavenets\[models\]'"):
        required("no_such_library")


def made(*overrides: str, classes: int = 3) -> Any:
    """Make the network of a configuration, in eval mode and with the same weights each time."""
    torch.manual_seed(0)
    return instantiate(composed(*overrides, "model.in_channels=2").model, num_classes=classes).eval()


class TestTimm:
    timm: Any

    @pytest.fixture(autouse=True)
    def library(self) -> None:
        self.timm = pytest.importorskip("timm")

    @torch.no_grad()
    def test_it_is_timms_network(self) -> None:
        x, network = torch.rand(2, 2, 40, 33), made("model=timm", "model.name=resnet10t")
        torch.manual_seed(0)
        timms = self.timm.create_model("resnet10t", in_chans=2, num_classes=3).eval()
        assert torch.equal(network(x), timms(x))

    @torch.no_grad()
    def test_it_is_invariant_by_two_keys(self) -> None:
        x = torch.rand(2, 2, 40, 33)
        network = made("model=timm", "model.name=resnet10t", "model.rotations=4", "model.mirrored=true")
        assert torch.equal(network(x.rot90(1, (2, 3)).flip(3)), network(x))
        plain = made("model=timm", "model.name=resnet10t")
        assert torch.equal(plain.state_dict()["network.conv1.0.weight"], network.plain.conv1[0].weight)
        assert not torch.allclose(plain(x.flip(3)), plain(x), rtol=1e-3, atol=1e-3)

    def test_its_weights_come_from_a_file(self, tmp_path: Path) -> None:
        source = self.timm.create_model("resnet10t", num_classes=1000)
        torch.save(source.state_dict(), file := tmp_path / "weights.pth")
        network = Timm("resnet10t", num_classes=3, pretrained=str(file), **D4)
        assert not torch.equal(network.plain.layer1[0].conv1.weight, source.layer1[0].conv1.weight)
        network.load_pretrained()
        assert torch.equal(network.plain.layer1[0].conv1.weight, source.layer1[0].conv1.weight)
        assert network.plain.fc.weight.shape == (3, 512)

    def test_a_checkpoint_needs_no_file(self) -> None:
        config = {"_target_": "experiments.models.timm.Timm", "name": "resnet10t", "pretrained": "gone.pth"}
        assert isinstance(build(config, num_classes=3), Timm)
        with pytest.raises(ValueError, match=r"gone.pth is neither true, nor a file, nor a name on the hub"):
            build(config, num_classes=3).load_pretrained()

    def test_a_wrong_name_is_one_line(self) -> None:
        with pytest.raises(ValueError, match=r"model.name=resnet81 is not a network of timm; did you mean resnet"):
            Timm("resnet81", 3)


class TestSmp:
    smp: Any

    @pytest.fixture(autouse=True)
    def library(self) -> None:
        self.smp = pytest.importorskip("segmentation_models_pytorch")

    @torch.no_grad()
    def test_it_is_the_network_of_the_library(self) -> None:
        x, network = torch.rand(1, 2, 64, 32), made("model=smp", "model.encoder=resnet18")
        torch.manual_seed(0)
        theirs = self.smp.Unet("resnet18", encoder_weights=None, in_channels=2, classes=3).eval()
        assert torch.equal(network(x), theirs(x))

    @torch.no_grad()
    def test_maps_of_any_size_turn_with_the_image(self) -> None:
        network = made("model=smp", "model.encoder=resnet18", "model.rotations=4", "model.mirrored=true")
        x = torch.rand(1, 2, 40, 33)
        assert network(x).shape == (1, 3, 40, 33)
        grid = Grid(2, **D4)  # type: ignore[arg-type]
        assert all(map_error(network, x, grid, turns=turns, mirror=True) == 0 for turns in range(4))
        assert map_error(made("model=smp", "model.encoder=resnet18"), x, grid, turns=1) > 1e-3

    @pytest.mark.parametrize("whole", [False, True])
    def test_its_encoder_comes_from_a_file(self, whole: bool, tmp_path: Path) -> None:
        source = self.smp.Unet("resnet18", encoder_weights=None)
        torch.save((source if whole else source.encoder).state_dict(), file := tmp_path / "weights.pth")
        network = Smp("Unet", 3, "resnet18", in_channels=1, pretrained=str(file))
        network.load_pretrained()
        encoder = network.plain.network.encoder
        assert torch.equal(encoder.layer2[0].conv1.weight, source.encoder.layer2[0].conv1.weight)
        assert torch.equal(encoder.conv1.weight, source.encoder.conv1.weight.sum(1, keepdim=True))

    def test_wrong_names_are_one_line(self) -> None:
        with pytest.raises(ValueError, match=r"model.name=UNet is not a network of .*; did you mean Unet"):
            Smp("UNet", 3)
        with pytest.raises(ValueError, match=r"model.encoder=resnet81: Wrong encoder name") as error:
            Smp("Unet", 3, "resnet81")
        assert "\n" not in str(error.value)
