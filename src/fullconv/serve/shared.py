"""Weights that worker processes share: one of them writes a net as it lies in memory, and all map that file.

The pages of a mapped file are in memory once, however many processes read them. What a process makes of the weights for itself
is not shared: on x86 processors a copy in the layout of oneDNN, once it has computed its first image. The file is a copy in a
folder of the service, so nothing that happens to the model's own file touches it.
"""

import contextlib
import gc
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock

from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.predictor import Predictor

log = logging.getLogger(__name__)


def shared(load: Callable[[], Predictor], folder: Path, name: str, version: str) -> Predictor:
    """Return a predictor whose weights are mapped from a file in ``folder``, which is written unless another process has done so.

    Of engines other than ``eager``, of devices other than the CPU, and where the disk has no room for the file, what ``load``
    returns is returned as it is.

    Parameters
    ----------
    load
        Returns the predictor with weights of its own.
    folder
        That the processes share, and nobody else can write to.
    name, version
        Of the model, and of its file; files of the model's other versions are removed.
    """
    file = folder / f"{name}@{version}.pt"
    with FileLock(folder / f"{name}.lock"):
        if not file.exists():
            predictor = load()
            if not isinstance(predictor.engine, EagerEngine) or predictor.device.type != "cpu":
                return predictor
            if not _write(predictor, file):
                return predictor
            for old in folder.glob(f"{name}@*"):
                if old != file:
                    old.unlink()  # processes that have mapped it keep it
            del predictor
            gc.collect()  # a net's parts know each other, so its own weights would stay in memory for long
        # the file is the one that a process of this service has written: nothing else is ever unpickled
        found = torch.load(file, mmap=True, weights_only=False)
    assert isinstance(found, Predictor)
    return found


def _write(predictor: Predictor, file: Path) -> bool:
    """Write a predictor, the whole of it or nothing; return whether it could be written."""
    part = file.with_name(f"part-{file.name}")
    try:
        torch.save(predictor, part)
        part.replace(file)
    except (OSError, RuntimeError) as error:  # the second is what torch makes of a full disk
        with contextlib.suppress(OSError):
            part.unlink()
        log.warning(
            "no room in %s for weights that processes share, each keeps its own: %s", file.parent, str(error).split("\n")[0]
        )
        return False
    return True
