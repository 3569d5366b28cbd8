"""Worker processes that do no more than note what happens to them: ``python working.py FOLDER`` keeps two of them.

They are as light as that so that many can be started; the test of the process (``test_server``) has real ones.
"""

import functools
import os
import signal
import sys
import threading
from pathlib import Path

from fullconv.errors import SpecError
from fullconv.serve import workers
from fullconv.serve.metrics import FOLDER, Metrics

QUEUE = 5
"""What each worker says of its queue."""


def work(folder: Path, ready: workers.Ready) -> None:
    """Note signals until SIGTERM; while there is a file ``broken``, do not start."""
    if (folder / "broken").exists():
        note(folder, "broken")
        sys.exit(workers.CANNOT_START)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    signal.signal(signal.SIGHUP, lambda number, frame: note(folder, "reload"))
    metrics = Metrics(["net"])
    metrics.queue.set(QUEUE)
    workers.end_with_parent()
    ready.set()
    said = folder / f"{os.getpid()}.metrics"
    said.write_bytes(metrics.text())
    note(folder, "ready")
    while not stopping.wait(0.02):
        said.write_bytes(metrics.text())
    note(folder, "stopped")


def note(folder: Path, what: str) -> None:
    """Write down that something happened to this process, in a file of its own so that nothing is lost."""
    with (folder / f"{os.getpid()}.notes").open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


class Interrupted:
    """The same work, of which the process that keeps them gets SIGTERM while it hands it to the first worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, ready: workers.Ready) -> None:
        """Work."""
        work(self.folder, ready)

    def __getstate__(self) -> dict[str, Path]:
        os.kill(os.getpid(), signal.SIGTERM)
        return vars(self)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    workers.PAUSE, workers.LONG_PAUSE = 0.05, 0.1
    try:
        workers.run_workers(Interrupted(place) if (place / "interrupted").exists() else functools.partial(work, place), 2)
    except SpecError as error:
        sys.exit(str(error))
    assert FOLDER not in os.environ
