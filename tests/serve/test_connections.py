"""Connections on which nothing moves are closed; those at work, and those that are being read, are not."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from fullconv.serve import process
from fullconv.serve.process import Connection

QUIET = 0.6
LARGE = 30_000_000
"""Bytes of an answer that do not fit into what the system keeps of a connection."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer after some time, with much."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(3 * QUIET if scope["path"] == "/late" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
    await send({"type": "http.response.body", "body": bytes(LARGE)})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server whose connections may be quiet for a short time only."""
    before, process.HEAD_SECONDS = process.HEAD_SECONDS, QUIET
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        running = uvicorn.Server(uvicorn.Config(application, http=Connection, ws="none", lifespan="off", log_config=None))
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        yield listening.getsockname()[1]
        running.should_exit = True
        thread.join()
    process.HEAD_SECONDS = before


def seconds_until_closed(port: int, start: bytes, piece: bytes = b"") -> float:
    """Send a beginning and then a piece again and again; return how long the server puts up with that."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=0.02) as connection, contextlib.suppress(OSError):
        connection.sendall(start)
        while time.monotonic() - begun < 60:
            with contextlib.suppress(TimeoutError):
                if not connection.recv(10):
                    break
            connection.sendall(piece)
    return time.monotonic() - begun


@pytest.mark.parametrize("start", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_whole(port: int, start: bytes) -> None:
    assert QUIET / 2 < seconds_until_closed(port, start) < 30
    if start:
        assert seconds_until_closed(port, start, b"x") < 30


def test_an_answer_that_nobody_takes(port: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(4 * QUIET)
        connection.settimeout(30)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(1_000_000):
                received += len(piece)
    assert received < LARGE


@pytest.mark.parametrize("path", ["/", "/late"])
def test_work_and_reading_that_go_on_are_left_alone(port: int, path: str) -> None:
    """An answer that takes long, and one that is taken slowly, both beyond the time for which nothing may move."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        received = 0
        while piece := connection.recv(1_000_000):
            received += len(piece)
            time.sleep(QUIET / 10)
    assert received > LARGE
