"""What the service tells Prometheus about itself.

Several worker processes count together where ``PROMETHEUS_MULTIPROC_DIR`` names a folder before this is imported, as
``fullconv serve --workers`` sees to.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from fullconv.errors import SpecError
from fullconv.serve.problem import KINDS

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
IMAGES = (1, 2, 4, 8, 16, 32)
PHASES = ("receive", "wait", "decode", "compute", "encode")
"""receive: the body comes; wait: for a place and for a batch; decode; compute, refinement included; encode the answer."""


class Metrics:
    """The numbers of one service, whose models are called so."""

    def __init__(self, models: Iterable[str] = ()) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("fullconv_requests", "Requests that were answered", ["route", "status"], registry=self._registry)
        self.seconds = Histogram(
            "fullconv_phase_seconds", "Seconds of an image's way", ["phase"], buckets=SECONDS, registry=self._registry
        )
        self.batch_images = Histogram(
            "fullconv_batch_images", "Images that went through a net together", ["model"], buckets=IMAGES, registry=self._registry
        )
        self.refusals = Counter("fullconv_refusals", "Requests that were refused", ["problem"], registry=self._registry)
        self.reloads = Counter("fullconv_reloads", "Models that were loaded again", ["model", "result"], registry=self._registry)
        self.queue = self._gauge("fullconv_queue", "Images that wait or are computed")
        self.held = self._gauge("fullconv_held_bytes", "Bytes of image files in memory")
        self.memory = self._gauge("fullconv_memory_bytes", "Memory of the process (resident set)")
        for phase in PHASES:
            self.seconds.labels(phase)
        for kind in KINDS:
            self.refusals.labels(kind)
        for model in models:
            self.batch_images.labels(model)
        if FOLDER in os.environ:
            take_room(Path(os.environ[FOLDER]))

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, registry=self._registry, multiprocess_mode="livesum")

    def text(self) -> bytes:
        """Return all of them in Prometheus's text format, of all worker processes."""
        self.memory.set(resident_bytes())
        registry = self._registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)


def take_room(folder: Path) -> None:
    """Have the disk keep all bytes of the files in which this process counts.

    They are mapped into memory, and on a disk that is full the system would end the process when it writes to bytes that are not
    there yet.

    Raises
    ------
    SpecError
        When there is no room for them.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        for path in folder.glob(f"*_{os.getpid()}.db"):
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise SpecError(f"no room in {folder} for the numbers of a worker ({error.strerror}); some MB do") from error


def resident_bytes() -> int:
    """Return how much memory this process has in use; 0 where the system does not say (it is read from Linux's ``/proc``)."""
    if sys.platform != "linux":
        return 0
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
