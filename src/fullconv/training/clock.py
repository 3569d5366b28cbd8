"""How far a stage is, in steps or in seconds, and how long it waited for images."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from fullconv.training.interrupt import StopRequest

Item = TypeVar("Item")
ENDLESS = 2**40
"""Steps of a stage that ends by the clock: more than any has."""


class StageClock:
    """The length of a stage and what has passed of it.

    Parameters
    ----------
    steps
        Of the stage; ``None`` when it ends after ``seconds``.
    seconds
        That it trains, with the measurements between its steps.
    request
        Whether somebody asked for the end: who does while the stage waits for images need not wait.

    Attributes
    ----------
    used
        Seconds so far, with measurements; of several processes the same in each.
    training, waiting
        Seconds of steps alone, and of those the seconds spent waiting for images.
    """

    def __init__(self, steps: int | None, seconds: float | None = None, request: StopRequest | None = None) -> None:
        self.steps, self.seconds, self.request = steps, seconds, request or StopRequest()
        self.used = self.training = self.waiting = 0.0
        self._tick = time.monotonic()

    @property
    def limit(self) -> int:
        """The steps, or more than there will ever be."""
        return ENDLESS if self.steps is None else self.steps

    def start(self) -> None:
        """Begin to count, now."""
        self._tick = time.monotonic()

    def count(self, training: bool) -> float:
        """Add the time since the last call, and return it."""
        now = time.monotonic()
        passed, self._tick = max(now - self._tick, 1e-9), now
        self.used += passed
        if training:
            self.training += passed
        return passed

    def fraction(self, step: int) -> float:
        """Return the share of the stage that is over before ``step`` (counted from 0), in 0..1."""
        return step / self.steps if self.steps else min(1.0, self.used / (self.seconds or 1.0))

    def over(self, step: int) -> bool:
        """Return whether the stage ends after ``step`` steps."""
        return self.fraction(step) >= 1

    def told(self, step: int) -> str:
        """Return where the stage is, such as ``step 3 of 10`` or ``step 3, 20 of 60 s``."""
        return f"step {step} of {self.steps}" if self.steps else f"step {step}, {self.used:.0f} of {self.seconds:.0f} s"

    def waited(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Yield ``batches``, and count how long each is waited for.

        Raises
        ------
        Stopped
            When the end is asked for meanwhile.
        """
        source = iter(batches)
        while True:
            begin = time.monotonic()
            with self.request.idle():
                try:
                    batch = next(source)
                except StopIteration:
                    return
            self.waiting += time.monotonic() - begin
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed stage goes on counting from."""
        return {"used": self.used, "seconds": self.training, "waiting": self.waiting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up :meth:`state_dict`; an older version's has the seconds alone."""
        self.training = state["seconds"]
        self.used, self.waiting = state.get("used", self.training), state.get("waiting", 0.0)
