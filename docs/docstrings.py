"""Lets griffe read our docstrings: it knows examples by the plural only."""

from typing import Any

import griffe


class Example(griffe.Extension):
    """Reads a section "Example" as "Examples"."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Does so for every module, class and function."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
