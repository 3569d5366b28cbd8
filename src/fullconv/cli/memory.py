"""A limit on memory, so that a picture that is too large is refused instead of the system killing the process."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def no_more_than_free() -> Iterator[None]:
    """Let the process take no more memory than was free at the start; beyond, allocations fail and can be handled.

    Linux lends more than it has and ends a process that uses it, without a word. Elsewhere, and where a limit is set
    already, nothing is done.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    if before[0] == resource.RLIM_INFINITY:
        limit = _kilobytes("/proc/self/status", "VmData") + _kilobytes("/proc/meminfo", "MemAvailable")
        resource.setrlimit(resource.RLIMIT_DATA, (limit * 1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _kilobytes(path: str, key: str) -> int:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
