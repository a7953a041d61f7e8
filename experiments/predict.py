"""Ranks the classes of audio files: `python -m experiments.predict --help`."""

import sys
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig
from torch import nn

from experiments.data import AudioError, decode
from experiments.errors import one_line_errors
from experiments.report.tables import show
from experiments.run import Card, find_checkpoint, load_network
from experiments.training.place import as_run, place
from experiments.training.task import Task
from experiments.trust import as_list, build


@torch.inference_mode()
def rank(network: nn.Module, card: Card, task: Task, file: str) -> list[tuple[str, float]]:
    """Gives the classes of an audio file and their probabilities, the likeliest first.

    Args:
        network: The network.
        card: The card of its checkpoint.
        task: What it was trained for.
        file: Audio file.

    Raises:
        OSError: The file cannot be read.
        AudioError: It is not usable audio.
        ValueError: The network was not trained on sound, or gives no numbers.
    """
    if card.sample_rate is None or card.num_samples is None:
        raise ValueError("the network was not trained on sound")
    clip = torch.from_numpy(decode(file, card.sample_rate, card.num_samples, card.config["data"].get("trim")))
    logits = network(clip[None, None].to(next(network.parameters()).device))
    if not logits.isfinite().all():
        raise ValueError("gives NaN or infinite numbers: the network is no good")
    probabilities = task.probabilities(logits)[0].tolist()
    return sorted(zip(card.classes, probabilities, strict=True), key=lambda pair: -pair[1])


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="predict")
def main(cfg: DictConfig) -> None:
    """Runs the command. Every good file gets its table, also beside bad ones."""
    with one_line_errors():
        trust = as_list(cfg.trust)
        network, card = load_network(find_checkpoint(cfg.ckpt), trust)
        task: Task = build(card.config["task"], trust, num_classes=len(card.classes))
        if card.sample_rate is None:
            raise ValueError(f"ckpt={cfg.ckpt} was not trained on sound")
        network = place(network, as_run(cfg.trainer, card))
        files = [str(file) for file in as_list(cfg.files)]
        if not files:
            raise ValueError("files=[] names no file")
        if not isinstance(cfg.top, int) or cfg.top < 1:
            raise ValueError(f"top={cfg.top} is no number of classes")
    failed = False
    for file in files:
        try:
            ranking = rank(network, card, task, file)
        except FileNotFoundError:
            print(f"error: {file} not found", file=sys.stderr)
        except AudioError as error:
            print(f"error: {file} {error.problem}", file=sys.stderr)
        except ValueError as error:
            print(f"error: {file} {error}", file=sys.stderr)
        except OSError as error:
            print(f"error: {file} cannot be read ({error.strerror})", file=sys.stderr)
        else:
            show(file, ["class", "probability"], [(name, f"{p:.1%}") for name, p in ranking[: cfg.top]])
            continue
        failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
