"""Every file under conf/ composes and runs."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from experiments.data import CSV
from tests.experiment_runs import CONF, composed, run, write_music, write_pictures, write_set, write_vibrations

EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
IMAGES = ("mnist_scale", "mnist_scale_plain"), ("digits_scale", "digits_scale_plain")
MUSIC = "magnatagatune_wsamplecnn", "magnatagatune_samplecnn"
MODELS = sorted(file.stem for file in (CONF / "model").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_trains_and_tests(name: str, tmp_path: Path) -> None:
    cfg = composed(f"experiment={name}")
    audio = [f"data.cache_dir={tmp_path}/cache", "data.num_workers=1", "data.sample_rate=8000", "data.duration=0.52"]
    if "digits" in cfg.data._target_:
        data = ["data=digits_scale"]  # MNIST's keys, without its files
    elif "Synthetic" in cfg.data._target_:
        data = [*audio, f"data.root={tmp_path}", "data.clips_per_fold=10"]
    elif "MagnaTagATune" in cfg.data._target_:
        data = [*audio[:2], f"data.root={write_music(tmp_path / 'set', seconds=2.8)}", "data.duration=2.67795918367"]
    elif "HIT-SM" in cfg.data.get("metadata", ""):
        data = [*audio[:2], f"data.metadata={write_vibrations(tmp_path / 'set')}"]
    elif cfg.data._target_.endswith("CSV"):
        data = [f"data.metadata={write_pictures(tmp_path / 'set')}"]
    else:
        data = [*audio, f"data.root={write_set(tmp_path / 'set')}"]
    limits = ["trainer=cpu", "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "+trainer.limit_val_batches=1"]
    results = run(tmp_path / "run", f"experiment={name}", *data, *limits, "batch_size=3", "rescale=[0.5]")
    assert cfg.name == results["name"] == name
    assert 0 <= results[f"test_{results['monitor']}"] <= 1
    by_class = results["confusion"] or results["class_average_precision"]
    assert len(by_class) == len(results["classes"])


@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_the_classes_of_the_dataset_and_has_its_family_s_rate(name: str) -> None:
    cfg = composed(f"model={name}")
    network = instantiate(cfg.model, num_classes=7).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, *[network.min_size] * network.ndim)).shape == (1, 7)
    family = 0.01 if network.ndim == 1 and not name.startswith("w") else 0.001
    three = "wm5_shared", "w_digit_cnn_shared", "digit_cnn_turns", "envelope_m5"
    assert cfg.optimizer.lr == (0.003 if name in three else family)


def test_the_published_protocol() -> None:
    for name in "urbansound8k_wm11", "urbansound8k_m11":
        cfg = composed(f"experiment={name}")
        assert cfg.data.sample_rate * cfg.data.duration == 88_200
        assert (cfg.batch_size, cfg.trainer.max_epochs, cfg.optimizer.weight_decay) == (16, 400, 1e-4)
        assert (cfg.scheduler.factor, cfg.scheduler.patience) == (0.5, 10)


def test_the_published_protocol_of_music_tagging() -> None:
    cfg = composed("experiment=magnatagatune_wsamplecnn")
    assert round(cfg.data.sample_rate * cfg.data.window) == 59_049
    assert round(cfg.data.sample_rate * cfg.data.duration) == 10 * 59_049
    assert cfg.optimizer._target_ == "torch.optim.SGD" and cfg.optimizer.nesterov
    assert (cfg.optimizer.lr, cfg.optimizer.weight_decay, cfg.batch_size) == (0.01, 1e-6, 23)
    assert (cfg.scheduler.factor, cfg.task.monitor) == (0.2, "val_auroc")


def test_twins_differ_in_model_and_rate_only() -> None:
    recipes = [(f"{data}_{model}", f"{data}_m5") for data in ("esc10", "synthetic") for model in ("wm5", "shared")]
    for wavelet, plain in *recipes, ("urbansound8k_wm11", "urbansound8k_m11"), MUSIC, *IMAGES:
        ours, twin = composed(f"experiment={wavelet}"), composed(f"experiment={plain}")
        for cfg in ours, twin:
            cfg.model, cfg.optimizer.lr, cfg.name = None, None, None
        assert ours == twin


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
def test_data_without_an_experiment_bring_the_factors_to_test_on(name: str) -> None:
    cfg = composed("experiment=[]", f"data={name}")
    assert cfg.rescale is None
    if (source := get_class(cfg.data._target_)) is CSV:
        return  # gives a set of another class, which brings them
    for factor in source.test_factors:
        source.check_factor(SimpleNamespace(fit_rescaled=False), factor)


@pytest.mark.parametrize("group", ["augment", "optimizer", "scheduler", "task", "callbacks", "logger"])
def test_every_option_composes(group: str) -> None:
    for file in (CONF / group).glob("*.yaml"):
        assert OmegaConf.to_container(composed(f"{group}={file.stem}")[group], resolve=True)


@pytest.mark.parametrize("trainer", sorted(file.stem for file in (CONF / "trainer").glob("*.yaml")))
def test_trainers_compose(trainer: str) -> None:
    assert composed(f"trainer={trainer}").trainer._target_ == "lightning.Trainer"
