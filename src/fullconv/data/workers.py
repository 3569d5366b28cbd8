"""Processes that read images: how they hand batches over, and one line for every way in which that fails."""

import contextlib
import math
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from fullconv.data.sample import Dataset, Sample
from fullconv.errors import DataError, FullconvError, SpecError

SHARED_MEMORY = Path("/dev/shm")
ENOUGH = "data.workers: 0 reads in the training process and needs none; a container gets more by `docker run --shm-size=8g`"
ASKED_TO_END = ("Terminated", "Interrupt", "Hangup")
"""What torch calls the signals by which somebody ends a whole group of processes."""


class ReaderEndedError(DataError):
    """A process that reads images has ended before its work.

    Attributes
    ----------
    asked
        Whether it was ended by a signal that people send, such as SIGTERM to the whole group.
    """

    def __init__(self, message: str, asked: bool) -> None:
        super().__init__(message)
        self.asked = asked


def hand_over(batch: Mapping[str, Any]) -> None:
    """Put the tensors of a batch into shared memory, in place, where this is a process that reads for another.

    The queue between the two would do so itself, but in a thread whose failure nobody hears of: the other waits for ever.

    Raises
    ------
    DataError
        When there is too little of it.
    """
    if torch.utils.data.get_worker_info() is None:
        return
    tensors = list(_tensors(batch))
    try:
        for tensor in tensors:
            tensor.share_memory_()
    except (RuntimeError, OSError) as error:
        size = math.ceil(sum(tensor.nbytes for tensor in tensors) / 2**20)
        raise DataError(
            f"a process that reads images cannot hand a batch of {size:.0f} MB over through shared memory{_room()}: "
            f"{' '.join(str(error).split())}; {ENOUGH}"
        ) from error


def _tensors(batch: Mapping[str, Any]) -> Iterator[Tensor]:
    for value in batch.values():
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping):
            yield from _tensors(value)


def _room() -> str:
    with contextlib.suppress(OSError):
        found = shutil.disk_usage(SHARED_MEMORY)
        return f" ({SHARED_MEMORY} has {found.total / 2**20:.0f} MB, {found.free / 2**20:.0f} MB free)"
    return ""


class Named:
    """``dataset``, whose samples are told by their place where reading one fails in a way that nobody foresaw."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        with named(self.dataset, index):
            return self.dataset[index]


@contextlib.contextmanager
def named(dataset: Dataset, index: int) -> Iterator[None]:
    """Turn what goes wrong with a sample into one line that tells which it is; our own errors name their file already."""
    try:
        yield
    except (FullconvError, IndexError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise DataError(
            f"cannot read image {index} of {dataset.name} (counted from 0): {type(error).__name__}: {reason}"
        ) from error


def leave_ctrl_c_to_the_other(worker: int) -> None:
    """Ignore Ctrl-C in a process that reads, which a terminal sends to all; the one that it reads for ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _WhileWaiting:
    """torch's handler of ended processes, which raises while a batch is waited for, and not in the middle of a step or a file."""

    waiting = False

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        try:
            self.handler(signum, frame)
        except RuntimeError as error:
            if self.waiting or "DataLoader worker" not in str(error):
                raise


def waited(batches: Iterator[Any], processes: Sequence[BaseProcess]) -> Iterator[Any]:
    """Yield batches that other processes read; that one of them has ended is heard of while a batch is waited for.

    torch raises as soon as it ends, wherever the program is then: in a step that is left half done, or while a file is written.

    Raises
    ------
    RuntimeError
        When one has ended before its work.
    """
    handler = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    if callable(handler) and not isinstance(handler, _WhileWaiting) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, _WhileWaiting(handler))
    while True:
        _WhileWaiting.waiting = True
        try:
            if any(process.exitcode for process in processes):
                raise RuntimeError("DataLoader worker exited unexpectedly")
            batch = next(batches)
        except StopIteration:
            return
        finally:
            _WhileWaiting.waiting = False
        yield batch


@contextlib.contextmanager
def one_line(processes: Sequence[BaseProcess] = ()) -> Iterator[None]:
    """Turn what a reading process hands over as its error into one line; ``processes`` are those that read.

    Raises
    ------
    DataError, SpecError
        With the last line of the whole traceback that the process sends.
    ReaderEndedError
        When it ended; by which signal, and what usually sends that.
    """
    try:
        yield
    except (DataError, SpecError) as error:
        kind = SpecError if isinstance(error, SpecError) else DataError
        raise kind(str(error).rstrip().splitlines()[-1].removeprefix(f"{kind.__module__}.{kind.__name__}: ")) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or "Caught " in str(error):
            raise
        # torch tells the signal only while its own handler of ended processes is in place
        codes = [-(process.exitcode or 0) for process in processes]
        told = next((f" killed by signal: {signal.strsignal(code)}." for code in codes if code > 0), "")
        raise _ended(f"{told} {error.__cause__} {error.__context__} {error}") from error


def _ended(said: str) -> ReaderEndedError:
    """Return the error for what torch says: ``… is killed by signal: Killed.`` or ``… exited unexpectedly``."""
    name = said.partition("killed by signal: ")[2].split(".")[0].strip()
    if name.startswith(ASKED_TO_END):
        return ReaderEndedError("a process that reads images was ended from outside", asked=True)
    if name.startswith("Bus error"):
        return ReaderEndedError(f"a process that reads images found no shared memory{_room()}; {ENOUGH}", asked=False)
    if name.startswith("Killed"):
        how = "was killed, as the system does when memory is short; lower data.workers, train.batch_size or data.augment.crop"
    else:
        how = f"ended ({name or 'without a word'}); data.workers: 0 shows where"
    return ReaderEndedError(f"a process that reads images {how}", asked=False)
