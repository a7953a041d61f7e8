"""Results as tables on the screen."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def show(title: str, columns: Sequence[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a title and a table, the first column left-aligned and the others right-aligned."""
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(title, style="bold", soft_wrap=True)
    table = Table(show_header=any(columns))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def show_results(results: dict[str, Any], place: Path) -> None:
    """Print what a run came to.

    Args:
        results: as in results.json.
        place: where they are.
    """
    rows = [
        ("test accuracy", f"{results['test_accuracy']:.1%} of {results['test_clips']} clips"),
        ("test loss", f"{results['test_loss']:.3f}"),
        *((f"  rescaled ×{factor}", f"{accuracy:.1%}") for factor, accuracy in results["rescaled"].items()),
        ("validation accuracy", f"{results['val_accuracy']:.1%}"),
        ("best epoch", str(results["best_epoch"])),
        ("parameters", f"{results['parameters']:,}"),
    ]
    fold = f", test fold {results['test_fold']}" if results["test_fold"] else ""
    show(f"{results['name']}{fold}, seed {results['seed']}", ("", ""), rows)
    print(place)
