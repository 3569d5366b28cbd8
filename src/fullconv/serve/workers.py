"""Worker processes at one socket: one that dies is replaced, and signals are passed on."""

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event as Ready
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead

from fullconv.errors import SpecError
from fullconv.serve.metrics import FOLDER

log = logging.getLogger("fullconv.serve")
CANNOT_START = 3
"""The exit code of a worker that another one in its place would end with too."""
PAUSE = 1.0
"""Seconds at least between two workers in one place."""
LONG_PAUSE = 5.0
"""The same where the one before could not start."""


def run_workers(work: Callable[[Ready], None], count: int) -> None:
    """Run ``work``, which can be pickled, in so many processes until SIGTERM or Ctrl-C ends them.

    ``work`` gets an event to set once it serves. While none has, one that cannot start ends all. Later on the others go on
    meanwhile, and it is tried again: the reason may pass, such as a model's file that is being replaced, or a disk that is full.

    Raises
    ------
    SpecError
        When one cannot start.
    """
    with _counting_together():
        workers = _Workers(work, count)
        with _signals_to(workers):
            workers.run()


def end_with_parent() -> None:
    """Have this worker end, as on SIGTERM, when the process that started it is gone and can replace nobody any more."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            log.error("the process that keeps the workers is gone; this one ends too")
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class _Workers:
    def __init__(self, work: Callable[[Ready], None], count: int) -> None:
        self._work = work
        self._context = multiprocessing.get_context("spawn")  # torch's threads do not live through a fork
        self._ready = self._context.Event()
        self._is_stopping = False
        self._count = count
        self._processes: list[BaseProcess] = []

    def _start(self, place: int) -> None:
        process = self._context.Process(target=self._work, args=(self._ready,))
        with no_hangup():
            process.start()
        self._processes[place : place + 1] = [process]
        if self._is_stopping:  # a signal that came meanwhile has not been passed on to it
            process.terminate()

    def send(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on."""
        self._is_stopping |= number != getattr(signal, "SIGHUP", None)
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM if self._is_stopping else number)

    def run(self) -> None:
        """Start the processes, and keep as many until a signal that was passed on ends them."""
        failed = False
        for place in range(self._count):
            if not self._is_stopping:
                self._start(place)
        while not self._is_stopping:
            wait([process.sentinel for process in self._processes], timeout=PAUSE)
            dead = [place for place, process in enumerate(self._processes) if not process.is_alive()]
            cannot_start = any(self._processes[place].exitcode == CANNOT_START for place in dead)
            if cannot_start and not self._ready.is_set():
                failed = True
                self.send(signal.SIGTERM, None)
            elif dead and not self._is_stopping:
                time.sleep(LONG_PAUSE if cannot_start else PAUSE)
                for place in dead:
                    self._replace(place)
        for process in self._processes:
            process.join()
        if failed:
            raise SpecError("a worker could not start; the line before says why")

    def _replace(self, place: int) -> None:
        gone = self._processes[place]
        if not self._is_stopping:  # since the pause began
            log.error("a worker died (%s); another one takes its place", gone.exitcode)
            mark_process_dead(gone.pid)  # it has no queue and no memory any more
            self._start(place)


@contextlib.contextmanager
def no_hangup() -> Iterator[None]:
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
