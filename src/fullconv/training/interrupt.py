"""Ctrl-C and SIGTERM: finish the step, save, say how to go on."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
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
    """Whether somebody asked for the end, by a signal or because ``stop_when`` says so; a second signal ends at once."""

    def __init__(self, stop_when: Callable[[], bool] = lambda: False) -> None:
        self._signalled, self._stop_when = False, stop_when
        self.alone = True  # of several processes none may leave before the others
        self._idle = False

    @property
    def asked(self) -> bool:
        """Whether training shall save and end."""
        return self._signalled or self._stop_when()

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
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
def listening(stop_when: Callable[[], bool] = lambda: False) -> Iterator[StopRequest]:
    """Yield a :class:`StopRequest` that the signals reach; afterwards they do what they did before."""
    request = StopRequest(stop_when)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    request.listen()
    try:
        yield request
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
