"""What a network chooses for an example, chosen once for an image that it sees tile by tile."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Chooser(Protocol):
    """A module that chooses one of several answers for each example, such as the scale of a view.

    It has two names beside ``forward``, by which ``tiles.predict`` adds up its scores over all tiles and then applies
    one answer to each. A module that lacks one of them does not choose.

    Attributes:
        choice: None, if the module chooses for each example by itself, as it does outside of ``predict``. Otherwise the
            number of the answer for all examples, -1 for the last. The last answer has to look furthest, as the
            coarsest scale does.
    """

    choice: int | None

    def evidence(self, *inputs: Any) -> Sequence[Tensor]:
        """Return the score of each answer as sums that add up over tiles.

        Args:
            *inputs: The inputs of ``forward``.

        Returns:
            For each answer a tensor (B, 2, …) of a sum and a weight at every position, of any resolution, or a tensor
            (B, 2) for all positions. The answer with the largest Σ sum / Σ weight is chosen, the first of equal ones.
        """
        ...


class Choosing:
    """The choices that a network makes for one image, while this context lasts.

    A chooser inside of ``PerLevel`` is called several times in a pass, and chooses in each. Its inputs may depend on
    what others have chosen that are called before it, so the first one chooses first.

    Args:
        network: A network with or without choosers inside.
        once: If False, choosers choose for each example, as they are used to.
    """

    def __init__(self, network: nn.Module, once: bool) -> None:
        self.network = network
        self.choosers: list[Any] = [module for module in network.modules() if once and isinstance(module, Chooser)]
        self.answers: dict[Any, list[int]] = {}  # for each call of a chooser
        self._calls: Counter[Any] = Counter()  # in this pass
        self._heard: list[tuple[Any, Sequence[Tensor]]] = []  # in this pass, of a chooser and its call
        self._sums: dict[Any, Tensor] = {}  # (answers, 2) in all passes

    def __enter__(self) -> "Choosing":
        self._fix()
        return self

    def __exit__(self, *_: object) -> None:
        for chooser in self.choosers:
            chooser.choice = None

    def _fix(self) -> None:
        """Set one answer for all calls of a chooser, that which looks furthest, with which the network is measured."""
        for chooser in self.choosers:
            chooser.choice = max(self.answers.get(chooser, [-1]), default=-1)

    @property
    def done(self) -> bool:
        """Whether all have chosen."""
        return len(self.answers) == len(self.choosers)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Answer the calls of all that have chosen, and listen to the others."""
        hooks = [self.network.register_forward_pre_hook(lambda *_: self._calls.clear())]
        hooks += [chooser.register_forward_pre_hook(self._called) for chooser in self.choosers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._fix()

    def _called(self, chooser: Any, inputs: tuple[Any, ...]) -> None:
        call = self._calls[chooser]
        self._calls[chooser] += 1
        if chooser in self.answers:
            chooser.choice = self.answers[chooser][call]
        else:
            self._heard.append(((chooser, call), chooser.evidence(*inputs)))

    def add(self, cores: Sequence[Callable[[Tensor], Tensor]]) -> None:
        """Add up what was heard in a pass.

        Args:
            cores: For each example of the batch, what cuts the part that counts out of a tensor (2, …).
        """
        for key, evidence in self._heard:
            for example, core in enumerate(cores):
                sums = [core(answer[example]).reshape(2, -1).sum(1, dtype=torch.float64) for answer in evidence]
                self._sums[key] = self._sums.get(key, 0) + torch.stack(sums)
        self._heard.clear()

    def choose(self) -> None:
        """Have the one that was called first choose by the sums; if none was called, there is nothing to choose."""
        first = next((chooser for chooser, _ in self._sums), None)
        if first is None:
            self.answers |= {chooser: [] for chooser in self.choosers if chooser not in self.answers}
        else:
            sums = [total for (chooser, _), total in self._sums.items() if chooser is first]
            self.answers[first] = [int((total[:, 0] / total[:, 1]).nan_to_num().argmax()) for total in sums]
        self._sums.clear()
        self._fix()
