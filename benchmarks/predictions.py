"""Time of a prediction with each arm of a study, which its table then shows beside the accuracy.

The networks are untrained, and predict the first test example on one thread of the CPU. All arms take turns. The times
are written into the files of the studies.

    python -m benchmarks.predictions docs/results/nuclei.json docs/results/idc.json
    python -m experiments.report.page
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from benchmarks.timing import make_step, seconds
from experiments.answers import CONF
from experiments.data.source import Source, checked
from experiments.errors import one_line_errors
from experiments.evaluation.views import on_views
from experiments.report.grid import Arm, Study
from experiments.train import make_network, make_task


def prediction(arm: Arm, sources: dict[str, Source]) -> tuple[nn.Module, Tensor]:
    """Return the network of an arm, and its input for the first test example.

    Args:
        arm: The arm.
        sources: The data that arms before it have opened, by their configuration.
    """
    cfg = compose("train", [*arm.overrides, *(f"{key}={value}" for key, value in arm.chosen.items())])
    key = OmegaConf.to_yaml(cfg.data, resolve=True)
    if key not in sources:
        sources[key] = checked(instantiate(cfg.data))
    source = sources[key]
    task = make_task(cfg, source)
    network = on_views(make_network(cfg, source, task), task, cfg.views).eval()
    return network, source.split("test")[0][0].unsqueeze(0)


def timed(study: Study, rounds: int) -> Study:
    """Return a study with the median over the rounds of the time of each arm."""
    sources: dict[str, Source] = {}
    steps = {name: make_step(*prediction(arm, sources), train=False) for name, arm in study.arms.items()}
    times = {name: statistics.median(each) for name, each in seconds(steps, 1, rounds, study.name).items()}
    return replace(study, arms={name: replace(arm, prediction=times[name]) for name, arm in study.arms.items()})


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.predictions", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", help="study.json of each study; its data lie where it says")
    parser.add_argument("--rounds", type=int, default=5, help="how often all are timed in turn")
    options = parser.parse_args()
    with one_line_errors(), initialize_config_dir(str(CONF), version_base="1.3"):
        for file in options.files:
            timed(Study.load(file), options.rounds).save(file)


if __name__ == "__main__":
    main()
