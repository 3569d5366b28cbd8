"""Pictures read by a thread of its own while the net computes, and handed over one by one or several of one size together."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.pictures import read_picture
from fullconv.errors import DataError

Read = NDArray[np.uint8] | DataError
"""A picture, uint8 (H, W, 3) RGB, or what is wrong with its file."""


def read_ahead(paths: Iterable[Path], count: int) -> Iterator[Read]:
    """Yield each picture in turn, while up to ``count`` of those after it are being read."""
    with ThreadPoolExecutor(1, "reader") as reader:
        waiting: deque[Future[Read]] = deque()
        for path in paths:
            waiting.append(reader.submit(_read, path))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read(path: Path) -> Read:
    try:
        return read_picture(path)
    except DataError as error:
        return DataError(str(error))  # without the frames that it came from, which hold on to the picture


def group_by_size(pictures: Iterable[Read], most: int) -> Iterator[list[Read]]:
    """Yield the pictures in their order, neighbours of one size together, at most so many; what cannot be read is alone.

    Examples
    --------
    >>> small, large = np.zeros((2, 3, 3), np.uint8), np.zeros((4, 3, 3), np.uint8)
    >>> [len(group) for group in group_by_size([small, small, large, large, large, DataError(), small], 2)]
    [2, 2, 1, 1, 1]
    """
    group: list[Read] = []
    for picture in pictures:
        if group and _size(picture) != _size(group[0]):
            yield group
            group = []
        group.append(picture)
        if len(group) == most or isinstance(picture, DataError):
            yield group
            group = []
    if group:
        yield group


def _size(picture: Read) -> tuple[int, ...] | None:
    return None if isinstance(picture, DataError) else picture.shape
