"""One process at a time in a folder: two that train in the same one would write over each other."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from fullconv.errors import FullconvError


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process while the block runs; the folder is made when it is not there.

    The lock is one of the system's on the hidden file ``.lock``, so it ends with the process, however that ends, and the
    file that stays behind means nothing.

    Raises
    ------
    FullconvError
        When another process holds the folder, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with alone_in(folder), alone_in(folder):
    ...     pass
    Traceback (most recent call last):
    fullconv.errors.FullconvError: ... is in use by another process; wait for it, stop it, or choose another --out
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", blocking=False)
        lock.acquire()
    except Timeout:
        raise FullconvError(f"{folder} is in use by another process; wait for it, stop it, or choose another --out") from None
    except OSError as error:
        raise FullconvError(f"cannot write {folder}: {error.strerror or error}; choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Return whether a process holds ``folder`` by :func:`alone_in` now; nothing is made or waited for.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with alone_in(folder):
    ...     is_held(folder)
    True
    >>> is_held(folder)
    False
    """
    path = folder / ".lock"
    if not path.exists():
        return False
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a folder that may only be read: whoever trains there is not us
        return False
    lock.release()
    return False
