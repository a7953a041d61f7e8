"""The base of lifting and group convolutions: their kernels, which it initialises, saves and loads."""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from wavenets._ops.conv import check_padding_mode
from wavenets.grid import Grid
from wavenets.kernels import Kernel, Samples


class KernelLayer(nn.Module):
    """A layer with learned numbers, a kernel that turns them into samples at the angles of a grid, and a bias."""

    ndim: int | None = None
    matrices: Tensor | None  # (angles, taps, numbers), unless the numbers are the samples

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        *,
        shape: tuple[int, ...],
        grid: Grid,
        stride: int = 1,
        bias: bool = True,
        kernel: Kernel | None = None,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = positive("in_channels", in_channels)
        self.out_channels = positive("out_channels", out_channels)
        self.stride = positive("stride", stride)
        self.grid, self.kernel = grid, kernel or Samples()
        self.kernel_size = _odd(kernel_size, grid)
        check_padding_mode(padding_mode)
        self.padding_mode = padding_mode
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(*shape, *self.kernel.count(self.kernel_size), **factory))
        self.bias = nn.Parameter(torch.empty(out_channels, **factory)) if bias else None
        self.register_buffer("matrices", None, persistent=False)
        self._fit_matrices()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights that keep the variance of white noise, scales and orientations in the fan-in; zero the bias."""
        # A sample has the variance of one number times the squared norm of its row of the matrix.
        numbers: float = self.weight[0].numel()
        if (matrices := self._matrices()) is not None:
            numbers = numbers * matrices.square().sum().item() / matrices[:, 0].numel()
        nn.init.normal_(self.weight, std=numbers**-0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def samples(self) -> Tensor:
        """Return the samples of the kernels; with more than four rotations the first axis is the angle."""
        if self.matrices is None:
            return self.weight
        samples = torch.einsum("...n,mtn->m...t", self.weight.flatten(-self.grid.ndim), self.matrices)
        samples = samples.unflatten(-1, self.kernel_size)
        return samples[0] if len(samples) == 1 else samples  # ONNX refuses ``squeeze`` of an axis longer than 1

    def _matrices(self) -> Tensor | None:
        """Return the matrices from numbers to samples in float64, one for each angle, or None if there are none."""
        angles = self.grid.group.finer
        if angles == 1 and isinstance(self.kernel, Samples):
            return None
        disk = angles > 1
        # A view is the signal turned counterclockwise. For the kernel this is a clockwise turn.
        with torch.device("cpu"):  # for any default device, such as "meta"
            matrices = [self.kernel.matrix(self.kernel_size, -90 * j / angles, disk=disk) for j in range(angles)]
            return torch.stack(matrices)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "KernelLayer":
        # net.to(memory_format=torch.channels_last) fails for five dimensions, so the weight is passed as four.
        def as_four(x: Tensor) -> Tensor:
            return fn(x.flatten(1, -3)).unflatten(1, x.shape[1:-2]) if x.ndim > 4 else fn(x)

        super()._apply(as_four, recurse)
        self._fit_matrices()  # computed in float64 again: float32 converted to float64 would not be exact
        return self

    def _fit_matrices(self) -> None:
        matrices = self._matrices()
        # Not like self.weight, which after pruning is no parameter, and has the old dtype and device.
        self.matrices = None if matrices is None else matrices.to(next(self.parameters()))

    # The state holds the grid as numbers, so that weights are not silently loaded into a layer on another grid.
    def get_extra_state(self) -> Tensor:
        group = [float(self.grid.base), self.grid.rotations, self.grid.mirrored]
        return torch.tensor(group, dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        # An average of states, in any precision, still has the numbers of the grid.
        if not torch.allclose(state.cpu().double(), self.get_extra_state(), rtol=0, atol=1e-3):
            base, rotations, mirrored = state.tolist()
            theirs = f"base {base:.6g}, rotations {rotations:.0f}{', mirrored' if mirrored > 0.5 else ''}"
            raise ValueError(f"the weights were learned on {theirs}, not on {self.grid}")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        # Weights of torch's own convolution fit as well: they lack the grid and the axis of scales.
        weight = state_dict.get(f"{prefix}weight")
        if weight is not None and f"{prefix}_extra_state" not in state_dict and self.kernel != Samples():
            raise ValueError(f"weights of a torch convolution are samples, which {self.kernel} does not learn")
        state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())
        if weight is not None and weight.ndim == self.weight.ndim - 1 and self.grid.orientations == 1:
            state_dict[f"{prefix}weight"] = weight.unsqueeze(2)
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._fit_matrices()  # with assign=True the weights may now have another dtype or device

    @classmethod
    def _own(cls, grid: Grid | None) -> Grid:
        """Return the grid, or the dyadic one for None, after checking its dimension."""
        if grid is None and cls.ndim is not None:
            return Grid(cls.ndim)
        if grid is None or cls.ndim not in (None, grid.ndim):
            raise ValueError(f"expected a grid{'' if cls.ndim is None else f' with ndim={cls.ndim}'}, got {grid}")
        return grid

    def _repr(self, scales: str, **options: Any) -> str:
        kernel_size = self.kernel_size[0] if len(set(self.kernel_size)) == 1 else self.kernel_size
        first = f"{self.in_channels}, {self.out_channels}, kernel_size={kernel_size}, {scales}, stride={self.stride}"
        options = {"bias": self.bias is not None, **options, "padding_mode": self.padding_mode, "kernel": self.kernel}
        defaults = {"bias": True, "padding_mode": "zeros", "kernel": Samples(), "groups": 1, "max_pool": 1}
        shown = [f"{name}={value!r}" for name, value in options.items() if value != defaults[name]]
        return ", ".join([first, *shown, f"grid={self.grid}"])


def positive(name: str, value: int) -> int:
    """Return the value, or raise a ValueError if it is not a whole number or is below 1."""
    if not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


def _odd(kernel_size: int | Sequence[int], grid: Grid) -> tuple[int, ...]:
    given = kernel_size if isinstance(kernel_size, Sequence) else (kernel_size,) * grid.ndim
    size = tuple(positive("kernel_size", n) for n in given)
    if len(size) != grid.ndim:
        raise ValueError(f"kernel_size must be a number or {grid.ndim} of them, got {kernel_size}")
    if any(n % 2 == 0 for n in size):
        raise ValueError(f"kernel_size must be odd to keep the kernel's centre, got {kernel_size}")
    if grid.orientations > 1 and len(set(size)) > 1:
        raise ValueError(f"kernels on a grid with orientations must be square, got kernel_size={kernel_size}")
    return size
