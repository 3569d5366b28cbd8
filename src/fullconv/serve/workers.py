"""Worker processes at one socket: one that dies is replaced, and signals are passed on."""

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

from fullconv.errors import SpecError
from fullconv.serve.metrics import FOLDER

log = logging.getLogger("fullconv.serve")
CANNOT_START = 3
"""The exit code of a worker that another one in its place would end with too."""
PAUSE = 1.0
"""Seconds at least between two workers in one place."""


def run_workers(work: Callable[[], None], count: int) -> None:
    """Run ``work``, which can be pickled, in so many processes until SIGTERM or Ctrl-C ends them.

    Raises
    ------
    SpecError
        When one cannot start.
    """
    with _counting_together():
        workers = _Workers(work, count)
        with _signals_to(workers):
            workers.run()


class _Workers:
    def __init__(self, work: Callable[[], None], count: int) -> None:
        self._work = work
        self._context = multiprocessing.get_context("spawn")  # torch's threads do not live through a fork
        self._is_stopping = False
        self._processes = [self._start() for _ in range(count)]

    def _start(self) -> BaseProcess:
        process = self._context.Process(target=self._work)
        with _no_hangup():
            process.start()
        return process

    def send(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on."""
        self._is_stopping |= number != getattr(signal, "SIGHUP", None)
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM if self._is_stopping else number)

    def run(self) -> None:
        failed = False
        while not self._is_stopping:
            wait([process.sentinel for process in self._processes], timeout=PAUSE)
            dead = [place for place, process in enumerate(self._processes) if not process.is_alive()]
            failed = any(self._processes[place].exitcode == CANNOT_START for place in dead)
            if failed:
                self.send(signal.SIGTERM, None)
            elif dead and not self._is_stopping:
                time.sleep(PAUSE)
                for place in dead:
                    log.error("a worker died (%s); another one takes its place", self._processes[place].exitcode)
                    self._processes[place] = self._start()
        for process in self._processes:
            process.join()
        if failed:
            raise SpecError("a worker could not start; the line before says why")


@contextlib.contextmanager
def _no_hangup() -> Iterator[None]:
    """Let SIGHUP do nothing, which a new process inherits: until it knows what to do with one, it would die of it."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def _signals_to(workers: _Workers) -> Iterator[None]:
    numbers = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, workers.send) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _counting_together() -> Iterator[None]:
    """Name a folder in which the workers' metrics meet."""
    folder = tempfile.mkdtemp(prefix="fullconv-metrics-")
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(folder, ignore_errors=True)
