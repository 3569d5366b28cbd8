"""Ctrl-C and SIGTERM: finish the step, save, say how to go on."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Training was stopped from outside and can go on; the message says how. A command exits with 130."""


class Stopped(Exception):  # noqa: N818  # nothing went wrong
    """Training has saved and left its loop because that was asked for; Lightning would exit on a KeyboardInterrupt."""


class StopRequest:
    """Whether somebody asked for the end; the second time ends at once."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def listen(self) -> None:
        """Take the signals; again where a library has taken them meanwhile."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.ask)


@contextlib.contextmanager
def listening() -> Iterator[StopRequest]:
    """Yield a :class:`StopRequest` that the signals reach; afterwards they do what they did before."""
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    request.listen()
    try:
        yield request
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
