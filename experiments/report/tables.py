"""Results as tables on the screen."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.run import Results
from experiments.training.task import shown


def show(title: str, columns: Sequence[str], rows: Iterable[Iterable[str]]) -> None:
    """Prints a title and a table, the first column left-aligned and the others right-aligned."""
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(title, style="bold", soft_wrap=True)
    table = Table(show_header=any(columns))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


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
