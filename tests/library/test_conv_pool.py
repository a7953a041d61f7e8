"""The lifting convolution as a matrix product, max-pooled in the same pass, against torch's convolution and pooling."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.library.networks import LAYERS, noise
from wavenets import Grid
from wavenets._ops import conv_pool
from wavenets.nn import LiftingConv1d
from wavenets.testing import assert_equivariant


def fast(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, max_pool: int) -> Tensor:
    (output,) = conv_pool.conv1d_max_pool([x], weight, bias, stride, max_pool)
    return output


def slow(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, max_pool: int) -> Tensor:
    return F.max_pool1d(F.conv1d(x, weight, bias, stride, weight.shape[2] // 2), max_pool)


@settings(deadline=None)  # the first call is slow
@given(
    length=st.integers(20, 400),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 5)),
    half_kernel=st.integers(0, 40),
    stride=st.integers(1, 5),
    max_pool=st.integers(1, 11),
    bias=st.booleans(),
    chunk=st.sampled_from([1, 500, 2**19]),
)
def test_values_and_gradients_are_torchs(
    length: int, channels: tuple[int, int], half_kernel: int, stride: int, max_pool: int, bias: bool, chunk: int
) -> None:
    max_pool = min(max_pool, -(-length // stride))
    arguments = [
        noise(2, channels[0], length, dtype=torch.float64).requires_grad_(),
        noise(channels[1], channels[0], 2 * half_kernel + 1, dtype=torch.float64).requires_grad_(),
        *([noise(channels[1], dtype=torch.float64).requires_grad_()] if bias else []),
    ]
    x, weight, offset = arguments[0], arguments[1], arguments[2] if bias else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(conv_pool.CHUNK, "cpu", chunk)
        actual = fast(x, weight, offset, stride, max_pool)
        expected = slow(x, weight, offset, stride, max_pool)
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
        grad = torch.randn_like(expected)
        for gradient, oracle in zip(
            torch.autograd.grad(actual, arguments, grad), torch.autograd.grad(expected, arguments, grad), strict=True
        ):
            torch.testing.assert_close(gradient, oracle, rtol=0, atol=1e-11)


def test_ties_give_their_gradient_to_the_first_as_torchs_do() -> None:
    """Digital silence: every output is the bias, and no gradient may count more than once."""
    x, weight = torch.zeros(1, 1, 96, dtype=torch.float64), noise(3, 1, 5, dtype=torch.float64)
    gradients = []
    for conv in fast, slow:
        x_ = x.clone().requires_grad_()
        conv(x_, weight, None, 1, 4).sum().backward()
        gradients.append(x_.grad)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)


@pytest.mark.parametrize("max_pool", [2, 300])
def test_second_derivatives(max_pool: int) -> None:
    x, weight = noise(1, 1, 20 * max_pool // 2, dtype=torch.float64), noise(2, 1, 3, dtype=torch.float64)

    def conv(weight: Tensor) -> Tensor:
        return fast(x, weight, None, 1, max_pool)

    assert torch.autograd.gradcheck(conv, weight.requires_grad_())
    assert torch.autograd.gradgradcheck(conv, weight)


def test_the_product_never_exists_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[Tensor] = []
    pool = F.max_pool2d

    def seen(x: Tensor, *rest: Any, **options: Any) -> Any:
        parts.append(x)
        return pool(x, *rest, **options)

    monkeypatch.setattr(F, "max_pool2d", seen)
    fast(noise(2, 1, 50_000), noise(32, 1, 9), None, 1, 4)
    assert max(part.numel() for part in parts) <= conv_pool.CHUNK["cpu"]
    assert sum(part.numel() for part in parts) == 2 * 50_000 * 32


@pytest.mark.parametrize("grid", [Grid(1), Grid(1, "3/2"), Grid(2), Grid(2, 1.5)])
def test_lifting_with_max_pool_is_lifting_and_pooling(grid: Grid) -> None:
    lifting_conv, _, max_pool, _ = LAYERS[grid.ndim]
    lift = lifting_conv(2, 5, 7, 3, stride=2, grid=grid, max_pool=3).double()
    plain = lifting_conv(2, 5, 7, 3, stride=2, grid=grid).double()
    plain.load_state_dict(lift.state_dict())
    x = noise(2, 2, *[101, 83][: grid.ndim], dtype=torch.float64)
    for actual, expected in zip(lift(x), max_pool(3)(plain(x)), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [88200, 40009])
def test_equivariance_is_exact(length: int, dtype: torch.dtype) -> None:
    """Also where the product is cut into parts, at places that are not the same on every level."""
    lift = LiftingConv1d(1, 51, 79, 9, max_pool=4).to(dtype)
    assert_equivariant(lift, noise(1, 1, length, dtype=dtype), steps=2)


def test_gradients_of_every_sample_by_torch_func() -> None:
    lift = LiftingConv1d(1, 3, 5, 3, max_pool=4).double()
    parameters, x = dict(lift.named_parameters()), noise(4, 1, 97, dtype=torch.float64)

    def loss(parameters: Mapping[str, Tensor], sample: Tensor) -> Tensor:
        levels = torch.func.functional_call(lift, dict(parameters), sample[None])
        return sum(level.square().sum() for level in levels)

    together = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    for i, sample in enumerate(x):
        alone = torch.autograd.grad(loss(parameters, sample), list(parameters.values()))
        for gradient, expected in zip(together.values(), alone, strict=True):
            torch.testing.assert_close(gradient[i], expected, rtol=0, atol=1e-11)


class TestAsACitizenOfTorch:
    x = noise(2, 1, 997)

    @pytest.fixture
    def lift(self) -> nn.Module:
        return LiftingConv1d(1, 6, 9, 4, max_pool=4)

    def test_runs_under_autocast(self, lift: nn.Module) -> None:
        expected = lift(self.x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels = lift(self.x)
        gradients = [
            torch.autograd.grad(sum(level.float().square().sum() for level in output), list(lift.parameters()))
            for output in (levels, expected)
        ]
        for half, single in zip([*levels, *gradients[0]], [*expected, *gradients[1]], strict=True):
            torch.testing.assert_close(half.float(), single, rtol=0, atol=0.03 * single.abs().max().item())
        assert all(level.dtype == torch.bfloat16 for level in levels)
