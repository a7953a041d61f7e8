"""Ranks the classes of recordings: `python -m experiments.predict --help`."""

import sys
from itertools import chain, count
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.progress import track

from experiments.data import AudioError
from experiments.data.recordings import find_sounds
from experiments.errors import one_line_errors
from experiments.report.plots import timeline
from experiments.report.prediction import Prediction, predict, write_csv
from experiments.report.tables import show
from experiments.run import find_checkpoint, load_network, write_json
from experiments.training.place import as_run, place
from experiments.trust import as_list


def tell(prediction: Prediction, top: int) -> None:
    """Prints what a network makes of a recording: the likeliest classes and, of several windows, what follows what."""
    rows = [(name, f"{p:.1%}") for name, p in prediction.ranking()[:top]]
    show(prediction.file, ["class", "probability"], rows)
    if len(prediction.probabilities) > 1:
        episodes = [(f"{start:.2f}", f"{end:.2f}", name, f"{p:.1%}") for start, end, name, p in prediction.episodes()]
        show(f"{prediction.file}, window by window", ["from (s)", "to (s)", "class", "probability"], episodes)


def problem(file: str, error: Exception) -> str:
    """Says in one line what is wrong with a file."""
    if isinstance(error, FileNotFoundError):
        return f"{file} not found"
    if isinstance(error, AudioError):
        return f"{file} {error.problem}"
    return f"{file} cannot be read ({getattr(error, 'strerror', None) or error})"


def picture(folder: Path, file: str) -> Path:
    """Gives the picture of a file: its name with .png, and a number if that is taken."""
    stem = Path(file).stem
    names = chain([stem], (f"{stem}_{number}" for number in count(2)))
    return next(path for name in names if not (path := folder / f"{name}.png").exists())


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parents[1] / "conf"), config_name="predict")
def main(cfg: DictConfig) -> None:
    """Runs the command. Every good file gets its table, also beside bad ones."""
    with one_line_errors():
        trust = as_list(cfg.trust)
        network, card = load_network(find_checkpoint(cfg.ckpt), trust)
        task = card.task(trust)
        if card.sample_rate is None:
            raise ValueError(f"ckpt={cfg.ckpt} was not trained on sound")
        network = place(network, as_run(cfg.trainer, card))
        files = find_sounds(str(file) for file in as_list(cfg.files))
        if not files:
            raise ValueError("files=[] names no file")
        if not isinstance(cfg.top, int) or cfg.top < 1:
            raise ValueError(f"top={cfg.top} is no number of classes")
        if not isinstance(cfg.batch_size, int) or cfg.batch_size < 1:
            raise ValueError(f"batch_size={cfg.batch_size} is no number of windows")
        if cfg.hop is not None and not (isinstance(cfg.hop, int | float) and cfg.hop > 0):
            raise ValueError(f"hop={cfg.hop} is no number of seconds above 0")
        for place_of in (cfg.json, cfg.csv):
            if place_of is not None and not Path(place_of).parent.is_dir():
                raise FileNotFoundError(f"{Path(place_of).parent} not found, where {place_of} is to be written")
        if cfg.pictures is not None:
            Path(cfg.pictures).mkdir(parents=True, exist_ok=True)
        predictions, problems = [], []
        outcomes = zip(files, predict(network, card, task, files, cfg.batch_size, cfg.hop), strict=True)
        watched = len(files) > 1 and sys.stdout.isatty()
        for file, outcome in track(outcomes, "Predicting", len(files), transient=True, disable=not watched):
            if isinstance(outcome, Prediction):
                tell(outcome, cfg.top)
                if cfg.pictures is not None:
                    timeline(picture(Path(cfg.pictures), file), outcome, cfg.top)
                predictions.append(outcome.without_sound())
            else:
                problems.append({"file": file, "error": problem(file, outcome)})
                print(f"error: {problems[-1]['error']}", file=sys.stderr)
        if cfg.json is not None:
            write_json(Path(cfg.json), {"predictions": [p.to_dict() for p in predictions], "errors": problems})
        if cfg.csv is not None:
            write_csv(Path(cfg.csv), predictions, card.classes)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
