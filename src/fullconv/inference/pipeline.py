"""Reading, computing and writing at the same time: each end in a thread of its own, images of one size together."""

import math
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
HELD = 2**28
"""Bytes of images, as they are read, that wait for others of their size."""


def in_background(function: Callable[[T], R], items: Iterable[T], ahead: int, threads: int = 1) -> Generator[R, None, None]:
    """Yield ``function(item)`` for each item in turn, computed by threads, which are up to ``ahead`` items further on.

    The items themselves are computed by the thread that asks for results. When that stops early, what was begun is finished.

    Examples
    --------
    >>> list(in_background(abs, iter([-1, 2, -3]), ahead=1))
    [1, 2, 3]
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def group_by_size(images: Iterable[tuple[T, Read]], most: int, held: int = HELD) -> Iterator[list[tuple[T, Read]]]:
    """Yield images of one size together, as many as ``most``, each with what came with it; what cannot be read is alone.

    Sizes may come in any order: images wait until there are enough of their size. No more than ``held`` bytes of them wait, and
    when there are more, those of the size with the most bytes go first.

    Examples
    --------
    >>> import numpy as np
    >>> small, large = (Loaded(np.zeros((side, 3, 3), np.uint8), {}) for side in (2, 4))
    >>> images = zip("abcdefg", [small, large, small, large, large, DataError(), small])
    >>> ["".join(name for name, _ in group) for group in group_by_size(images, 2)]
    ['ac', 'bd', 'f', 'e', 'g']
    """
    waiting: dict[tuple[int, ...], list[tuple[T, Read]]] = {}
    total = 0
    for name, image in images:
        if isinstance(image, DataError):
            yield [(name, image)]
            continue
        size = image.image.shape
        waiting.setdefault(size, []).append((name, image))
        total += image.image.nbytes
        fullest = size if len(waiting[size]) == most else max(waiting, key=lambda key: len(waiting[key]) * math.prod(key))
        if len(waiting[fullest]) == most or total > held:
            group = waiting.pop(fullest)
            total -= len(group) * math.prod(fullest)
            yield group
    yield from waiting.values()
