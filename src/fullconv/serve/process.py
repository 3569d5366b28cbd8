"""One process that serves: its connections, its signals, and the service in it.

It is imported once the process listens (:mod:`fullconv.serve.server`), as it takes a second or two with all that it needs.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from types import FrameType

import torch
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from fullconv.errors import FullconvError
from fullconv.serve.app import create_app
from fullconv.serve.service import Service
from fullconv.serve.settings import Settings
from fullconv.serve.workers import Ready

HEAD_SECONDS = 15.0
"""In which a request's head has to come, and a client has to take something of an answer that waits for it."""


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


def serve_one(settings: Settings, listening: socket.socket, workers: int = 1, ready: Ready | None = None) -> None:
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


def _share_cores(workers: int) -> None:
    """Give each of so many processes the same number of cores."""
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
