"""Rank the classes of audio files: `python -m experiments.predict --help`."""

import sys
from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import DictConfig
from torch import nn

from experiments.checkpoint import find_checkpoint, load_network
from experiments.data import AudioError, decode
from experiments.errors import one_line_errors
from experiments.tables import show


@torch.inference_mode()
def rank(network: nn.Module, card: dict[str, Any], file: str) -> list[tuple[str, float]]:
    """Give the classes of an audio file and their probabilities, the likeliest first.

    Args:
        network: the network.
        card: of its checkpoint.
        file: audio file.

    Raises:
        OSError: the file cannot be read.
        AudioError: it is not usable audio.
    """
    clip = torch.from_numpy(decode(file, card["sample_rate"], card["num_samples"]))
    probabilities = network(clip[None, None]).softmax(1)[0].tolist()
    return sorted(zip(card["classes"], probabilities, strict=True), key=lambda pair: -pair[1])


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="predict")
def main(cfg: DictConfig) -> None:
    """Run the command. Every good file gets its table, also beside bad ones."""
    with one_line_errors():
        network, card = load_network(find_checkpoint(cfg.ckpt))
        if card["sample_rate"] is None:
            raise ValueError(f"ckpt={cfg.ckpt} was not trained on sound")
        files = [cfg.files] if isinstance(cfg.files, str) else list(cfg.files)
    failed = False
    for file in files:
        try:
            ranking = rank(network, card, file)
        except FileNotFoundError:
            print(f"error: {file} not found", file=sys.stderr)
        except AudioError as error:
            print(f"error: {file} {error.problem}", file=sys.stderr)
        except OSError as error:
            print(f"error: {file} cannot be read ({error.strerror})", file=sys.stderr)
        else:
            show(file, ["class", "probability"], [(name, f"{p:.1%}") for name, p in ranking[: cfg.top]])
            continue
        failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
