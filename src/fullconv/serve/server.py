"""The process of a service: its socket, its signals, its log, and further processes where more than one serve.

This belongs to ``fullconv serve``, which has the process to itself: it sets signals, torch's threads and the limit of open files.
"""

import asyncio
import contextlib
import dataclasses
import functools
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from fullconv.errors import FullconvError, SpecError
from fullconv.serve.app import create_app
from fullconv.serve.service import Service
from fullconv.serve.settings import Settings
from fullconv.serve.workers import CANNOT_START, Ready, end_with_parent, run_workers

log = logging.getLogger("fullconv.serve")
HEAD_SECONDS = 15.0
"""In which a request's head has to come, and a client has to take something of an answer that waits for it."""
BACKLOG = 2048
"""Connections that wait to be accepted."""
FILES = 8192
"""Files and connections that the process may have open, where the system lets it."""


class Connection(H11Protocol):
    """A connection that is closed when nothing moves on it: slow clients must not use up what there is for all.

    While a request's body comes or its answer is made, the service's own limits hold. Besides, a head has to come whole, and what
    was answered has to be taken.
    """

    _is_lost = False
    _quiet = 0.0
    _unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the class above
        """Begin to look whether something moves."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS / 5, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._is_lost = True
        super().connection_lost(exc)

    def _look(self) -> None:
        if self._is_lost:
            return
        unsent = self.transport.get_write_buffer_size()
        at_work = self.cycle is not None and not self.cycle.response_complete and not unsent
        taken = unsent < self._unsent
        self._quiet = 0.0 if at_work or taken else self._quiet + HEAD_SECONDS / 5
        self._unsent = unsent
        if self._quiet >= HEAD_SECONDS:
            self.transport.abort()
        else:
            self.loop.call_later(HEAD_SECONDS / 5, self._look)


class Server(uvicorn.Server):
    """A server that drains on SIGTERM and Ctrl-C, and looks at the models' files on SIGHUP."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self.failure: FullconvError | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more requests, and answer those that are there."""
        self._service.is_stopping = True
        super().handle_exit(sig, frame)

    def fail(self, error: FullconvError) -> None:
        """End, as there are no models to serve."""
        self.failure, self.should_exit = error, True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals for the time of a ``with``; what was asked for by one has then been done, so it is not raised again."""
        handlers = {signal.SIGTERM: self.handle_exit, signal.SIGINT: self.handle_exit}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        with _reload_on_hangup(self._service):
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)


def run(settings: Settings, host: str, port: int, workers: int = 1) -> None:
    """Serve until a signal ends it.

    Parameters
    ----------
    settings
        What is served, and how.
    host, port
        Where it listens; port 0 takes one that is free.
    workers
        Processes that share the socket, each with models of its own.

    Raises
    ------
    FullconvError
        When the port is taken, or a model cannot be loaded.
    """
    _allow_files()
    with _listen(host, port) as listening:
        set_up_log()
        log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, listening.getsockname()[1])
        if workers == 1:
            _run_one(settings, listening)
        else:
            with tempfile.TemporaryDirectory(prefix="fullconv-weights-", ignore_cleanup_errors=True) as folder:
                shared = dataclasses.replace(settings, shared=Path(folder))
                run_workers(functools.partial(_work, shared, listening, workers), workers)
        log.info("stopped")


def _run_one(settings: Settings, listening: socket.socket, workers: int = 1, ready: Ready | None = None) -> None:
    """Serve in this process, as one of so many."""
    _share_cores(workers)
    server: Server | None = None

    def fail(error: FullconvError) -> None:
        if server is not None:
            server.fail(error)

    service = Service(settings, fail)
    if ready is not None:
        service.load()  # before it takes what another worker could answer at once
        ready.set()
    server = Server(_config(settings, create_app(service)), service)
    server.run([listening])
    if server.failure is not None:
        raise server.failure


def _work(settings: Settings, listening: socket.socket, workers: int, ready: Ready) -> None:
    """Serve in a worker process."""
    set_up_log()
    end_with_parent()
    _allow_files()
    try:
        _run_one(settings, listening, workers, ready)
    except FullconvError as error:
        log.error("error: %s", error)
        sys.exit(CANNOT_START)


def _config(settings: Settings, app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.limits.connections,
        timeout_graceful_shutdown=round(settings.limits.seconds + settings.limits.receive_seconds),
        h11_max_incomplete_event_size=16 * 1024,
    )


@contextlib.contextmanager
def _reload_on_hangup(service: Service) -> Iterator[None]:
    if not hasattr(signal, "SIGHUP"):  # Windows has none
        yield
        return
    before = signal.signal(signal.SIGHUP, lambda number, frame: service.reload())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _listen(host: str, port: int) -> socket.socket:
    with contextlib.ExitStack() as on_error:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            found = on_error.enter_context(socket.socket(family, socket.SOCK_STREAM))
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, port))
            found.listen(BACKLOG)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SpecError(f"cannot listen on {host}:{port}: {reason}; give another --host or --port") from error
        found.setblocking(False)
        found.set_inheritable(True)
        on_error.pop_all()
        return found


def _share_cores(workers: int) -> None:
    """Give each of so many processes the same number of cores."""
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


def set_up_log() -> None:
    """Write the log to standard error: time, level, text. Its lines hold no query, no token and nothing of an image."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    log.setLevel(logging.INFO)


def _allow_files() -> None:
    """Let the process have as many connections as it takes; the system's usual limit of 1024 files is less."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
