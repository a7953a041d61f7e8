"""Applies a trained network to files: `python -m experiments.predict --help`."""

from experiments.answers import CONF, answer

if __name__ == "__main__":
    answer("predict")  # help and mistyped keys, before the imports that take seconds

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress

from experiments.data.find import find_files, skipped_line
from experiments.data.image.read import is_image
from experiments.data.inputs import Image, Waveform
from experiments.data.sound.decode import AudioError, opened
from experiments.data.sound.recordings import envelope, is_sound
from experiments.errors import one_line_errors
from experiments.evaluation import events
from experiments.evaluation.device import as_run, place
from experiments.evaluation.map_files import Folder
from experiments.evaluation.prediction import MapPrediction, Prediction, write_csv
from experiments.evaluation.views import on_views
from experiments.files import write_json
from experiments.loaded import Trained, load
from experiments.report.plots import timeline
from experiments.report.predictions import show_predictions, show_windows
from experiments.training.tasks.regression import Regression
from experiments.trust import as_list

Outcome = Prediction | MapPrediction | Exception
FILES = "json", "csv", "windows"
OF_SOUNDS, OF_IMAGES = ("windows", "events", "pictures"), ("maps", "rescale_to_mpp")
OF_MAPS = "probabilities", "overlays"


def check(cfg: DictConfig, trained: Trained) -> None:
    """Check the configuration before anything is computed.

    Raises:
        FileNotFoundError: The folder of a file to write does not exist.
        ValueError: A value is out of range, or does not fit the network.
    """
    for key in "top", "batch_size", "tile":
        if not isinstance(cfg[key], int) or cfg[key] < 1:
            raise ValueError(f"{key}={cfg[key]} is not a whole number above 0")
    image = isinstance(trained.card.input, Image)
    if not image and not isinstance(trained.card.input, Waveform):
        raise ValueError(f"ckpt={cfg.ckpt} was trained neither on sounds nor on images")
    if trained.segments and not image:
        raise ValueError(f"ckpt={cfg.ckpt} returns maps of sounds, which this command cannot write")
    if cfg.hop is not None and not (isinstance(cfg.hop, int if image else int | float) and cfg.hop > 0):
        raise ValueError(f"hop={cfg.hop} is not a number of {'pixels' if image else 'seconds'} above 0")
    for key in OF_SOUNDS if image else OF_IMAGES:
        if cfg[key]:
            kinds = ("sounds", "images") if image else ("images", "sounds")
            raise ValueError(f"{key}={cfg[key]} is for {kinds[0]}; ckpt={cfg.ckpt} was trained on {kinds[1]}")
    for key in OF_MAPS:
        if cfg[key] and not cfg.maps:
            raise ValueError(f"{key}=true needs a folder to write to; add maps=FOLDER")
    if cfg.maps and isinstance(trained.task, Regression):
        raise ValueError(f"maps={cfg.maps} needs classes; ckpt={cfg.ckpt} was trained to predict numbers")
    if cfg.events and isinstance(trained.task, Regression):
        raise ValueError(f"events={cfg.events} needs classes; ckpt={cfg.ckpt} was trained to predict numbers")
    events.check(cfg.format, plain(cfg.threshold), cfg.gap, cfg.silence, trained.classes)
    if cfg.rescale_to_mpp and isinstance(trained.card.input, Image) and trained.card.input.mpp is None:
        raise ValueError("rescale_to_mpp=true: the training's microns per pixel are unknown; train with a column mpp")
    for key in FILES:
        if cfg[key] is not None and Path(cfg[key]).expanduser().is_dir():
            raise ValueError(f"{key}={cfg[key]} is a folder; name a file to write")
        if cfg[key] is not None and not Path(cfg[key]).expanduser().parent.is_dir():
            raise FileNotFoundError(f"{Path(cfg[key]).parent} not found; create it first, to write {key}={cfg[key]}")


def outcomes(trained: Trained, files: Sequence[str], cfg: DictConfig) -> Iterator[Outcome]:
    """Yield the prediction of each file, or what is wrong with it."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        total = bar.add_task("Predicting", total=len(files))
        if cfg.maps or trained.segments:
            folder = Folder(cfg.maps, files, cfg.probabilities, cfg.overlays) if cfg.maps else None
            for file in files:
                task = bar.add_task(Path(file).name, total=1)
                yield _map(trained, file, folder, cfg, lambda share, task=task: bar.advance(task, share))
                bar.remove_task(task)
                bar.advance(total)
        else:
            for outcome in trained.predictions(files, cfg.hop, cfg.batch_size, cfg.rescale_to_mpp, cfg.silence):
                yield outcome
                bar.advance(total)


def _map(trained: Trained, file: str, folder: Folder | None, cfg: DictConfig, advance: object) -> Outcome:
    try:
        with warnings.catch_warnings(record=True) as caught:
            options = cfg.tile, cfg.rescale_to_mpp, cfg.hop, cfg.batch_size, advance
            prediction, _ = trained.map(file, folder, *options)  # type: ignore[arg-type]
    except (ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        return error
    for warning in caught:
        print(f"warning: {file}: {warning.message}", file=sys.stderr)
    return prediction


def problem(file: str, error: Exception) -> str:
    """Return in one line what is wrong with a file."""
    if isinstance(error, FileNotFoundError):
        return f"{file} not found"
    if isinstance(error, AudioError):
        return f"{file} {error.problem}"
    if isinstance(error, OSError):
        return f"{file} cannot be read ({error.strerror or error})"
    line = " ".join(str(error).split()) or type(error).__name__
    return line if file in line else f"{file}: {line}"


def plain(value: float | DictConfig) -> float | dict[str, float]:
    """Return a number, or numbers by name, as Python has them."""
    return {str(name): x for name, x in value.items()} if isinstance(value, DictConfig) else value


def draw(trained: Trained, prediction: Prediction, folder: Folder, top: int) -> None:
    """Draw the probabilities of a recording over time. It is decoded a second time for that."""
    assert isinstance(trained.card.input, Waveform)
    rate, trim = trained.card.input.sample_rate, trained.card.config["data"].get("trim")
    with opened(prediction.file, rate, trim) as sound:
        outline = envelope(sound, sound.length)
    timeline(folder.name(prediction.file, [".png"])[0], prediction, top, outline)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="predict")
def main(cfg: DictConfig) -> None:
    """Run the command. Files that cannot be read do not stop the others."""
    with one_line_errors():
        trained = load(cfg.ckpt, as_list(cfg.trust))
        check(cfg, trained)
        sounds = isinstance(trained.card.input, Waveform)
        wanted, kind = (is_sound, "audio file") if sounds else (is_image, "image")
        files, skipped = find_files(map(str, as_list(cfg.files)), wanted, kind)
        if not files:
            raise ValueError("files=[] is empty; name at least one file")
        if skipped:
            print(skipped_line(skipped), file=sys.stderr)
        network = on_views(trained.network, trained.task, cfg.views)
        trained = replace(trained, network=place(network, as_run(cfg.trainer, trained.card)))
        pictures = Folder(cfg.pictures, files) if cfg.pictures else None
        tracks = Folder(cfg.events, files) if cfg.events else None
        predictions: list[Prediction | MapPrediction] = []
        problems = []
        for file, outcome in zip(files, outcomes(trained, files, cfg), strict=True):
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                predictions.append(outcome)
                if tracks and isinstance(outcome, Prediction) and isinstance(trained.card.input, Waveform):
                    found = events.events(outcome, plain(cfg.threshold), cfg.gap)
                    events.write(tracks, file, found, cfg.format, trained.card.input.sample_rate / 2)
                if pictures and isinstance(outcome, Prediction):
                    draw(trained, outcome, pictures, cfg.top)
            except (ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
                problems.append({"file": file, "error": problem(file, error)})
                print(f"error: {problems[-1]['error']}", file=sys.stderr)
        if cfg.json is not None:
            write_json(cfg.json, {"predictions": [p.to_dict() for p in predictions], "errors": problems})
        if cfg.csv is not None:
            write_csv(cfg.csv, [p.row() for p in predictions])
        judged = [p for p in predictions if isinstance(p, Prediction)]
        if cfg.windows is not None:
            write_csv(cfg.windows, [row for p in judged for row in p.rows()])
        show_predictions(predictions, cfg.top)
        if cfg.windows is not None or cfg.verbose:
            for prediction in judged:
                show_windows(prediction)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
