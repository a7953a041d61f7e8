"""The convolutions of torch, as layers on the group need them: with "same" padding, and for batches of frames."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wavenets._ops.frames import Batch

ALIGNMENT = 64  # in bytes, of every tensor that torch makes on a CPU


def same_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:
    """A convolution with "same" padding, which torch itself refuses to combine with a stride.

    Raises:
        ValueError: If the input is too small for the padding mode.
    """
    padding = [dilation * (k // 2) for k in weight.shape[2:]]
    if padding_mode != "zeros":
        least = {"reflect": max(padding) + 1, "circular": max(padding)}.get(padding_mode, 1)
        if not torch.compiler.is_compiling() and min(input.shape[2:]) < least:
            raise ValueError(
                f"a level of size {tuple(input.shape[2:])} is too small for padding_mode={padding_mode!r}, which needs "
                f"at least {least} samples: give a longer input or use fewer scales"
            )
        input = F.pad(input, [n for size in reversed(padding) for n in (size, size)], padding_mode)
        padding = [0] * len(padding)
    if input.ndim == 4:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    if torch.compiler.is_compiling():  # the compiler chooses layouts itself
        return F.conv1d(input, weight, bias, stride, padding, dilation, groups)
    # An image of one row: unlike conv1d, conv2d keeps the channels last in memory, which is faster.
    row, kernel = input[:, :, None], weight[:, :, None]
    return F.conv2d(row, kernel, bias, (1, stride), (0, *padding), (1, dilation), groups).squeeze(2)


def conv_frames(
    batches: Sequence[Batch], kernels: Sequence[Tensor], bias: Tensor | None, **options: Any
) -> list[Tensor]:
    """Convolves what every frame sees with every kernel; gives frame after frame, kernels innermost."""
    output: dict[tuple[int, int], Tensor] = {}
    for quarters, seen in batches:
        for j, kernel in enumerate(kernels):
            y = same_conv(seen, kernel, bias, **options)
            # "unsafe": the parts do not know of each other, and may be modified in place.
            parts = torch.unsafe_chunk(y, len(quarters)) if len(quarters) > 1 else [y]
            # Some operators round otherwise where a tensor does not begin at such a multiple.
            if len(parts) > 1 and parts[0].nbytes % ALIGNMENT:
                parts = [part.clone() for part in parts]
            output |= {(q, j): part for q, part in zip(quarters, parts, strict=True)}
    return [output[key] for key in sorted(output)]


def apart(weight: Tensor) -> bool:
    """Whether each frame needs a convolution of its own on CPUs, where some round by the place of an image in memory.

    Those of float64 do, and those of one tap, which are products of matrices: an image ends anywhere in their blocks.
    """
    return weight.dtype == torch.float64 or weight.shape[-1] == 1
