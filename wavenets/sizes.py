"""The arithmetic of scales in whole numbers: the base as a ratio, and the sizes of a signal at neighbouring scales."""

import math
from collections.abc import Sequence
from fractions import Fraction

MAX_DENOMINATOR = 64  # of a base that is a ratio
ROOT_DENOMINATOR = 2**20  # of the ratio that stands for any other base in the arithmetic of sizes


def parse_base(base: Fraction | float | str, ndim: int) -> Fraction | float:
    """Return a base as a ratio of small integers, or in 2D as a float if it is another number.

    Raises:
        ValueError: If it is not a finite number above 1, or in 1D not a ratio of small integers.
    """
    try:
        root, power, exponent = str(base).partition("**")
        exact = Fraction(float(root) ** float(Fraction(exponent))) if power else Fraction(base)
    except (OverflowError, ValueError, ZeroDivisionError, TypeError):
        raise ValueError(f"base must be a finite number or a ratio such as '3/2', got {base!r}") from None
    ratio = exact.limit_denominator(MAX_DENOMINATOR)
    is_ratio = math.isclose(ratio, exact, rel_tol=1e-9)  # a float such as 1.1 means 11/10
    if (ratio if is_ratio else as_ratio(exact)) <= 1:
        raise ValueError(f"base must be above 1, got {base}")
    if ndim == 1 and not is_ratio:
        raise ValueError(f"in 1D base must be a ratio with a denominator of at most {MAX_DENOMINATOR}, got {base}")
    return ratio if is_ratio else float(exact)


def as_ratio(base: Fraction | float) -> Fraction:
    """Return a base as a ratio, rounded to about a millionth if it is a root."""
    return Fraction(base).limit_denominator(ROOT_DENOMINATOR)


def downscaled_size(n: int, base: Fraction, ndim: int) -> int:
    """Return the size of T(x) along a dimension where x has n samples.

    It is n / base, rounded up in 1D and at base 2, and rounded half to even otherwise. The arithmetic is in whole
    numbers, since compilers cannot follow a ``Fraction`` or ``round``.
    """
    p, q = base.numerator, base.denominator
    if ndim == 1 or base == 2:
        return (n * q + p - 1) // p
    if p % 2 or p > 2**16:  # no ties: they occur at multiples of p / 2 only
        return (2 * n * q + p) // (2 * p)
    # With a = ⌊nq/p⌋, adding p - 1 before the division by 2p sends a tie down to a; if a is odd, one more sends it up.
    return (2 * n * q + p - 1 + n * q // p % 2) // (2 * p)


def refined_size(n: int, base: Fraction, ndim: int) -> int:
    """Return the size nearest to n · base that T brings back to n."""
    p, q = base.numerator, base.denominator
    return n * p // q if ndim == 1 else (2 * n * p + q) // (2 * q)


def least_size(num_scales: int, base: Fraction, ndim: int) -> int:
    """Return how many samples a dimension needs for num_scales levels, each shorter than the one before."""
    too_short, enough = 0, 1
    while not _spans(enough, num_scales, base, ndim):
        too_short, enough = enough, 2 * enough
    while enough - too_short > 1:  # bisection by hand, which compilers can follow
        middle = (too_short + enough) // 2
        too_short, enough = (too_short, middle) if _spans(middle, num_scales, base, ndim) else (middle, enough)
    return enough


def _spans(size: int, num_scales: int, base: Fraction, ndim: int) -> bool:
    """Return whether T can shorten a dimension num_scales - 1 times."""
    for _ in range(num_scales - 1):
        size, before = downscaled_size(size, base, ndim), size
        if not 0 < size < before:
            return False
    return True


def check_spans(size: Sequence[int], num_scales: int, base: Fraction | float) -> None:
    """Raise a ValueError if a signal of this size is too short for a number of scales."""
    least = least_size(num_scales, as_ratio(base), len(size))
    if min(size) < least:
        raise ValueError(
            f"a signal of size {tuple(size)} is too short for {num_scales} scales of base {base}: "
            f"every dimension needs at least {least} samples"
        )


def check_finer(num_scales: int, finer: int) -> None:
    """Raise a ValueError unless there is a scale for the signal itself beside the finer ones."""
    if num_scales < 1:
        raise ValueError(f"num_scales must be at least 1, got {num_scales}")
    if not isinstance(finer, int) or not 0 <= finer < num_scales:
        raise ValueError(f"finer must be from 0 to below num_scales={num_scales}, got {finer}")
