"""Images of one size go through a net together, in threads that do nothing else.

Cores are shared out anew for every batch: an image that is alone is computed by all of them, and where images wait, each thread
takes the same number. Many nets on one core each get more done than one net on many, whose parts wait for each other.

Images that are computed at the same time have together no more pixels than one may have, so that several large ones take no more
memory than one does.

Only images of equal size meet, so nothing is padded and an image's labels do not depend on its company (beyond rounding; on a CPU
images go one at a time, as that is faster, and labels are those of ``fullconv predict`` to the last bit).
"""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.crf.mean_field import CRFSpec
from fullconv.data.sample import RGB
from fullconv.errors import DataError
from fullconv.inference.predictor import Predictor
from fullconv.inference.segmentation import Segmentation


@dataclass(frozen=True)
class How:
    """What is wanted of an image: arguments of :meth:`fullconv.Predictor.predict_batch`."""

    head: str
    probabilities: bool = False
    crf: CRFSpec | None = None


@dataclass(eq=False)
class Work:
    """An image that waits.

    Attributes
    ----------
    model
        Its name, for the metrics.
    predictor
        The model; it stays the same when the model is loaded again meanwhile.
    inputs
        What the model reads, (H, W, C) by input.
    how
        What is wanted.
    future
        Gets the result; when it is cancelled before its turn, nothing is computed.
    arrived
        On the clock of ``time.monotonic``.
    started
        When it was its turn.
    """

    model: str
    predictor: Predictor
    inputs: Mapping[str, NDArray[np.generic]]
    how: How
    future: "Future[Segmentation]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)
    started: float = 0.0

    @property
    def bucket(self) -> Hashable:
        """What images must have in common to go together."""
        return id(self.predictor), self.how.head, self.how.probabilities, self.how.crf is None, self.inputs[RGB].shape

    @property
    def pixels(self) -> int:
        """How many it has."""
        height, width = self.inputs[RGB].shape[:2]
        return height * width


class Batcher:
    """Threads that take waiting images in their order, with those of one size behind them.

    Parameters
    ----------
    threads
        How many compute at the same time.
    most
        Images that go together; ``None`` for what each model's device is best at.
    wait
        Seconds that an image waits at most for others.
    on_batch
        Called with a model's name and the number of images of each batch.
    cores
        That the threads share; as many as PyTorch has by default.
    pixels
        That images have together at most which are computed at the same time; one that has more is computed alone.
    """

    def __init__(
        self,
        threads: int,
        most: int | None = None,
        wait: float = 0.005,
        on_batch: Callable[[str, int], None] = lambda model, images: None,
        cores: int | None = None,
        pixels: float = math.inf,
    ) -> None:
        self._most, self._wait, self._on_batch = most, wait, on_batch
        self._cores, self._busy = cores or torch.get_num_threads(), 0
        self._pixels, self._taken = pixels, 0
        self._waiting: deque[Work] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name=f"compute-{k}", daemon=True) for k in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work) -> "Future[Segmentation]":
        """Return the future of an image, which waits from now on."""
        with self._change:
            self._waiting.append(work)
            self._change.notify_all()
        return work.future

    def close(self) -> None:
        """Compute what waits, then end the threads."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._next():
            taken = sum(work.pixels for work in batch)
            batch = [work for work in batch if work.future.set_running_or_notify_cancel()]
            if batch:
                self._on_batch(batch[0].model, len(batch))
                with self._cores_of_one():
                    _compute(batch)
            batch.clear()  # or the last images would stay in memory until the next come
            with self._change:
                self._taken -= taken
                self._change.notify_all()

    @contextlib.contextmanager
    def _cores_of_one(self) -> Iterator[None]:
        """Let this thread compute with its part of the cores."""
        with self._change:
            self._busy += 1
            at_work = min(self._busy + len(self._waiting), len(self._threads))
        torch.set_num_threads(max(1, self._cores // at_work))  # of this thread
        try:
            yield
        finally:
            with self._change:
                self._busy -= 1

    def _next(self) -> list[Work]:
        """Return the next images to compute, once there are some and room for them; an empty list when there will be no more."""
        with self._change:
            while not self._waiting or not self._has_room(self._waiting[0]):
                if self._closed and not self._waiting:
                    return []
                self._change.wait()
            first = self._waiting.popleft()
            batch = [first]
            self._taken += first.pixels
            most = self._most or first.predictor.together
            while True:
                self._add_alike(batch, most)
                left = first.arrived + self._wait - time.monotonic()
                if len(batch) >= most or left <= 0 or self._closed:
                    return batch
                self._change.wait(left)

    def _has_room(self, work: Work) -> bool:
        return not self._taken or self._taken + work.pixels <= self._pixels

    def _add_alike(self, batch: list[Work], most: int) -> None:
        bucket = batch[0].bucket
        for work in [work for work in self._waiting if work.bucket == bucket][: most - len(batch)]:
            if self._has_room(work):
                self._waiting.remove(work)
                batch.append(work)
                self._taken += work.pixels


def _compute(batch: list[Work]) -> None:
    """Give every image of a batch its result, or what is wrong."""
    first = batch[0]
    for work in batch:
        work.started = time.monotonic()
    try:
        how = first.how
        found = first.predictor.predict_batch([work.inputs for work in batch], how.head, how.probabilities, how.crf)
    except DataError as error:
        if len(batch) > 1:  # alone they may fit into memory
            for work in batch:
                _compute([work])
        else:
            first.future.set_exception(error)
    except BaseException as error:  # whatever it is, somebody waits for it
        for work in batch:
            work.future.set_exception(error)
    else:
        for work, each in zip(batch, found, strict=True):
            work.future.set_result(each)
