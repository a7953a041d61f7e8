"""Batches for the trainer, in an order that depends on nothing but the seed and the epoch."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import repeat
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from experiments.data.augment import Mix, Transform
from experiments.data.augmented import Augmented
from experiments.data.source import Extras, Source
from experiments.data.subset import share


class Batches(L.LightningDataModule):
    """The training and validation batches of a dataset.

    Args:
        dataset: gives the splits.
        batch_size: clips per batch and device.
        num_workers: loading processes; 0 loads in the trainer's own.
        seed: of the order of the training clips, of their augmentation, and of which share of them it is.
        fraction: share of the training clips that is used.
        transforms: augmentation of the training clips.
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
        self.fraction, self.transforms = fraction, transforms

    def prepare_data(self) -> None:
        """Lets one process per machine decode what is not in the cache."""
        _ = self.examples

    def train_dataloader(self) -> DataLoader[Any]:
        """Gives the training clips, shuffled and augmented anew in every epoch."""
        assert self.trainer is not None
        examples = share(self.dataset.split("train"), self.fraction, self.seed)
        clips: Dataset[Any] = Augmented(examples, self.transforms, len(self.dataset.classes), self.seed)
        sampler = _Positions(clips, self.trainer.world_size, self.trainer.global_rank, seed=self.seed)
        # The trainer sets the epoch as well, but after a resumed run's workers have begun to load. (At that point its
        # current_epoch is one behind.)
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        sampler.set_epoch(progress.processed)
        return DataLoader(
            clips,
            self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            worker_init_fn=partial(_seed_worker, self.seed, sampler),
            generator=torch.Generator(),  # else the loader draws a global random number whenever it is started
        )

    def state_dict(self) -> dict[str, Any]:
        """Gives the numbers of examples to the checkpoint."""
        return {"examples": self.examples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compares them with those of a checkpoint.

        Raises:
            ValueError: They are others, so that a resumed run would not be the run that began.
        """
        if (now := self.examples) != (before := state_dict["examples"]):
            raise ValueError(
                f"the data have changed since the run began: {before} training and validation examples then, {now} now"
            )

    @cached_property
    def examples(self) -> list[int]:
        """The numbers of training and validation examples."""
        splits: list[Any] = [self.dataset.split("train"), *([self.dataset.split("val")] if self.validated else [])]
        return [len(split) for split in splits]

    @property
    def validated(self) -> bool:
        """Whether there are validation examples; only a set in folds may have none."""
        return bool(Extras.of(self.dataset).folds.get("val", True))

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Gives all validation clips in order; none if there are none."""
        if not self.validated:
            return []
        return DataLoader(self.dataset.split("val"), self.batch_size, num_workers=self.num_workers)


def epoch_seed(*numbers: int) -> int:
    """Mixes a seed with the epoch, the rank, … to a seed of its own.

    >>> epoch_seed(0, 1) == epoch_seed(1, 0)
    False
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class _Positions(DistributedSampler[Any]):
    """Gives (epoch, item): what an augmented example depends on beside the seed."""

    def __iter__(self) -> Iterator[Any]:
        return zip(repeat(self.epoch), super().__iter__())


def _seed_worker(seed: int, sampler: DistributedSampler[Any], worker: int) -> None:
    L.seed_everything(epoch_seed(seed, sampler.epoch, sampler.rank, worker), verbose=False)
