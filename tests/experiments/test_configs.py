"""Every file under conf/ composes and runs, and says all that there is to choose."""

from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hydra.utils import get_class, get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.data.inputs import Image, Waveform
from experiments.data.source import Source
from experiments.data.transformation import TESTED, Transformation
from experiments.train import make_network
from experiments.training.tasks.multi_class import MultiClass
from tests.experiments.data.sets.copies import write_drive, write_idc, write_isbi2012, write_monuseg, write_plankton
from tests.experiments.runs import CONF, composed, run, write_music
from tests.slow import quickly
from wavenets.models import Options

EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
MODELS = sorted({file.stem for file in (CONF / "model").glob("*.yaml")} - {"smp", "timm"})  # which have other keys
TASKS = sorted(file.stem for file in (CONF / "task").glob("*.yaml"))
TWINS = [("synthetic_shared", "synthetic_m5"), ("mnist_scale", "mnist_scale_plain"), ("esc10_scalogram", "esc10_m5")]


@pytest.mark.parametrize("name", quickly(EXPERIMENTS, "synthetic_m5", "drive_unet"))
def test_every_experiment_trains_and_tests(name: str, sounds: Path, tmp_path: Path) -> None:
    cfg = composed(f"experiment={name}")
    audio = [f"data.cache_dir={tmp_path}/cache", "data.num_workers=1", "data.sample_rate=8000", "data.duration=0.52"]
    if "digits" in cfg.data._target_:
        data = ["data=digits_scale"]  # MNIST's keys, without its files
    elif "Synthetic" in cfg.data._target_:
        data = [*audio, f"data.root={tmp_path}", "data.clips_per_fold=10"]
    elif "DRIVE" in cfg.data._target_:
        data = [f"data.root={write_drive(tmp_path / 'set')}", "data.crops_per_image=1"]
    elif name in ("monuseg_unet", "isbi2012_unet"):
        write = write_monuseg if name == "monuseg_unet" else write_isbi2012
        data = [f"data.root={write(tmp_path / 'set')}", "data.crops_per_image=1", f"data.cache_dir={tmp_path}"]
    elif name in ("idc_resnet", "plankton_resnet"):
        write = write_idc if name == "idc_resnet" else write_plankton
        data = [f"data.root={write(tmp_path / 'set')}", f"data.cache_dir={tmp_path}", "model.width=4"]
    elif "MagnaTagATune" in cfg.data._target_:
        data = [*audio[:2], f"data.root={write_music(tmp_path / 'set', seconds=2.8)}", "data.duration=2.67795918367"]
    else:
        data = [*audio, f"data.root={sounds}"]
    limits = ["trainer=cpu", "trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"]
    limits += ["batch_size=3", "rescale=[0.5]"]
    results = run(tmp_path / "run", f"experiment={name}", *data, *limits, pictures=True)
    assert cfg.name == results["name"] == name
    assert 0 <= results[f"test_{results['monitor']}"] <= 1
    assert all(len(by_class) in (1, len(results["classes"])) for by_class in results["details"].values())
    assert results["details"]


def network(cfg: DictConfig, source: Source, num_classes: int = 7) -> Any:
    return make_network(cfg, source, MultiClass(num_classes)).eval()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_the_channels_and_the_classes_of_the_data(name: str) -> None:
    source = Source()
    cfg = composed(f"model={name}")
    assert cfg.model.in_channels is None
    ndim = network(cfg, source).ndim
    source.input = Image(2) if ndim == 2 else Waveform(8000, channels=2)
    assert cfg.model.in_channels == 1  # of a source that does not say
    made = network(cfg := composed(f"model={name}"), source)
    assert cfg.model.in_channels == 2
    with torch.inference_mode():
        assert made(torch.zeros([1, 2, *[made.min_size] * ndim])).shape[:2] == (1, 7)
    assert network(composed(f"model={name}", "model.in_channels=3"), source).in_channels == 3


@pytest.mark.parametrize("name", MODELS)
def test_every_option_of_a_model_is_a_key(name: str) -> None:
    """So that a misspelt one is an error, and none needs a plus. Values are defaults, but for the normalisation."""
    node = composed(f"model={name}").model
    named = {k: p for k, p in signature(get_class(node._target_)).parameters.items() if p.kind != Parameter.VAR_KEYWORD}
    options = set(Options.__annotations__) - {"grid"} if node._target_.startswith("wavenets") else set()
    if instantiate(node, in_channels=1, num_classes=2).ndim == 1:
        options -= {"rotations", "mirrored"}
    assert not (named.keys() | options) - node.keys() - {"num_classes", "encoder"}
    assert not node.keys() - named.keys() - options - {"_target_"}
    for key, parameter in named.items():
        if key in node and key not in ("in_channels", "normalize") and parameter.default is not Parameter.empty:
            assert node[key] == parameter.default, key


@pytest.mark.parametrize("name", TASKS)
def test_every_option_of_a_task_is_a_key(name: str) -> None:
    node = composed(f"task={name}").task
    parameters = signature(get_class(node._target_)).parameters
    assert node.keys() - {"_target_"} == parameters.keys() - {"num_classes"}
    assert all(node[key] == parameters[key].default for key in node if key != "_target_")


def test_the_published_protocol() -> None:
    cfg = composed("experiment=urbansound8k")
    assert cfg.data.sample_rate * cfg.data.duration == 88_200
    assert cfg.optimizer._target_ == "torch.optim.Adam"
    assert (cfg.batch_size, cfg.trainer.max_epochs, cfg.optimizer.weight_decay) == (16, 400, 1e-4)
    assert (cfg.optimizer.lr, cfg.scheduler.factor, cfg.scheduler.patience) == (0.001, 0.5, 10)
    assert sum(p.numel() for p in network(cfg, Source(), 10).parameters()) == 1_806_369
    cfg = composed("experiment=urbansound8k", "model.base=null")
    assert sum(p.numel() for p in network(cfg, Source(), 10).parameters()) == 1_784_192


def test_the_published_protocol_of_music_tagging() -> None:
    cfg = composed("experiment=magnatagatune")
    assert round(cfg.data.sample_rate * cfg.data.window) == 59_049
    assert round(cfg.data.sample_rate * cfg.data.duration) == 10 * 59_049
    assert cfg.optimizer._target_ == "torch.optim.SGD" and cfg.optimizer.nesterov
    assert (cfg.optimizer.lr, cfg.optimizer.weight_decay, cfg.batch_size) == (0.01, 1e-6, 23)
    assert (cfg.scheduler.factor, cfg.task.monitor) == (0.2, "val_auroc")


@pytest.mark.parametrize(("ours", "plain"), TWINS)
def test_twins_differ_in_model_and_rate_only(ours: str, plain: str) -> None:
    configs = [composed(f"experiment={name}") for name in (ours, plain)]
    assert configs[0].model != configs[1].model
    for cfg in configs:
        cfg.model, cfg.optimizer.lr, cfg.name = None, None, None
    assert configs[0] == configs[1]


def test_the_data_choose_the_task_and_the_command_line_another(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tags.yaml").write_text(
        "defaults: [{override /task@_global_.task: multi_label}]\n_target_: mine.Tags\n"
    )
    mine = "data=tags", f"hydra.searchpath=[file://{tmp_path}]"
    assert composed(*mine).task.monitor == "val_auroc"
    assert composed(*mine, "task=multi_class").task.monitor == "val_accuracy"
    assert composed().task.monitor == "val_accuracy"


@pytest.mark.parametrize("name", sorted(file.stem for file in (CONF / "data").glob("*.yaml")))
def test_the_amounts_that_data_are_tested_at_are_in_range(name: str) -> None:
    cfg = composed(f"data={name}")
    assert cfg.rescale is None  # so that the data choose
    source = get_object(cfg.data._target_)
    transformation = getattr(source, "transformation", None)
    if isinstance(transformation, Transformation):  # other sources have one when they are made
        assert source.test_factors
        for factor in source.test_factors:
            transformation.check(factor)


def test_the_usual_amounts_are_in_range() -> None:
    for kind, factors in TESTED.items():
        for factor in factors:
            kind().check(factor)


def test_nothing_but_the_named_defaults_is_chosen() -> None:
    cfg = composed()
    assert (cfg.data._target_.rpartition(".")[2], cfg.model._target_.rpartition(".")[2]) == ("Synthetic", "MNet")
    assert (cfg.name, cfg.augment, cfg.callbacks, cfg.logger) == ("synthetic_mnet", {}, {}, {})
    assert cfg.scheduler.max_lr == cfg.optimizer.lr == 0.003


@pytest.mark.parametrize("group", ["augment", "optimizer", "scheduler", "task", "callbacks", "logger"])
def test_every_option_composes(group: str) -> None:
    for file in (CONF / group).glob("*.yaml"):
        assert OmegaConf.to_container(composed(f"{group}={file.stem}")[group], resolve=True)


@pytest.mark.parametrize("trainer", sorted(file.stem for file in (CONF / "trainer").glob("*.yaml")))
def test_trainers_compose(trainer: str) -> None:
    node = composed(f"trainer={trainer}").trainer
    assert node._target_ == "lightning.Trainer"
    assert not node.keys() - signature(L.Trainer).parameters.keys() - {"_target_"}
