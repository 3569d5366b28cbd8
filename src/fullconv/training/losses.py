"""The losses of a stage's steps, as numbers: whether they are finite, and what is shown of them.

A number of a card is there only when the card has computed it, and who asks for it waits until then: at every step the card would
have nothing to do while the next step is prepared. So on a card several steps' losses are looked at together, and one that is not
finite is found up to :data:`TOGETHER` steps late; nothing is measured or saved before it is looked for. On a CPU each step's is
looked at before its gradients are computed.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, distributed

from fullconv.errors import TrainingError

TOGETHER = 20
"""Steps whose losses are looked at together on a card."""


class _Told(NamedTuple):
    loss: Tensor
    when: str
    learning_rate: float
    names: Sequence[str]


class StepLosses:
    """Losses that have been computed, or will have been when somebody asks.

    Parameters
    ----------
    parts
        Of a step, whose losses are added (``train.accumulate``).
    gathered
        Gives all processes' names of images; by default the process's own, as there is one.

    Examples
    --------
    >>> losses = StepLosses(parts=2)
    >>> for value in (1.0, 2.0, 4.0):
    ...     losses.add(torch.tensor(value), "step 1 of 9", 0.1, ["a"])
    >>> losses.read(), losses.read()  # the second step is not whole yet
    ([3.0], [])
    """

    def __init__(self, parts: int = 1, gathered: Callable[[Sequence[str]], Sequence[str]] = list) -> None:
        self.parts, self._gathered = parts, gathered
        self._waiting: list[_Told] = []

    def add(self, loss: Tensor, when: str, learning_rate: float, names: Sequence[str]) -> None:
        """Take the loss of a part of a step, a scalar of all processes; when it is, at which rate, and of which images.

        Raises
        ------
        TrainingError
            When it is on a CPU and not finite.
        """
        self._waiting.append(_Told(loss, when, learning_rate, names))
        if loss.device.type == "cpu":
            self._check(self._waiting[-1], loss.item())

    @property
    def due(self) -> bool:
        """Whether it is time to look: at every step on a CPU, after :data:`TOGETHER` of them elsewhere."""
        steps = len(self._waiting) // self.parts
        return steps >= (1 if self._waiting and self._waiting[-1].loss.device.type == "cpu" else TOGETHER)

    def read(self) -> list[float]:
        """Return the losses of the whole steps that have not been read, in their order.

        Raises
        ------
        TrainingError
            When one is not finite; with the images of the first such.
        """
        if not self._waiting:
            return []
        values: list[float] = torch.stack([told.loss for told in self._waiting]).tolist()
        for told, value in zip(self._waiting, values, strict=True):
            self._check(told, value)
        whole = len(values) - len(values) % self.parts
        self._waiting = self._waiting[whole:]
        return [sum(values[first : first + self.parts]) for first in range(0, whole, self.parts)]

    def _check(self, told: _Told, value: float) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at {told.when} (learning rate {told.learning_rate:g}, images "
                f"{', '.join(self._gathered(told.names))}); lower train.optimizer.learning_rate, set train.gradient_clip or "
                "lengthen train.optimizer.warmup"
            )


def names_of_all(names: Sequence[str]) -> list[str]:
    """Return the names of all processes' images; all must ask at once."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return list(names)
    shares: list[list[str]] = [[]] * distributed.get_world_size()
    distributed.all_gather_object(shares, list(names))
    return [name for share in shares for name in share]
