"""Batches for the trainer, in an order that depends on nothing but the seed and the epoch."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import repeat
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from experiments.data.inputs import Image
from experiments.data.source import Source
from experiments.data.transforms import Mix, Transform
from experiments.data.wrappers import Augmented, share


class Batches(L.LightningDataModule):
    """The training and validation batches of a dataset.

    Args:
        dataset: Has the splits.
        batch_size: Examples in a batch, on each device.
        num_workers: Number of loading processes. 0: the process of the trainer loads.
        seed: Seed of the order of the training examples, of their augmentation, and of the share that is used.
        fraction: Share of the training examples that is used.
        transforms: Augmentation of the training examples, after the transforms of the dataset.
    """

    def __init__(
        self,
        dataset: Source,
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        fraction: float = 1.0,
        transforms: Sequence[Transform | Mix] = (),
    ) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.num_workers, self.seed = dataset, batch_size, num_workers, seed
        self.fraction, self.transforms = fraction, [*dataset.transforms, *transforms]

    def prepare_data(self) -> None:
        """Let one process on each machine decode what is not in the cache."""
        _ = self.examples

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training examples, shuffled and augmented differently in each epoch."""
        assert self.trainer is not None
        examples = self.train_examples
        classes, repeats = len(self.dataset.classes), self.dataset.repeats
        augmented: Dataset[Any] = Augmented(examples, self.transforms, classes, self.seed, repeats)
        sampler = _Positions(augmented, self.trainer.world_size, self.trainer.global_rank, seed=self.seed)
        # The trainer sets the epoch as well, but after a resumed run's workers have begun to load. (At that point its
        # current_epoch is one behind.)
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        sampler.set_epoch(progress.processed)
        return DataLoader(
            augmented,
            self.batch_size,
            sampler=sampler,
            # Batch norm cannot train on one example.
            drop_last=len(sampler) % self.batch_size == 1 < self.batch_size < len(sampler),
            num_workers=self.num_workers,
            worker_init_fn=partial(_seed_worker, self.seed, sampler),
            generator=torch.Generator(),  # otherwise the loader draws a global random number whenever it is started
        )

    @cached_property
    def train_examples(self) -> Dataset[Any]:
        """The share of the training examples that is used. Drawing it may read all targets, so it is drawn once."""
        return share(self.dataset.split("train"), self.fraction, self.seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers of examples, for the checkpoint."""
        return {"examples": self.examples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare the numbers of examples with those of a checkpoint.

        Raises:
            ValueError: They differ, so that a resumed run would not be the run that began.
        """
        if (now := self.examples) != (before := state_dict["examples"]):
            raise ValueError(
                f"the data have changed since the run began: {before} training and validation examples then, {now} now"
            )

    @cached_property
    def examples(self) -> list[int]:
        """Numbers of training and validation examples."""
        splits: list[Any] = [self.dataset.split("train")]
        if self.dataset.validated:
            splits.append(self.dataset.split("val"))
        return [len(split) for split in splits]

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return all validation examples in order; an empty list if there are none."""
        if not self.dataset.validated:
            return []
        input = self.dataset.input
        batch_size = 1 if isinstance(input, Image) and input.size is None else self.batch_size  # images of any size
        return DataLoader(self.dataset.split("val"), batch_size, num_workers=self.num_workers)


def epoch_seed(*numbers: int) -> int:
    """Return a seed made of a seed, the epoch, the rank, ….

    >>> epoch_seed(0, 1) == epoch_seed(1, 0)
    False
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class _Positions(DistributedSampler[Any]):
    """A sampler of (epoch, item), which an augmented example depends on beside the seed."""

    def __iter__(self) -> Iterator[Any]:
        return zip(repeat(self.epoch), super().__iter__())


def _seed_worker(seed: int, sampler: DistributedSampler[Any], worker: int) -> None:
    L.seed_everything(epoch_seed(seed, sampler.epoch, sampler.rank, worker), verbose=False)
