"""Ctrl-C and SIGTERM: finish the step, save, say how to go on."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


WAITING = "stopped while waiting for images"


class Interrupted(KeyboardInterrupt):
    """Training was stopped from outside and can go on; the message says how. A command exits with 130."""


class Stopped(BaseException):
    """Training leaves its loop because that was asked for; Lightning would exit on a KeyboardInterrupt.

    No :class:`Exception`: nothing went wrong, and what reads an image and explains its errors must let it pass.
    """


class StopRequest:
    """Whether somebody asked for the end; the second time ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self.alone = True  # of several processes none may leave before the others
        self._idle = False

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._idle and self.alone:
            raise Stopped(WAITING)

    @contextlib.contextmanager
    def idle(self) -> Iterator[None]:
        """Let a signal raise :class:`Stopped` at once: nothing is under way but waiting, perhaps for ever."""
        if self.asked and self.alone:
            raise Stopped(WAITING)
        self._idle = True
        try:
            yield
        finally:
            self._idle = False

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
