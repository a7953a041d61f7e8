"""Has anything become slower? Ratios of times, each measured side by side in one run, against the saved ones.

Not part of `make test`: `pip install -e ".[benchmarks]"`, then `pytest benchmarks`.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cases import REFERENCE
from benchmarks.forward import make
from benchmarks.timing import ratio

SAVED: dict[str, float] = json.loads(Path(__file__).with_name("ratios.json").read_text())
TOLERANCE = 1.3  # a busy machine shifts a ratio by a tenth or two
ROUNDS = 7
# Dimension, case, the variant that ours is compared with, mode, batch, size.
RATIOS: dict[str, tuple[Any, ...]] = {
    "1D forward, ours / plain": (1, "W-M11", "plain", "forward", 4, 88200),
    "1D training step, ours / plain": (1, "W-M11", "plain", "training step", 4, 88200),
    "1D training step, ours / undecimated": (1, "W-M11", "undecimated", "training step", 1, 88200),
    "2D lifting, ours / plain": (2, "lifting, 3 to 64 channels, 7 × 7", "plain", "training step", 4, 224),
    "2D group convolution, ours / plain": (2, "group convolution, 64 to 64, 3 × 3", "plain", "training step", 4, 224),
    "2D training step, ours / plain": (2, "ResNet-18", "plain", "training step", 2, 224),
}


@pytest.mark.parametrize("name", RATIOS)
def test_ratio(name: str, benchmark: Any) -> None:
    dim, case, variant, mode, batch, size = RATIOS[name]
    ours, other = (make(dim, case, v, mode, batch, size, "cpu", "float32") for v in (REFERENCE, variant))
    others: list[float] = []

    def time_the_other() -> None:
        start = time.perf_counter()
        other()
        others.append(time.perf_counter() - start)

    other()
    benchmark.pedantic(ours, setup=time_the_other, rounds=ROUNDS, warmup_rounds=1)
    measured = ratio(benchmark.stats.stats.data, others[-ROUNDS:])
    benchmark.extra_info["ratio"] = measured
    assert measured < TOLERANCE * SAVED[name], f"{name}: {measured:.2f}, saved {SAVED[name]}"
