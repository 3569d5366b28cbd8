"""What training changes of the process that it runs in, and puts back."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

import torch

_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def process_kept(cuda: bool) -> Iterator[None]:
    """Put back random generators, warning filters and the levels of Lightning's loggers afterwards.

    They belong to the whole process, so trainings that are started in several threads take turns.

    Parameters
    ----------
    cuda
        Whether the generators of GPUs are used.
    """
    devices = range(torch.cuda.device_count()) if cuda or torch.cuda.is_initialized() else ()
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices), warnings.catch_warnings(), _quiet_lightning():
        # Lightning 2.6 still uses a name that torch 2.11 and later have deprecated
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        # mlflow 3 declares its tables in a way that SQLAlchemy 2.1 has deprecated
        warnings.filterwarnings("ignore", r"The ``noload`` loader strategy is deprecated", DeprecationWarning)
        yield


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
