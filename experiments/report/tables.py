"""Results as tables on the screen."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table

from experiments.data.transformation import named
from experiments.results import Results
from experiments.training.tasks.task import shown


def show(title: str, columns: Sequence[str], rows: Iterable[Iterable[str]], heads: Collection[str] = ()) -> None:
    """Print a title and a table, the first column left-aligned and the others right-aligned.

    A table that is wider than the screen is printed as several tables.

    Args:
        title: Title above the table.
        columns: Names of the columns.
        rows: Cells of each row.
        heads: Names of columns that, beside the first, identify a row: these are in all of the tables.
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
    """Return the width of a column, whose name may have several lines."""
    return max(map(cell_len, [*name.split(), *texts]), default=0)


def _parts(widths: Sequence[int], heads: list[int], room: int) -> list[list[int]]:
    """Return the columns of tables that fit on the screen, each with the heads."""
    parts = [heads]
    for i in sorted({*range(len(widths))} - {*heads}):
        wide = 1 + sum(3 + widths[j] for j in [*parts[-1], i]) > room  # a line and a margin to either side of each
        if wide and parts[-1] != heads:
            parts.append(heads)
        parts[-1] = sorted([*parts[-1], i])
    return parts


def show_results(results: Results, place: Path, on_views: Results | None = None) -> None:
    """Print the results of a run.

    Args:
        results: The results.
        place: Their place.
        on_views: Results of the same network on views, which are shown in a second column.
    """
    columns = [_rows(some) for some in (results, on_views) if some]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    fold = "" if results.test_fold is None else f", test fold {results.test_fold}"
    show(f"{results.name}{fold}, seed {results.seed}", ("", "as it is", "on views") if on_views else ("", ""), rows)
    print(place)


def _rows(results: Results) -> dict[str, str]:
    """Return what is shown of results, by what it is."""

    def metrics(title: str, values: Mapping[str, float]) -> list[tuple[str, str]]:
        return [(f"{title} {name.replace('_', ' ')}", shown(name, value)) for name, value in values.items()]

    transformation = named(results.transformation)
    return dict(
        [
            *metrics("test", results.test),
            ("test examples", str(results.test_examples)),
            *(
                (f"  at {transformation.name} {transformation.label(float(factor))}", shown(results.monitor, value))
                for factor, value in results.transformed.items()
            ),
            *metrics("validation", results.val),
            ("best epoch", str(results.best_epoch)),
            ("parameters", f"{results.parameters:,}"),
        ]
    )
