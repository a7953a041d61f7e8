"""Writes docs/results.md: `python -m experiments.report.page`, or ``make results``.

The JSON files of finished studies are copied from runs/studies to docs/results; the page, its tables and its pictures
are made from these files alone.
"""

import argparse
from pathlib import Path

from experiments.errors import one_line_errors
from experiments.files import write_text
from experiments.report.figures import draw
from experiments.report.grid import Study
from experiments.report.study_table import table

REAL = "vessels", "nuclei", "membranes", "idc", "plankton", "urbansound8k", "esc10"  # recorded data come first

HEAD = """# Results

Written by `make results` from the JSON files in [results/](results). Each section is a study: `conf/study/NAME.yaml`
says what is compared, and `python -m experiments.study study=NAME` runs it. A row is a variant of the network or of its
training (an arm). A study may have been run with other seeds and folds than its file has now: the line below its text
states what was run. Values are in percent; errors such as the MAE are in the units of the data. Minutes are those of a
training with its tests, on one core, beside other work; arms that differ in views alone share a training. Where there
is a column ms, it is the time of a prediction of one test example in milliseconds, on one thread; all arms of the study
took turns, untrained (`python -m benchmarks.predictions`). A scale by thickness takes one pass over the image and,
unless the image stays as it is, one over the chosen view. Columns such as ×0.5 or 45° are tests on rescaled or turned
examples, and flatness is the largest of them and the test as it is, less the smallest: 0 is best. Columns that begin
with the name of another set are tests of the same networks on that set. How far the logits move is the relative
distance between those of a transformed example and those of the original: 0 is best, and unrelated logits have √2.
"""


def write(runs: Path, docs: Path) -> Path:
    """Write the page, with the studies that are new.

    Args:
        runs: Folder of the studies.
        docs: Folder of results.md and results/.

    Returns:
        The page.

    Raises:
        FileNotFoundError: Neither folder contains a study.
    """
    folder = docs / "results"
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(runs.glob("*/study.json")):
        study = Study.load(file)
        study.save(folder / f"{study.name}.json")
    files = sorted(folder.glob("*.json"), key=lambda file: (_place(file.stem), file.stem))
    if not files:
        raise FileNotFoundError(f"no study.json below {runs}, nor a study in {folder}; run experiments.study first")
    page = docs / "results.md"
    write_text(page, "\n".join([HEAD, *(section(Study.load(file), folder) for file in files)]))
    return page


def section(study: Study, folder: Path) -> str:
    """Return the Markdown of a study, and draw its pictures."""
    columns, rows = table(study)
    lines = [f"## {study.title}", "", study.about.replace("\n", "\n\n"), ""]
    epochs = sorted({cell.epochs for cell in study.cells})
    ran = f"{epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else f"{epochs[0]}"
    seeds, folds = (len({getattr(cell, key) for cell in study.cells}) for key in ("seed", "fold"))
    counts = [f"{n} {word}{'s' * (n > 1)}" for n, word in ((seeds, "seed"), (folds, "fold"))]
    counts += [f"{study.test_examples:,} test examples each", f"{ran} epochs"]
    lines += [f"`study={study.name}`: {', '.join(counts)}; {study.hours:.1f} hours of training and tests."]
    lines += [
        study.spread,
        *([study.pairing] if study.paired else []),
        *([f"{study.missing} run{'s are' if study.missing > 1 else ' is'} missing."] if study.missing else []),
    ]
    lines += ["", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    for title, file in draw(study, folder).items():
        lines += ["", f"![{study.title}: {title}](results/{file.name})"]
    return "\n".join([*lines, ""])


def _place(name: str) -> int:
    """Return the place of a study among those on real data; the others come after them."""
    family = [name == real or name.startswith(f"{real}_") for real in REAL]
    return family.index(True) if any(family) else len(REAL)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/studies"), help="folder of the studies")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the page")
    options = parser.parse_args()
    with one_line_errors():
        print(write(options.runs, options.docs))


if __name__ == "__main__":
    main()
