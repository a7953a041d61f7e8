"""Every example of every help text composes and runs."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image as Picture

from experiments import demo
from experiments.arguments import readable
from experiments.data.inputs import Image
from experiments.launch import local
from experiments.report.demo_page import page
from tests.experiments.data.sets.copies import write_drive
from tests.experiments.runs import CONF, saved
from tests.experiments.studies import in_this_process
from wavenets.models import UNet

COMMANDS = sorted(file.stem for file in (CONF / "hydra" / "help").glob("*.yaml"))
PLUGINS = {"hydra/launcher=joblib": "hydra_joblib_launcher", "hydra/sweeper=optuna": "hydra_optuna_sweeper"}
NEEDED = {"augment": ["augment=sound"], "data": ["data=csv"], "model": ["model=cnn"]}  # for keys of a group
NEEDED |= {f"model.{key}": ["model=timm"] for key in ("name", "pretrained")} | {"model.encoder": ["model=smp"]}
KEY = re.compile(r"'[\w./+~]+=[^']+'|~?[\w./+]+=\S+|~[\w.]+")


def text(command: str) -> str:
    return str(OmegaConf.load(CONF / "hydra" / "help" / f"{command}.yaml").template)


def examples() -> Iterator[tuple[str, list[str]]]:
    """Yield the command and the arguments of each example; deeper lines continue one, wide gaps end one."""
    for command in COMMANDS:
        lines = text(command).splitlines()
        for number, line in enumerate(lines):
            if not line.startswith("  python -m"):
                continue
            parts = [re.split(r" {4,}", line.strip())[0]]
            for following in lines[number + 1 :]:
                if not following.startswith("      "):
                    break
                parts.append(following)
            _, _, module, *arguments = shlex.split(" ".join(parts))
            assert module == f"experiments.{command}"
            yield command, arguments


def composes(command: str, arguments: list[str]) -> None:
    """Compose a configuration as the command does; of a sweep each."""
    overrides = readable([argument for argument in arguments if argument != "-m"])
    if command == "evaluate":  # it takes any key of the data
        overrides = [re.sub(r"^data\.", "++data.", argument) for argument in overrides]
    parsed = OverridesParser.create().parse_overrides(overrides)
    (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None) if "-m" in arguments else [[overrides]]
    for job in jobs:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            compose(command, list(job), return_hydra_config=True)


@pytest.mark.parametrize(("command", "arguments"), examples())
def test_every_example_composes(command: str, arguments: list[str]) -> None:
    for argument, plugin in PLUGINS.items():
        if argument in arguments:
            pytest.importorskip(f"hydra_plugins.{plugin}")
    composes(command, [argument for argument in arguments if not argument.startswith("optimizer.lr=tag")])


def test_every_command_has_an_example() -> None:
    assert {command for command, _ in examples()} == set(COMMANDS)


@pytest.mark.slow
def test_keys_that_are_often_set_compose() -> None:
    _, _, rest = text("train").partition("Keys that are often set:\n")
    given = KEY.findall(rest.partition("\nGroups and")[0].replace("test the trained", ""))
    assert len(given) > 40
    for argument in given:
        key, equals, values = argument.strip("'").partition("=")
        needed = NEEDED.get(key) or NEEDED.get(key.lstrip("~").split(".")[0], [])
        for value in values.split("|"):
            composes("train", [*(n for n in needed if n.split("=")[0] != key), f"{key}{equals}{value}"])


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("train", "study")])
def test_keys_of_the_other_commands_compose(command: str) -> None:
    """The first words of the lines that explain a key, and those that follow it after a gap."""
    lines = [line for line in text(command).splitlines() if re.match(r"'?[\w.]+=", line)]
    for line in lines:
        for argument in KEY.findall(re.split(r" {3,}", line)[0]):
            if "…" not in argument:
                composes(command, [argument.strip("'")])


def run(monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str]) -> int | str | None:
    """Run a command as its command line does; return its exit code."""
    monkeypatch.setattr(sys, "argv", [command, *arguments])
    try:
        import_module(f"experiments.{command}").main()
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture
def place(sounds: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that has what the examples name."""
    shutil.copytree(trained, tmp_path / "runs" / "sounds")
    shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path)
    for name in "dog.wav", "rain.ogg", "field/a.wav", "night/one/b.flac":
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, np.random.default_rng(0).uniform(-0.5, 0.5, 2000), 8000)
    (tmp_path / "slides").mkdir()
    Picture.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "slides" / "a.png")
    saved(UNet(3, in_channels=1, width=4, depth=2), tmp_path / "runs" / "maps", "segmentation", Image(1), list("abc"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ESC-50").symlink_to(sounds)
    monkeypatch.chdir(tmp_path)
    return tmp_path


QUICK: list[Any] = [(c, a) for c, a in examples() if c in ("predict", "evaluate", "demo")]
for command, given in examples():
    if command == "export":  # machine code is compiled for minutes
        mark = pytest.mark.exhaustive if "format=aot" in given else pytest.mark.slow
        QUICK.append(pytest.param(command, given, marks=mark))


@pytest.mark.parametrize(("command", "arguments"), QUICK)
def test_the_examples_of_quick_commands_run(
    command: str, arguments: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command == "demo":
        pytest.importorskip("gradio")
        monkeypatch.setattr(demo, "launch", lambda made, port, browser: page(made))
    kind = "maps" if "files=[slides/]" in arguments else "sounds"
    changed = [re.sub(r"^ckpt=(RUN|runs/.*)$", f"ckpt=runs/{kind}", argument) for argument in arguments]
    changed = [re.sub(r"\bdog:", "class0:", argument) for argument in changed]
    changed = [argument.replace("=pretrained/", f"={CONF.parent}/pretrained/") for argument in changed]
    assert changed != arguments or "ckpt=best.ckpt" in arguments
    on_cpu = ["trainer.accelerator=cpu"] if command in ("predict", "evaluate") else []
    assert run(monkeypatch, command, [*changed, *on_cpu]) == 0
    for name in re.findall(r"(?:csv|windows|events|maps|out)=(\S+)", " ".join(arguments)):
        assert (place / name).exists()


def write_folder(root: Path, suffix: str) -> None:
    """Write ten files of each of two classes."""
    for name in "cat", "dog":
        (root / name).mkdir(parents=True)
        for number in range(10):
            x = np.random.default_rng(number).uniform(-0.5, 0.5, 4000)
            if suffix == ".wav":
                soundfile.write(root / name / f"{number}.wav", x, 8000)
            else:
                Picture.fromarray((255 * np.abs(x[:1600])).astype(np.uint8).reshape(40, 40)).save(
                    root / name / f"{number}.png"
                )


def write_masks(root: Path) -> None:
    """Write twelve images, their masks and the list of them."""
    rows = ["file,mask,fold"]
    for number in range(12):
        x = np.random.default_rng(number).integers(0, 256, (48, 48), np.uint8)
        Picture.fromarray(x).save(root / f"{number}.png")
        Picture.fromarray((x > 128).astype(np.uint8)).save(root / f"{number}_mask.png")
        rows.append(f"{number}.png,{number}_mask.png,{number % 4 + 1}")
    (root / "list.csv").write_text("\n".join(rows) + "\n")


TRAININGS = [a for c, a in examples() if c == "train"]
OWN = [a for a in TRAININGS if {"data=folder", "data=csv"} & {*a}]
OTHERS = [a for a in TRAININGS if a not in OWN]  # on published sets
LIMITS = [f"trainer.limit_{stage}_batches=1" for stage in ("train", "val")]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", OWN)
def test_the_examples_of_training_on_your_own_data_run(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = any(argument.startswith(("data.size", "data.crop")) for argument in arguments)
    data = tmp_path / "data"
    if "data=csv" in arguments:
        data.mkdir()
        write_masks(data)
    else:
        write_folder(data, ".png" if images else ".wav")
    changed = [a.replace("=FOLDER", f"={data}").replace("=FILE", f"={data}/list.csv") for a in arguments]
    sounds = [] if images else [f"data.cache_dir={tmp_path}/cache", "data.num_workers=0", "data.sample_rate=8000"]
    few = ["trainer=cpu", "trainer.max_epochs=1", *LIMITS, "batch_size=2", "rescale=[]", "hydra/job_logging=none"]
    assert run(monkeypatch, "train", [*changed, *sounds, *few, f"folder={tmp_path}/run"]) == 0
    assert (tmp_path / "run" / "results.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", OTHERS)
def test_the_examples_of_training_on_published_sets_run(
    arguments: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for argument, plugin in PLUGINS.items():
        if argument in arguments:
            pytest.importorskip(f"hydra_plugins.{plugin}")
    write_drive(place / "data" / "DRIVE")
    changed = [re.sub(r"resume=.*", "resume=runs/sounds", a).replace("n_trials=20", "n_trials=2") for a in arguments]
    few = ["trainer=cpu", "trainer.max_epochs=1", *LIMITS, "test=false"]
    if resumed := "resume=runs/sounds" in changed:
        few = ["trainer.max_epochs=3"]
    assert run(monkeypatch, "train", [*changed, *few]) == 0
    sweep = {"data.test_fold=range(1,6)": 5, "seed=0,1": 2, "hydra/sweeper=optuna": 2}
    runs = [file.parents[1] for file in place.glob("**/checkpoints/last.ckpt")]
    assert len(runs) == next((number for part, number in sweep.items() if part in arguments), 1) + (not resumed)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [a for c, a in examples() if c == "study" and "launcher=slurm" not in a])
def test_the_examples_of_studies_run(arguments: list[str], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [argument.replace("runs/urbansound8k", "runs/sounds") for argument in arguments]
    less = ["trainer.max_epochs=1", *LIMITS, "rescale=[]", "data.clips_per_fold=20"]
    few = ["name=mine", "study.fractions=[1.0]", f"study.overrides={less}"]
    monkeypatch.setattr(local, "run", in_this_process)
    assert run(monkeypatch, "study", [*changed, *([] if changed != arguments else few)]) == 0
    assert list((place / "runs" / "studies").glob("*/study.json"))
