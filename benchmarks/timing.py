"""What the benchmarks share: the times of steps side by side, and the memory that a step needs."""

import multiprocessing
import os
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.utils.benchmark import Timer

PRECISIONS = "float32", "tf32", "bfloat16"

Step = Callable[[], object]


def precision(name: str, device: str) -> AbstractContextManager[Any]:
    """Use float32 without or with TF32 (GPUs only), or bfloat16 autocast."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    return torch.autocast(device, torch.bfloat16, enabled=name == "bfloat16")


def as_levels(x: Any) -> list[Tensor]:
    """Return a tensor or levels as levels."""
    return [x] if isinstance(x, Tensor) else list(x)


def make_step(module: nn.Module, input: Any, train: bool, dtype: str = "float32") -> Step:
    """Return a call that does a forward pass without gradients, or one training step of a simple loss.

    Args:
        module: Module from a tensor or levels to a tensor or levels.
        input: Its input, on the device that is timed.
        train: Whether the call also computes gradients and does a step of Adam.
        dtype: One of `PRECISIONS`.
    """
    module.train(train)
    device = next(module.parameters()).device.type
    optimizer = torch.optim.Adam(module.parameters())

    def forward() -> object:
        with torch.no_grad(), precision(dtype, device):
            return module(input)

    def training_step() -> None:
        optimizer.zero_grad()
        with precision(dtype, device):
            loss = torch.stack([level.float().square().mean() for level in as_levels(module(input))]).sum()
        loss.backward()
        optimizer.step()

    return training_step if train else forward


def duration(step: Step, threads: int) -> float:
    """Return the median time of a step, in seconds."""
    return Timer("step()", globals={"step": step}, num_threads=threads).blocked_autorange(min_run_time=0.5).median


def seconds(steps: dict[str, Step], threads: int, rounds: int, label: str) -> dict[str, list[float]]:
    """Return the time of each step in each round, in seconds. All take turns, so that a busy machine slows all."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in track(range(rounds), f"Timing, {label}"):
        for name, step in steps.items():
            times[name].append(duration(step, threads))
    return times


def ratio(times: list[float], reference: list[float]) -> float:
    """Return the median over the rounds of the ratio of a step's time to that of the reference in the same round."""
    return statistics.median(time / other for time, other in zip(times, reference, strict=True))


def peak_memory(make: Callable[..., Step], arguments: tuple, small: tuple, device: str, threads: int) -> float:
    """Return how much one call raises the peak of the memory in use, in bytes; on a CPU in a separate process (Linux).

    Args:
        make: Function of a module that returns the step.
        arguments: Arguments of the step that is measured.
        small: Arguments of a small step that runs before, so that libraries are loaded.
        device: ``"cpu"`` or ``"cuda"``.
        threads: Number of CPU threads.
    """
    if device == "cuda":  # torch counts
        return _peak_memory(make, arguments, small, device, threads)
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # freed tensors go back to the system at once
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_memory, (make, arguments, small, device, threads))


def _peak_memory(make: Callable[..., Step], arguments: tuple, small: tuple, device: str, threads: int) -> float:
    torch.set_num_threads(threads)
    make(*small)()
    step = make(*arguments)
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, VmHWM
    before = _status("VmRSS")
    step()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
