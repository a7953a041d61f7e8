"""The order of the clips, and random numbers of the loading processes."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.source import Source, Stage
from experiments.training.loading import Batches


class Noise(Source, Dataset[tuple[Tensor, int]]):
    """Items (a random number, the item's index); as a source, every split is itself."""

    classes = ("one",)

    def split(self, stage: Stage) -> "Noise":
        return self

    def __len__(self) -> int:
        return 20

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        return torch.rand(1), item


class Tones(Noise):
    """Items (1, the item's index)."""

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        return torch.ones(1), item


def epoch(
    number: int,
    seed: int = 0,
    world_size: int = 1,
    rank: int = 0,
    workers: int = 2,
    source: Source | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """The random numbers and the indices of an epoch."""
    batches = Batches(source or Noise(), batch_size=4, num_workers=workers, seed=seed, **options)
    progress = SimpleNamespace(current=SimpleNamespace(processed=number))
    fit_loop = SimpleNamespace(epoch_progress=progress)
    trainer: Any = SimpleNamespace(world_size=world_size, global_rank=rank, fit_loop=fit_loop)
    batches.trainer = trainer
    pairs = list(batches.train_dataloader())
    return torch.cat([noise for noise, _ in pairs]), torch.cat([index for _, index in pairs])


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    torch.manual_seed(0)
    noise, order = epoch(3)
    torch.manual_seed(1)
    again, same_order = epoch(3)
    assert torch.equal(noise, again) and torch.equal(order, same_order)
    assert order.sort().values.tolist() == list(range(20))
    for other_noise, other_order in epoch(4), epoch(3, seed=1):
        assert not torch.equal(order, other_order)
        assert not set(noise.flatten().tolist()) & set(other_noise.flatten().tolist())


def test_loading_takes_no_global_random_numbers() -> None:
    state = torch.get_rng_state()
    epoch(0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 1])
def test_devices_share_the_clips(workers: int) -> None:
    orders = [epoch(0, world_size=2, rank=rank, workers=workers)[1].tolist() for rank in (0, 1)]
    assert sorted(orders[0] + orders[1]) == list(range(20))


def test_an_epoch_has_each_example_as_often_as_the_source_says() -> None:
    source = Tones()
    source.repeats = 3
    items = epoch(0, source=source)[1]
    assert items.bincount().tolist() == [3] * 20


def test_the_transforms_of_the_source_come_first() -> None:
    source = Tones()
    source.transforms = [lambda x, rng: x + 1]
    values, _ = epoch(0, workers=0, source=source, transforms=[lambda x, rng: 10 * x])
    assert values.unique().tolist() == [20]


MALLINFO = """
import ctypes, torch
from experiments.training.memory import keep_freed_memory
NAMES = "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2
def state():  # blocks that the system lent, and free bytes that the allocator keeps
    info = libc.mallinfo2()
    return info.hblks, info.fordblks
before = state()
block = torch.empty(2**24)
lent = state()
del block
keep_freed_memory()
block = torch.empty(2**24)
kept = state()
del block
print(lent[0] - before[0], kept[0] - before[0], int(state()[1] >= kept[1] + 4 * 2**24))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc before 2.33, or another C library")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    """A large block is lent by the system, and then the allocator's own. The process is another one, as it changes."""
    done = subprocess.run([sys.executable, "-c", MALLINFO], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "0", "1"]
