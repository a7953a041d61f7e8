"""While a network is exported: sizes are symbols then, and one graph is for all of them."""

from typing import Any

import torch


def exporting() -> bool:
    """Whether ``torch.export`` is at work; sizes cannot be compared with numbers then."""
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())  # torch 2.6 has only the latter


def new_symbol(size: int) -> int:
    """For ONNX, gives a size as a symbol of its own: that of level i is not a formula of i nested divisions.

    In formulas of such formulas the exporter calculates for hours. Inductor makes wrong code for symbols of this kind.
    """
    if not torch.onnx.is_in_onnx_export():
        return size
    symbol: Any = torch.scalar_tensor(size, dtype=torch.int64).item()
    torch._check(symbol >= 2)  # otherwise it would be asked whether there is one number, which would be stretched
    return symbol
