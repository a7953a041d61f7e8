"""Tests that `pytest -m slow` runs: each value of a long list does what a few of them show in `make test`."""

from collections.abc import Iterable
from typing import Any

import pytest


def quickly(values: Iterable[Any], *quick: Any) -> list[Any]:
    """Mark all values as slow but those that stand for the others."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
