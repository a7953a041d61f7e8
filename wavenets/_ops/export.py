"""Helpers for the export of a network, during which sizes are symbols and one graph serves all sizes."""

from typing import Any

import torch


def exporting() -> bool:
    """Return whether ``torch.export`` traces, so that sizes cannot be compared with numbers."""
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())  # torch 2.6 has only the latter


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
