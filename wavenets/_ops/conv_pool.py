"""The convolution of a waveform with long kernels as one matrix product, max-pooled in the same pass.

The convolution of one or two channels is far slower than the machine allows; a matrix product is not. With a kernel w
of k taps and stride s, H neighbouring outputs n·H, …, n·H + H - 1 depend on the (H - 1)·s + k samples from n·H·s on:

    y[o, n·H + h] = Σ_c Σ_j w[o, c, j] x[c, (n·H + h)·s + j] = Σ_c Σ_i x[c, n·H·s + i] · w[o, c, i - h·s]
                  = (rows @ matrix)[n, (h, o)]
    rows[n, (c, i)] = x[c, n·H·s + i]    matrix[(c, i), (h, o)] = w[o, c, i - h·s]

where w is 0 outside 0 … k - 1. ``rows`` is the unfolded signal. Each column of the matrix is the kernel of one output
channel, moved to one of the H outputs. H is a multiple of the pooling window, so a row of the product consists of whole
windows. The product is pooled a few rows at a time, and features at full rate are never in memory as a whole.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenets._ops.export import exporting, tracing

# Elements of the product that are held at a time: few enough to stay in a CPU's cache, enough to fill a GPU.
CHUNK = {"cpu": 2**19, "cuda": 2**26}


def conv1d_max_pool(
    inputs: Sequence[Tensor], weight: Tensor, bias: Tensor | None, stride: int, max_pool: int
) -> list[Tensor]:
    """Return ``F.max_pool1d(F.conv1d(x, weight, bias, stride, kernel_size // 2), max_pool)`` of each, channels last.

    Args:
        inputs: Signals x of shape (B, C, L). Their lengths may differ.
        weight: Kernel of shape (O, C, k), k odd.
        bias: Bias of shape (O,), or None.
        stride: Stride of the convolution.
        max_pool: Size and stride of the pooling window, 1 for none.

    Returns:
        Tensors of shape (B, O, ceil(L / stride) // max_pool).
    """
    if tracing() or len(inputs[0]) == 0:  # one graph for all lengths
        outputs = [F.conv1d(x, weight, bias, stride, weight.shape[2] // 2) for x in inputs]
        return [max_pool1d(y, max_pool) for y in outputs] if max_pool > 1 else outputs

    out_channels, in_channels, kernel_size = weight.shape
    hop = max_pool * -(-8 // max_pool)
    span = (hop - 1) * stride + kernel_size
    # The kernel and zeros, repeated and cut into pieces of span samples: each piece begins stride samples later.
    moved = F.pad(weight, (0, span + stride - kernel_size)).repeat(1, 1, hop)[..., : hop * span]
    matrix = moved.unflatten(2, (hop, span)).permute(1, 3, 2, 0).reshape(in_channels * span, hop * out_channels)

    outputs = []
    for x in inputs:
        length = (x.shape[2] - 1) // stride + 1
        count = (length - 1) // hop + 1
        before = kernel_size // 2
        after = (count - 1) * hop * stride + span - x.shape[2] - before
        rows = F.pad(x, (before, after)).unfold(2, span, hop * stride).transpose(1, 2).flatten(2)
        if 1 < max_pool <= 256:  # the place of a maximum in its window is kept in a byte
            y, _ = _MaxPooledProduct.apply(cast(rows).flatten(0, 1), cast(matrix), max_pool, out_channels)
            y = y.unflatten(0, (len(x), count)).flatten(1, 2)[:, : length // max_pool].transpose(1, 2)
        else:
            y = (rows @ matrix).unflatten(2, (hop, out_channels)).flatten(1, 2)[:, :length].transpose(1, 2)
            y = F.max_pool1d(y, max_pool) if max_pool > 1 else y
        outputs.append(y if bias is None else y + bias.to(y.dtype)[:, None])
    return outputs


def max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """Max-pool without the fast path of torch for inference, which copies channels-last inputs and fixes lengths."""
    if _exports_ceil_mode(kernel_size, stride, padding, dilation, ceil_mode):
        input, ceil_mode = _padded(input, kernel_size), False
    return F.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True)[0]


class MaxPoolTensor1d(nn.MaxPool1d):
    """Max-pooling that keeps channels last in memory, and is exported for all lengths."""

    def forward(self, input: Tensor) -> Tensor:
        return max_pool1d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


class MaxPoolTensor2d(nn.MaxPool2d):
    """Max-pooling that is exported for all sizes, also if they are rounded up."""

    def forward(self, input: Tensor) -> Tensor:
        if _exports_ceil_mode(self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode):
            return F.max_pool2d(_padded(input, self.kernel_size), self.kernel_size)
        return super().forward(input)


def _exports_ceil_mode(kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> bool:
    """Return whether an export needs ``_padded``: torch would branch on whether the last window begins in the input."""
    plain = isinstance(kernel_size, int) and stride in (None, kernel_size) and padding == 0 and dilation == 1
    return ceil_mode and plain and exporting()


def _padded(input: Tensor, kernel_size: Any) -> Tensor:
    """Return an input on which ``ceil_mode=False`` has ceil(n / k) windows as well, the last one padded."""
    return F.pad(input, (0, kernel_size - 1) * (input.ndim - 2), value=-torch.inf)


class _MaxPooledProduct(torch.autograd.Function):
    """rows (N, K) @ matrix (K, W·max_pool·O), max-pooled to (N, W, O), and the place of each maximum in its window."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, matrix: Tensor, max_pool: int, out_channels: int) -> tuple[Tensor, Tensor]:
        windows = matrix.shape[1] // (max_pool * out_channels)
        # Under vmap a tensor made of both is batched if either is, and may then be written into.
        output = (rows.flatten()[:0].sum() + matrix.flatten()[:0].sum()).new_empty(len(rows), windows, out_channels)
        index = torch.empty_like(output, dtype=torch.uint8)
        chunk = _chunk(matrix)
        start = torch.arange(0, chunk * windows * max_pool, max_pool, device=rows.device)[:, None]
        for part, out, where in zip(*(x.split(chunk) for x in (rows, output, index)), strict=True):
            product = (part @ matrix).view(1, -1, 1, out_channels).permute(0, 3, 1, 2)  # (1, O, outputs, 1)
            maxima, position = F.max_pool2d(product, (max_pool, 1), return_indices=True)
            out.copy_(maxima.permute(0, 2, 3, 1).view_as(out))
            where.copy_((position - start[: position.shape[2]]).permute(0, 2, 3, 1).view_as(out))
        return output, index

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        rows, matrix, ctx.max_pool, _ = inputs
        ctx.save_for_backward(rows, matrix, output[1])
        ctx.save_for_forward(rows, matrix, output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        rows, matrix, index = ctx.saved_tensors
        grad_rows, grad_matrix = [], torch.zeros_like(matrix, dtype=torch.promote_types(matrix.dtype, torch.float32))
        for part, where, out in zip(*(x.split(_chunk(matrix)) for x in (rows, index, grad)), strict=True):
            product = out.new_zeros(*out.shape[:2], ctx.max_pool, out.shape[2])
            product = product.scatter(2, where[:, :, None].long(), out[:, :, None]).flatten(1)
            if ctx.needs_input_grad[0]:
                grad_rows.append(product @ matrix.T)
            grad_matrix = grad_matrix + part.T @ product
        return torch.cat(grad_rows) if grad_rows else None, grad_matrix, None, None

    @staticmethod
    def jvp(ctx: Any, rows_: Tensor | None, matrix_: Tensor | None, *_: None) -> tuple[Tensor, None]:
        rows, matrix, index = ctx.saved_tensors
        tangents = [rows_ @ matrix] if rows_ is not None else []
        tangents += [rows @ matrix_] if matrix_ is not None else []
        product = torch.stack(tangents).sum(0).unflatten(1, (index.shape[1], ctx.max_pool, index.shape[2]))
        return product.gather(2, index[:, :, None].long()).squeeze(2), None


def _chunk(matrix: Tensor) -> int:
    """Return how many rows to multiply at a time."""
    return max(1, CHUNK.get(matrix.device.type, CHUNK["cuda"]) // matrix.shape[1])


def _autocasts(x: Tensor) -> bool:
    """Return whether autocast would convert an input of a matrix product."""
    available = torch.amp.is_autocast_available(x.device.type)  # not on the meta device
    return available and torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64


def cast(x: Tensor) -> Tensor:
    """Convert an input of a matrix product as autocast would do."""
    return x.to(torch.get_autocast_dtype(x.device.type)) if _autocasts(x) else x
