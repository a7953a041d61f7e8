"""An extension with which griffe reads our docstrings: it knows a section "Examples" only."""

from typing import Any

import griffe


class Example(griffe.Extension):
    """An extension that renames a section "Example" to "Examples"."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of every module, class and function."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
