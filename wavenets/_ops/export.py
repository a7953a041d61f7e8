"""Whether a compiler is at work, and helpers for its graphs: sizes are symbols there, and one graph serves all."""

from typing import Any

import torch
from torch import Tensor


def compiling() -> bool:
    """Return whether ``torch.compile`` or ``torch.export`` makes a graph."""
    return torch.compiler.is_compiling()


def tracing() -> bool:
    """Return whether a graph is made, by ``torch.compile``, ``torch.export`` or ``torch.jit.trace``."""
    return compiling() or torch.jit.is_tracing()


def exporting() -> bool:
    """Return whether ``torch.export`` makes a graph, so that sizes cannot be compared with numbers."""
    return bool(getattr(torch.compiler, "is_exporting", compiling)())  # torch 2.6 has only the latter


def new_symbol(size: int) -> int:
    """Return a size as a new symbol for ONNX, in place of a formula of i nested divisions for level i.

    The exporter would calculate with such formulas for hours. Elsewhere the size is returned as it is, since Inductor
    generates wrong code for these symbols.
    """
    if not torch.onnx.is_in_onnx_export():
        return size
    symbol: Any = torch.scalar_tensor(size, dtype=torch.int64).item()
    torch._check(symbol >= 2)  # otherwise there would be a branch for size 1, which broadcasts
    return symbol


def row_by_row(x: Tensor) -> Tensor:
    """Copy x to the default layout. Unlike ``contiguous`` this has no branch, which an exporter fixes for one size."""
    return x.clone(memory_format=torch.contiguous_format)
