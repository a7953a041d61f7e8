"""Recordings that are tested as wholes, by the outputs of their windows."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from experiments.training.tasks.task import Task


def of_recordings(
    task: Task, logits: Tensor, target: Tensor, recordings: Sequence[int] | None
) -> tuple[Tensor, Tensor]:
    """Return outputs and targets of recordings as wholes, by the mean of their windows' probabilities.

    Args:
        task: Has the probabilities.
        logits: Logits of each window, (N, num_outputs).
        target: Target of each window, (N, …), the same for all windows of a recording.
        recordings: The recording of each window. ``None``: each window is tested by itself.

    Returns:
        Logits and targets of the recordings, in the order of their numbers.

    Example:
        >>> from experiments.training.tasks.multi_class import MultiClass
        >>> halves = torch.tensor([[0.5, 0.5], [0.1, 0.9], [0.7, 0.3]]).log()
        >>> logits, target = of_recordings(MultiClass(2), halves, torch.tensor([1, 1, 0]), [5, 5, 8])
        >>> logits.exp(), target
        (tensor([[0.3000, 0.7000],
                [0.7000, 0.3000]]), tensor([1, 0]))
    """
    if recordings is None:
        return logits, target
    _, first, window = np.unique(recordings, return_index=True, return_inverse=True)
    probabilities = task.probabilities(logits.double())
    index = torch.from_numpy(window).to(logits.device)
    sums = probabilities.new_zeros(len(first), probabilities.shape[1]).index_add(0, index, probabilities)
    means = sums / torch.from_numpy(np.bincount(window))[:, None].to(logits.device)
    return task.logits(means).to(logits.dtype), target[torch.from_numpy(first).to(target.device)]
