"""Results as tables on the screen."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table

from experiments.run import Results
from experiments.training.task import shown


def show(title: str, columns: Sequence[str], rows: Iterable[Iterable[str]], heads: Collection[str] = ()) -> None:
    """Prints a title and a table, the first column left-aligned and the others right-aligned.

    What is wider than the screen is printed as several tables.

    Args:
        title: Stands above.
        columns: The names of the columns.
        rows: Their cells.
        heads: Names of columns that say, beside the first, what a row is: these are in all of the tables.
    """
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(title, style="bold", soft_wrap=True)
    cells = list(zip(columns, *rows, strict=True))
    widths = [_width(name, texts) for name, *texts in cells]
    widths[0] = min(widths[0], console.width // 3)
    for part in _parts(widths, [i for i, name in enumerate(columns) if i == 0 or name in heads], console.width):
        table = Table(show_header=any(columns))
        for i in part:
            justify: JustifyMethod = "right" if i else "left"
            table.add_column(columns[i], justify=justify, overflow="fold", width=widths[i])
        for row in zip(*(cells[i][1:] for i in part), strict=True):
            table.add_row(*row)
        console.print(table)


def _width(name: str, texts: Iterable[str]) -> int:
    """The width of a column, whose name may stand in several lines."""
    return max(map(cell_len, [*name.split(), *texts]), default=0)


def _parts(widths: Sequence[int], heads: list[int], room: int) -> list[list[int]]:
    """Parts the columns of a table into tables that fit, each with the heads."""
    parts = [heads]
    for i in sorted({*range(len(widths))} - {*heads}):
        wide = 1 + sum(3 + widths[j] for j in [*parts[-1], i]) > room  # a line and a margin to either side of each
        if wide and parts[-1] != heads:
            parts.append(heads)
        parts[-1] = sorted([*parts[-1], i])
    return parts


def show_results(results: Results, place: Path) -> None:
    """Prints what a run came to.

    Args:
        results: The results.
        place: Where they are.
    """

    def metrics(title: str, values: Mapping[str, float]) -> list[tuple[str, str]]:
        return [(f"{title} {name.replace('_', ' ')}", shown(name, value)) for name, value in values.items()]

    changed = "  turned {}°" if results.quantity == "angle" else "  rescaled ×{}"
    rows = [
        *metrics("test", results.test),
        ("test examples", str(results.test_clips)),
        *((changed.format(factor), shown(results.monitor, value)) for factor, value in results.rescaled.items()),
        *metrics("validation", results.val),
        ("best epoch", str(results.best_epoch)),
        ("parameters", f"{results.parameters:,}"),
    ]
    fold = "" if results.test_fold is None else f", test fold {results.test_fold}"
    show(f"{results.name}{fold}, seed {results.seed}", ("", ""), rows)
    print(place)
