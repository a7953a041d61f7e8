"""One choice of a network for a whole image that it sees tile by tile."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Chooser(Protocol):
    """A module that chooses one of several answers for each example, such as the scale of a view.

    It has two members beside ``forward``, with which ``tiles.predict`` adds up its scores over all tiles and then
    applies one answer to each tile. A module that lacks one of them does not choose.

    Attributes:
        choice: None, if the module chooses for each example by itself, as it does outside of ``predict``. Otherwise the
            number of the answer for all examples, -1 for the last. The last answer must have the largest receptive
            field, as the coarsest scale does.
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

    A chooser inside of ``PerLevel`` is called several times in a pass, and chooses at each call. Its inputs may depend
    on the choices of those that are called before it, so they choose in the order of their calls.

    Args:
        network: A network with or without choosers inside.
        once: If False, choosers choose for each example, as they do outside of ``predict``.
    """

    def __init__(self, network: nn.Module, once: bool) -> None:
        self.network = network
        self.choosers: list[Any] = [module for module in network.modules() if once and isinstance(module, Chooser)]
        self.answers: dict[Any, list[int]] = {}  # for each call of a chooser
        self._calls: Counter[Any] = Counter()  # in this pass
        self._evidence: list[tuple[Any, Sequence[Tensor]]] = []  # in this pass, of a chooser and its call
        self._sums: dict[Any, Tensor] = {}  # (answers, 2) in all passes

    def __enter__(self) -> "Choosing":
        self._fix()
        return self

    def __exit__(self, *_: object) -> None:
        for chooser in self.choosers:
            chooser.choice = None

    def _fix(self) -> None:
        """Set one answer for all calls of a chooser, that of the largest field, with which the network is measured."""
        for chooser in self.choosers:
            chooser.choice = max(self.answers.get(chooser, [-1]), default=-1)

    @property
    def done(self) -> bool:
        """Whether all choosers have chosen."""
        return len(self.answers) == len(self.choosers)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the choices that are made, and collect the evidence of the other choosers."""
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
            self._evidence.append(((chooser, call), chooser.evidence(*inputs)))

    def add(self, cores: Sequence[Callable[[Tensor], Tensor]]) -> None:
        """Add up the evidence that a pass has collected.

        Args:
            cores: For each example of the batch, a function that cuts the part that counts out of a tensor (2, …).
        """
        for key, evidence in self._evidence:
            for example, core in enumerate(cores):
                sums = [core(answer[example]).reshape(2, -1).sum(1, dtype=torch.float64) for answer in evidence]
                self._sums[key] = self._sums.get(key, 0) + torch.stack(sums)
        self._evidence.clear()

    def choose(self) -> None:
        """Let the chooser that was called first choose by the sums. If none was called, there is nothing to choose."""
        first = next((chooser for chooser, _ in self._sums), None)
        if first is None:
            self.answers |= {chooser: [] for chooser in self.choosers if chooser not in self.answers}
        else:
            sums = [total for (chooser, _), total in self._sums.items() if chooser is first]
            self.answers[first] = [int((total[:, 0] / total[:, 1]).nan_to_num().argmax()) for total in sums]
        self._sums.clear()
        self._fix()
