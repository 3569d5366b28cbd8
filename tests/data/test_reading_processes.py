"""Processes that read images: every way in which they fail ends in one line, and soon."""

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable

import pytest
import torch

from fullconv.data.loading import train_loader, val_loader
from fullconv.data.sample import Sample
from fullconv.data.scenes.scenes import Scenes
from fullconv.data.workers import ReaderEndedError
from fullconv.errors import DataError
from fullconv.spec import DataSpec


class Failing(Scenes):
    """Scenes whose second image does something to the process that reads it, and to no other."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__("train", 4, (48, 64))
        self.action, self.own = action, os.getpid()

    def __getitem__(self, index: int) -> Sample:
        if index == 1 and os.getpid() != self.own:
            self.action()
        return super().__getitem__(index)


def little_shared_memory() -> None:
    """A limit on the size of files, which shared memory obeys, stands for a /dev/shm that is full; it needs no rights."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def read(dataset: Scenes) -> None:
    for _ in val_loader(dataset, DataSpec(workers=1)):
        pass


def test_too_little_shared_memory_is_said_and_what_to_do() -> None:
    said = (
        r"^a process that reads images cannot hand a batch of 1 MB over through shared memory .*data\.workers: 0 reads in the .*$"
    )
    with pytest.raises(DataError, match=said):
        read(Failing(little_shared_memory))
    with pytest.raises(DataError, match=said):
        list(train_loader(Failing(little_shared_memory), DataSpec(workers=1), 4, 0, steps=1))


def test_a_process_that_the_system_killed() -> None:
    with pytest.raises(
        ReaderEndedError, match=r"was killed, as the system does when memory is short; lower data\.workers"
    ) as raised:
        read(Failing(kill))
    assert not raised.value.asked


def test_a_process_that_was_asked_to_end() -> None:
    with pytest.raises(ReaderEndedError, match="was ended from outside") as raised:
        read(Failing(end))
    assert raised.value.asked


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_that_fails_is_told_with_the_image(workers: int) -> None:
    class Broken(Scenes):
        def __getitem__(self, index: int) -> Sample:
            if index == 2:
                raise ZeroDivisionError("two\nlines")
            return super().__getitem__(index)

    broken = Broken("train", 4, (48, 64))
    said = r"^cannot read image 2 of scenes train \(counted from 0\): ZeroDivisionError: two lines$"
    with pytest.raises(DataError, match=said):
        read_with(broken, workers)
    with pytest.raises(DataError, match=said):
        list(train_loader(broken, DataSpec(workers=workers), 4, 0, steps=1))


def read_with(dataset: Scenes, workers: int) -> None:
    for _ in val_loader(dataset, DataSpec(workers=workers)):
        pass


def test_batches_are_handed_over_as_they_are() -> None:
    own, other = (list(val_loader(Scenes("train", 3, (48, 64)), DataSpec(workers=workers))) for workers in (0, 1))
    for left, right in zip(own, other, strict=True):
        assert right["inputs"]["rgb"].is_shared()
        assert torch.equal(left["inputs"]["rgb"], right["inputs"]["rgb"])
        assert torch.equal(left["targets"]["semantic"], right["targets"]["semantic"])


def test_a_step_is_finished_before_anything_is_heard_of_an_ended_process() -> None:
    batches = iter(train_loader(Scenes("train", 4, (48, 64)), DataSpec(workers=1), 1, 0, steps=50))
    next(batches)
    (reader,) = multiprocessing.active_children()
    os.kill(reader.pid or 0, signal.SIGKILL)
    time.sleep(0.2)  # the step; torch's handler would raise in it
    with pytest.raises(ReaderEndedError, match="was killed"):
        next(batches)


def test_ctrl_c_is_left_to_the_process_that_is_read_for() -> None:
    batches = iter(train_loader(Scenes("train", 4, (48, 64)), DataSpec(workers=1), 1, 0, steps=50))
    next(batches)
    (reader,) = multiprocessing.active_children()
    os.kill(reader.pid or 0, signal.SIGINT)
    assert sum(1 for _ in batches) == 49


@pytest.mark.parametrize(("action", "said"), [(kill, "was killed"), (end, "was ended from outside")])
def test_the_signal_is_told_where_torchs_handler_is_gone(action: Callable[[], None], said: str) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # as a library or an earlier run may leave it
    try:
        with pytest.raises(ReaderEndedError, match=said):
            read(Failing(action))
    finally:
        signal.signal(signal.SIGCHLD, before)
