"""The service behind the addresses: an image's way from its bytes to its answer, and what is refused on the way.

The event loop counts and waits. Decoding and encoding run in one pool of threads, nets in threads of their own
(:mod:`fullconv.serve.batching`). Images wait as the files that came; only a few more than are computed at once are decoded ahead.
"""

import asyncio
import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.crf.mean_field import DEFAULT
from fullconv.data.images import picture_of
from fullconv.data.sample import RGB
from fullconv.errors import DataError, FullconvError, SpecError
from fullconv.inference.files import describe_way
from fullconv.inference.outputs import Result
from fullconv.inference.sources import as_array
from fullconv.serve.answers import SOURCE, WITH_PROBABILITIES, Answer, Format, Polygons, answer
from fullconv.serve.batching import Batcher, How, Work
from fullconv.serve.limits import Held, check_image, check_probabilities
from fullconv.serve.metrics import Metrics
from fullconv.serve.models import Model, Models
from fullconv.serve.problem import Problem
from fullconv.serve.security import read_tokens
from fullconv.serve.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")
LONGEST = 60
"""Seconds after which a refused client is told to come again, at most."""


class Wanted(NamedTuple):
    """What a request asks of an image."""

    model: str | None = None
    head: str | None = None
    format: Format = "png"
    polygons: Polygons | None = None
    refine: bool = False


class Segmented(NamedTuple):
    """An answer, the model's name, and the seconds since the image had come."""

    answer: Answer
    model: str
    seconds: float


class Service:
    """Models at work.

    Parameters
    ----------
    settings
        What is served, and how.
    on_failure
        Called when the models cannot be loaded at the start, from the thread that loads them.

    Raises
    ------
    FullconvError
        When a model's place or the tokens cannot be found.
    """

    def __init__(self, settings: Settings, on_failure: Callable[[FullconvError], None] = lambda error: None) -> None:
        self.settings, self.limits, self._on_failure = settings, settings.limits, on_failure
        self.metrics = Metrics(name for name, _ in settings.models)
        self.tokens = read_tokens(settings.tokens) if settings.tokens is not None else None
        self.models = Models(settings, lambda name, result: self.metrics.reloads.labels(name, result).inc())
        self.held = Held(self.limits.held)
        self.threads = settings.threads or default_threads()
        self._batcher = Batcher(self.threads, settings.batch, settings.wait, self._count_batch, pixels=self.limits.pixels)
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "decode")
        self._ahead = asyncio.Semaphore()  # of the right size once the models are there
        self._present = 0
        self._seconds = 0.1  # that an image takes, as lately seen
        self.is_ready = self.is_stopping = False
        self._ended = threading.Event()
        self._look = threading.Event()
        self._watcher = threading.Thread(target=self._load_and_watch, name="models", daemon=True)

    def load(self) -> None:
        """Load the models; images are taken from then on.

        Raises
        ------
        FullconvError
            When one cannot be loaded.
        """
        self.models.load()
        together = self.settings.batch or max(model.predictor.together for model in self.models.all())
        self._ahead = asyncio.Semaphore(2 * self.threads * together + 2)
        self.is_ready = True
        log.info("ready: %s", ", ".join(model.name for model in self.models.all()))

    def start(self) -> None:
        """Load the models, unless they are there, and watch their files from then on, in the background."""
        self._watcher.start()

    def stop(self) -> None:
        """Finish what was begun, and end all threads."""
        self.is_stopping = True
        self._ended.set()
        self._look.set()
        if self._watcher.ident is not None:
            self._watcher.join()
        self._batcher.close()
        self._pool.shutdown()

    def reload(self) -> None:
        """Look at the models' files now."""
        self._look.set()

    def _load_and_watch(self) -> None:
        try:
            if not self.is_ready:
                self.load()
        except FullconvError as error:
            self._on_failure(error)
            return
        while not self._ended.is_set():
            asked = self._look.wait(self.settings.watch)
            self._look.clear()
            if not self._ended.is_set():
                self.models.refresh(now=asked)

    def _count_batch(self, model: str, images: int) -> None:
        self.metrics.batch_images.labels(model).observe(images)

    def check_open(self) -> None:
        """Refuse requests while the service starts or stops.

        Raises
        ------
        Problem
            With the seconds after which to try again.
        """
        if self.is_stopping:
            raise Problem("stopping", "the service is stopping; another one may take its place", retry_after=5)
        if not self.is_ready:
            raise Problem("starting", "the models are still being loaded; try again in a moment", retry_after=2)

    def check_room(self) -> None:
        """Refuse an image while as many wait as may.

        Raises
        ------
        Problem
            With the seconds that they will take.
        """
        if self._present >= self.limits.queue:
            wait = math.ceil(self._present * self._seconds / self.threads)
            raise Problem(
                "busy",
                f"{self._present} images are waiting, as many as are taken; send this one again later",
                retry_after=min(max(wait, 1), LONGEST),
            )

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Keep a place for an image; errors as :meth:`check_room`."""
        self.check_room()
        self._present += 1
        self.metrics.queue.set(self._present)
        try:
            yield
        finally:
            self._present -= 1
            self.metrics.queue.set(self._present)

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Return what a function returns that would keep the event loop waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def segment(self, content: bytes, wanted: Wanted) -> Segmented:
        """Return the answer to an image file.

        Raises
        ------
        Problem
            When it cannot be answered, or not in time.
        """
        begun = time.monotonic()
        model = self.models.get(wanted.model)
        how = how_of(model, wanted)
        height, width = await self.in_thread(check_image, content, model.predictor.image, self.limits)
        if how.probabilities:
            check_probabilities(len(model.predictor.labels[how.head]), height, width, self.limits)
        try:
            async with asyncio.timeout(self.limits.seconds):
                with _failures():
                    found = await self._answer(content, model, how, wanted, begun)
        except TimeoutError as error:
            raise Problem(
                "too-late",
                f"there was no answer within {self.limits.seconds:g} seconds; send the image again later, or a smaller one",
                retry_after=min(math.ceil(self.limits.seconds), LONGEST),
            ) from error
        return Segmented(found, model.name, time.monotonic() - begun)

    async def _answer(self, content: bytes, model: Model, how: How, wanted: Wanted, begun: float) -> Answer:
        seconds = self.metrics.seconds
        async with self._ahead:
            waited = time.monotonic() - begun
            with self._timed("decode"):
                image = await self.in_thread(as_array, content, model.predictor.image)
            work = Work(model.name, model.predictor, {RGB: image}, how)
            found = await asyncio.wrap_future(self._batcher.submit(work))
            computed = time.monotonic() - work.started
            seconds.labels("wait").observe(waited + work.started - work.arrived)
            seconds.labels("compute").observe(computed)
            self._seconds += 0.1 * (computed - self._seconds)
        way = describe_way(model.predictor, how.head, how.crf) + model.told
        with self._timed("encode"):
            # of an overlay the picture; other formats do not look at it
            picture = await self.in_thread(picture_of, image) if wanted.format == "overlay" else _NOTHING
            result = Result(SOURCE, picture, found, way)
            return await self.in_thread(answer, result, wanted.format, model.name, how.head, wanted.polygons)

    @contextlib.contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.metrics.seconds.labels(phase).observe(time.monotonic() - begun)


_NOTHING: NDArray[np.uint8] = np.zeros((1, 1, 3), np.uint8)


def default_threads() -> int:
    """Return how many nets are computed at the same time where nobody says: one for two cores, and at least two on two."""
    cores = torch.get_num_threads()
    return max(min(cores, 2), cores // 2)


def how_of(model: Model, wanted: Wanted) -> How:
    """Return what a request asks of a model.

    Raises
    ------
    Problem
        When the model has no such output, or what is asked for does not go together.
    """
    if wanted.polygons is not None and wanted.format != "json":
        raise Problem("bad-request", f"polygons stand in JSON; ask for format=json, not {wanted.format}")
    try:
        head = model.predictor.head(wanted.head)
    except SpecError as error:
        raise Problem("not-found", f"the model has no such head; it has {', '.join(model.predictor.labels)}") from error
    if wanted.refine and model.predictor.threshold is not None:
        raise Problem("bad-request", "this model has a threshold, and a CRF finds the most probable labels; leave out refine")
    return How(head, wanted.format in WITH_PROBABILITIES, DEFAULT if wanted.refine else None)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Turn what the library raises of an image into a problem; what is wrong with a model stays in the log."""
    try:
        yield
    except DataError as error:
        raise Problem("unreadable", str(error)) from error
    except MemoryError as error:
        raise Problem("unreadable", "no memory for an image of this size; cut it into parts or shrink it") from error
    except FullconvError as error:
        log.error("a model failed: %s", error)
        raise Problem("failed", "the model cannot be used; its keeper finds the reason in the service's log") from error
