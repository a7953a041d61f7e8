"""The convolution of torch with "same" padding."""

import torch.nn.functional as F
from torch import Tensor

from wavenets._ops.export import compiling

PADDING_MODES = "zeros", "reflect", "replicate", "circular"


def check_padding_mode(padding_mode: str) -> None:
    """Raise a ValueError unless torch has this padding."""
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")


def same_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:
    """Convolve with "same" padding, which torch does not support together with a stride.

    Raises:
        ValueError: If the input is too small for the padding mode.
    """
    padding = [dilation * (k // 2) for k in weight.shape[2:]]
    if padding_mode != "zeros":
        least = [{"reflect": n + 1, "circular": n}.get(padding_mode, 1) for n in padding]
        if not compiling() and any(n < m for n, m in zip(input.shape[2:], least, strict=True)):
            raise ValueError(
                f"a level of size {tuple(input.shape[2:])} is too small for padding_mode={padding_mode!r}, which needs "
                f"at least {max(least)} samples: use a longer input or fewer scales"
            )
        input = F.pad(input, [n for size in reversed(padding) for n in (size, size)], padding_mode)
        padding = [0] * len(padding)
    if input.ndim == 4:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    if compiling():  # the compiler chooses layouts itself
        return F.conv1d(input, weight, bias, stride, padding, dilation, groups)
    # As an image of one row: unlike conv1d, conv2d keeps channels last in memory, which is faster.
    row, kernel = input[:, :, None], weight[:, :, None]
    return F.conv2d(row, kernel, bias, (1, stride), (0, *padding), (1, dilation), groups).squeeze(2)
