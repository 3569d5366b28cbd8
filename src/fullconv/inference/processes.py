"""Many images in several processes of one machine, none of which can stop the others.

Images go to the processes in small batches. What fails, and what was on its way when a process ended (the system kills the one
that takes the most memory), is tried once more when all others are done: alone, in a process of its own, so that an image that
ends its process does so again and is known. Results are the same files as those of one process.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from fullconv.errors import DataError, FullconvError, SpecError
from fullconv.files import remove_unfinished
from fullconv.inference.jobs import Job
from fullconv.inference.mapped import Opener, written
from fullconv.inference.predictor import Predictor
from fullconv.inference.results import Done, How, Todo, predict_jobs

BATCH = 4
"""Images that a process is given at once: while it computes one it reads the next, and few are lost with it."""
BARREN = 3
"""Times that processes may end, one after the other, without one batch done between; then the run ends."""
ENDED = "the process that predicted it ended without a word, as when the system needs its memory; cut it into parts or shrink it"

_Begin = Callable[[int, dict[str, str]], None]
_Batch = Sequence[tuple[Job, Sequence[str]]]


@dataclass(frozen=True)
class Processes:
    """What predicts in several processes, see :func:`fullconv.inference.files.predict_files`.

    A program that uses it is guarded by ``if __name__ == "__main__":``, as each that starts processes.

    Parameters
    ----------
    predictor
        Computes in each of them, on the same device; threads are shared out.
    workers
        How many processes.

    Raises
    ------
    SpecError
        When there are none.
    """

    predictor: Predictor
    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SpecError(f"{self.workers} workers predict nothing; give 1 or more")

    def __call__(self, todo: Todo, how: How) -> Generator[Done, None, None]:
        """Yield what became of each image, in the order in which they are done.

        Raises
        ------
        FullconvError
            When a result cannot be written; when processes end again and again before anything is done.
        """
        if not todo:
            return
        with TemporaryDirectory(prefix="fullconv-") as folder:
            file = Path(folder) / "model"
            begin = partial(_begin, written(self.predictor, file), file)
            yield from tried_twice(
                todo,
                lambda some: _all(some, how, begin, self.workers, BATCH * how.together, BARREN),
                lambda some: _all(some, how, begin, 1, 1, len(some) + 1),
            )


def tried_twice(todo: Todo, first: Callable[[Todo], Iterator[Done]], again: Callable[[Todo], Iterator[Done]]) -> Iterator[Done]:
    """Yield what became of each image, once: what failed at first is tried again when the others are done.

    Examples
    --------
    >>> job = Job(Path("a.png"), Path("out"), Path("a.png"))
    >>> fails, works = (lambda todo: iter([Done(job, problem="busy")])), (lambda todo: iter([Done(job)]))
    >>> [done.problem for done in tried_twice({job: ["labels"]}, fails, works)]
    [None]
    """
    failed = []
    for done in first(todo):
        if done.problem is None:
            yield done
        else:
            failed.append(done.job)
    if failed:
        yield from again({job: todo[job] for job in failed})


def _all(todo: Todo, how: How, begin: _Begin, workers: int, size: int, patience: int) -> Iterator[Done]:
    """Yield what became of each image; of those that a process ended over, that it did."""
    items = list(todo.items())
    waiting: deque[_Batch] = deque(items[start : start + size] for start in range(0, len(items), size))
    barren = 0
    while waiting:
        before = len(waiting)
        lost = yield from _until_one_ends(waiting, how, begin, workers)
        barren = barren + 1 if before - len(waiting) == lost else 0
        if barren == patience:
            raise FullconvError(
                f"processes ended {barren} times before one image was done, as when memory is short; what is written is whole: "
                f"go on with fewer than {workers} workers, or without --workers"
            )


def _until_one_ends(waiting: deque[_Batch], how: How, begin: _Begin, workers: int) -> Generator[Done, None, int]:
    """Predict what is waiting until all is done or a process ends, with which all others of its pool end; return the lost."""
    given = max(1, torch.get_num_threads() // workers), dict(os.environ)
    pool = ProcessPoolExecutor(workers, _start_method(), begin, given)
    running: dict[Future[list[Done]], _Batch] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (2 * workers if workers > 1 else 1):  # one waits behind each that is computed
                running[pool.submit(_work, waiting[0], how)] = waiting[0]
                waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                results = future.result()
                del running[future]
                yield from results
    except BrokenProcessPool:
        pool.shutdown()  # until the last of them has ended, and writes no more
        lost = 0
        for future, batch in running.items():
            if future.done() and future.exception() is None:
                yield from future.result()
            else:
                lost += 1
                yield from (_lost(*item) for item in batch)
        return lost
    finally:
        pool.shutdown(cancel_futures=True)  # what is being written becomes whole
    return 0


def _lost(job: Job, names: Sequence[str]) -> Done:
    for place in map(job.path, names):
        if isinstance(place, Path):
            remove_unfinished(place)
    return Done.failed(job, DataError(ENDED))


def _start_method() -> multiprocessing.context.BaseContext:
    """Return how processes start: each from one that has imported everything, or anew where there is no such way."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__])
    return found


_predictor: Predictor | None = None
"""Of a process that predicts."""


def _begin(opener: Opener, file: Path, threads: int, environment: dict[str, str]) -> None:
    global _predictor
    os.environ.update(environment)  # keys and addresses of storages, which may be newer than the process that this one is of
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the one that gathers says what is to end
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _predictor = opener(file)


def _end_with_parent() -> None:
    """End this process when the one that gathers is killed, which nothing else would tell it."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # as processes of a pool have one
    parent.join()
    os._exit(1)


def _work(batch: _Batch, how: How) -> list[Done]:
    assert _predictor is not None  # as the process began with it
    return list(predict_jobs(_predictor, dict(batch), how))
