"""Reading, computing and writing at the same time: each end in a thread of its own, images of one size together."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fullconv.errors import DataError
from fullconv.inference.rgbd import Loaded

T = TypeVar("T")
R = TypeVar("R")

Read = Loaded | DataError
"""An image, or what is wrong with its file."""


def in_background(function: Callable[[T], R], items: Iterable[T], ahead: int) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item in turn, computed by one thread, which is up to ``ahead`` items further on.

    The items themselves are computed by the thread that asks for results. When that stops early, what was begun is finished.

    Examples
    --------
    >>> list(in_background(abs, iter([-1, 2, -3]), ahead=1))
    [1, 2, 3]
    """
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(thread.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def group_by_size(images: Iterable[Read], most: int) -> Iterator[list[Read]]:
    """Yield the images in their order, neighbours of one size together, at most so many; what cannot be read is alone.

    Examples
    --------
    >>> import numpy as np
    >>> small, large = (Loaded(np.zeros((side, 3, 3), np.uint8), {}) for side in (2, 4))
    >>> [len(group) for group in group_by_size([small, small, large, large, large, DataError(), small], 2)]
    [2, 2, 1, 1, 1]
    """
    group: list[Read] = []
    for image in images:
        if group and _size(image) != _size(group[0]):
            yield group
            group = []
        group.append(image)
        if len(group) == most or isinstance(image, DataError):
            yield group
            group = []
    if group:
        yield group


def _size(image: Read) -> tuple[int, ...] | None:
    return None if isinstance(image, DataError) else image.image.shape
