"""Small studies for the tests of the experiments."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from experiments import evaluate, study, train
from experiments.launch.job import Job, Test
from experiments.report.grid import Study
from experiments.run import Run
from tests.experiments.runs import CONF, tiny

ARMS = {"one": ["model=mnet", "model.depth=3"], "other": ["model=mnet", "model.depth=3", "batch_size=4"]}


def arguments(sounds: Path, folder: Path, epochs: int = 1, **changes: Any) -> list[str]:
    """Write a study; return the command line that runs it."""
    options = [*tiny(sounds, "model=mnet", "model.depth=3"), f"trainer.max_epochs={epochs}", "wavelet_loss=0"]
    values = {
        **{"title": "A study", "about": "Of noise.", "arms": ARMS, "overrides": options, "choose": {}},
        **{"fractions": [1.0], "seeds": [3], "folds": [2]},
    }
    file = folder / "conf" / "study" / "mine.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save({key: value for key, value in (values | changes).items() if value is not None}, file)
    return ["study=mine", f"hydra.searchpath=[file://{folder}/conf]", f"folder={folder}"]


def run_study(*arguments: str) -> tuple[Study, list[Job | Test]]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("study", list(arguments), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        return study.study(cfg)


def in_this_process(
    jobs: Sequence[Job | Test], processes: int, tell: Callable[[Job | Test, bool], None]
) -> list[Job | Test]:
    """Run trainings and tests as ``launch.local.run`` does, one after the other, in the process of the test."""
    torch.set_num_threads(1)
    for job in jobs:
        if not job.file.exists():
            if isinstance(job, Test):
                changes = [f"++{a}" if a.startswith("data.") else a for a in job.arguments]
                evaluate.evaluate(compose("evaluate", changes))
                continue
            Run(job.folder).folder.mkdir(parents=True, exist_ok=True)
            resume = next((a for a in job.arguments if a.startswith("resume=")), None)
            cfg = compose("train", job.arguments, return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            with open_dict(cfg):
                del cfg["hydra"]
            cfg = train.resumed(cfg, job.arguments) if resume else cfg
            train.train(cfg, job.folder)
            tell(job, job.file.exists())
    return []
