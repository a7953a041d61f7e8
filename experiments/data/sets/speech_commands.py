"""Speech Commands: a hundred thousand spoken words of a second, and noises to put behind them."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.data.sound.audio_set import AudioSet, Recordings
from experiments.data.sound.decode import decode
from experiments.data.source import Stage

HOME = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
LISTS: dict[Stage, str] = {"val": "validation_list.txt", "test": "testing_list.txt"}
NOISES = "_background_noise_"
COMMANDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]


class SpeechCommands(AudioSet):
    """Speech Commands v2 as it is downloaded: a folder for each word, and its own lists of validation and test files.

    P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, 2018 (arXiv 1804.03209). The twelve
    classes are ten commands, "unknown" and "silence". Unknown are so many of the other words, drawn by the seed, as
    there are of a command on average; silence are pieces of the background noises. No noise is in two stages.

    Args:
        root: Folder of the set.
        num_classes: 35, all words, or 12.
        seed: Seed of the choice of the unknown words.
        duration: Length of a clip, in seconds.
        silence_hop: Distance of the pieces of noise that are called silence, in seconds.
        **options: See `AudioSet`.

    Raises:
        FileNotFoundError: ``root`` does not hold the set.
        ValueError: An argument is out of range, or a list is broken.
    """

    def __init__(
        self,
        root: Path | str,
        num_classes: int = 35,
        seed: int = 0,
        duration: float = 1.0,
        silence_hop: float = 0.1,
        **options: Any,
    ) -> None:
        if num_classes not in (12, 35):
            raise ValueError(f"data.num_classes={num_classes} is unknown; choose 35, or 12")
        root = Path(root).expanduser()
        files = words(root)
        stages = list(files.values())
        names = [file.parent.name for file in files]
        if num_classes == 35:
            classes = sorted(set(names))
            labels = [classes.index(name) for name in names]
            super().__init__(Recordings(list(files), stages, np.array(labels)), classes, duration=duration, **options)
            return
        if options.get("window") or options.get("hop"):
            raise ValueError(
                "data.window and data.hop are for data.num_classes=35; set data.duration and data.silence_hop"
            )
        classes = [*COMMANDS, "unknown", "silence"]
        noises = background_noises(root)
        listed = [
            (file, stage, name) for (file, stage), name in zip(files.items(), names, strict=True) if name in COMMANDS
        ]
        rng = np.random.default_rng(seed)
        for stage in ("train", "val", "test"):
            others = [
                file
                for file, of, name in zip(files, stages, names, strict=True)
                if of == stage and name not in COMMANDS
            ]
            count = round(sum(of == stage for _, of, _ in listed) / len(COMMANDS))
            listed += [(others[row], stage, "unknown") for row in sorted(rng.permutation(len(others))[:count])]
            listed += [(file, stage, "silence") for file in noises[stage]]
        super().__init__(
            Recordings(
                [file for file, _, _ in listed],
                [stage for _, stage, _ in listed],
                np.array([classes.index(name) for _, _, name in listed]),
            ),
            classes,
            # Noises are long, and cut into pieces; a word is one.
            **options | {"duration": None, "window": duration, "hop": silence_hop},
        )


def words(root: Path) -> dict[Path, Stage]:
    """Return the files of the words, each with its stage.

    Raises:
        FileNotFoundError: ``root`` does not hold the set.
        ValueError: A list names a file that is not there.
    """
    for name in LISTS.values():
        if not (root / name).is_file():
            raise FileNotFoundError(
                f"{root / name} not found: data.root must be the unpacked download, which holds {name} and a folder "
                f"for each word; download it from {HOME}"
            )
    files: dict[Path, Stage] = {file: "train" for file in sorted(root.glob("[!_]*/*.wav"))}
    for stage, name in LISTS.items():
        for line in (root / name).read_text().split():
            if (file := root / line) not in files:
                raise ValueError(f"{file} is in {name} but not on disk; complete the download from {HOME}")
            if files[file] != "train":
                raise ValueError(f"{line} is in {' and '.join(LISTS.values())}; download them again from {HOME}")
            files[file] = stage
    return files


def background_noises(root: Path) -> dict[Stage, list[Path]]:
    """Return the noises of each stage: one to validate with, one to test with, the others to train with.

    Raises:
        FileNotFoundError: There are fewer than three.
    """
    noises = sorted((root / NOISES).glob("*.wav"))
    if len(noises) < 3:
        raise FileNotFoundError(
            f"{root / NOISES} holds {len(noises)} noises, and at least three are needed; see {HOME}"
        )
    return {"train": noises[2:], "val": noises[:1], "test": noises[1:2]}


class BackgroundNoise:
    """Background noise: a random piece of one of the noises to train with, as in the published recipe.

    Args:
        root: Folder of the set.
        sample_rate: Rate of the clips, in Hz.
        volume: Largest factor of the noise, which is uniform from 0 to it.
        probability: Share of the clips that have it.

    Raises:
        FileNotFoundError: ``root`` does not hold the noises.
    """

    def __init__(self, root: Path | str, sample_rate: int, volume: float = 0.1, probability: float = 0.8) -> None:
        self.files = background_noises(Path(root).expanduser())["train"]
        self.sample_rate, self.volume, self.probability = sample_rate, volume, probability

    @cached_property
    def _noises(self) -> list[np.ndarray]:
        return [decode(file, self.sample_rate, 1, whole=True) for file in self.files]

    def __call__(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the clip (1, T) with or without a noise."""
        if rng.uniform() >= self.probability:
            return x
        noise = self._noises[rng.integers(len(self._noises))]
        start, volume = int(rng.integers(max(1, len(noise) - x.shape[1] + 1))), rng.uniform(0, self.volume)
        piece = noise[start : start + x.shape[1]]
        behind = np.pad(piece, (0, x.shape[1] - len(piece))) * np.float32(volume)
        return (x + torch.from_numpy(behind)).clamp(-1, 1)
