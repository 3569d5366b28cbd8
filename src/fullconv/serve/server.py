"""``fullconv serve``: its socket, its log, and further processes where more than one serve.

This belongs to the command, which has the process to itself: it sets the log and the limit of open files. It listens before it
imports what serves (:mod:`fullconv.serve.process`): a port that is taken is told of at once, clients wait meanwhile instead of
being turned away, and a process that only keeps workers never imports it.
"""

import contextlib
import dataclasses
import functools
import gc
import logging
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fullconv.errors import FullconvError, SpecError
from fullconv.serve.settings import Settings
from fullconv.serve.workers import CANNOT_START, Ready, end_with_parent, no_hangup, run_workers

log = logging.getLogger("fullconv.serve")
BACKLOG = 2048
"""Connections that wait to be accepted."""
FILES = 8192
"""Files and connections that the process may have open, where the system lets it."""


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
    with contextlib.suppress(KeyboardInterrupt):  # one that comes before what serves is imported and answers to it
        _allow_files()
        with _listen(host, port) as listening:
            set_up_log()
            log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, listening.getsockname()[1])
            _run(settings, listening, workers)
    log.info("stopped")


def _run(settings: Settings, listening: socket.socket, workers: int) -> None:
    if workers == 1:
        with no_hangup():  # it asks for the models' files to be looked at, and until they are loaded none need be
            _serve(settings, listening)
    else:
        with tempfile.TemporaryDirectory(prefix="fullconv-weights-", ignore_cleanup_errors=True) as folder:
            shared = dataclasses.replace(settings, shared=Path(folder))
            run_workers(functools.partial(_work, shared, listening, workers), workers)


def _serve(settings: Settings, listening: socket.socket, workers: int = 1, ready: Ready | None = None) -> None:
    with _no_search_for_garbage():
        from fullconv.serve.process import serve_one
    serve_one(settings, listening, workers, ready)


@contextlib.contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Keep Python from looking for garbage while it imports: next to all objects stay, and it took a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _work(settings: Settings, listening: socket.socket, workers: int, ready: Ready) -> None:
    """Serve in a worker process."""
    set_up_log()
    end_with_parent()
    _allow_files()
    try:
        _serve(settings, listening, workers, ready)
    except (FullconvError, OSError) as error:  # the second where a full disk takes no file to count in
        log.error("error: %s", error)
        sys.exit(CANNOT_START)


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
