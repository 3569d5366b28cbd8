"""Parts of maps: a box of entries, and the frame that is kept around one.

Letters: N images, C channels, h w map.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fullconv.geometry.graph import Interval


class Box(NamedTuple):
    """A part of a map: an interval of rows and one of columns, ends included; empty where an end is below its start."""

    rows: Interval
    columns: Interval

    def holds(self, other: "Box") -> bool:
        """Whether the other lies in this one."""
        return all(mine[0] <= its[0] and its[1] <= mine[1] for mine, its in zip(self, other, strict=True))

    def joined(self, other: "Box") -> "Box":
        """Return the smallest box that holds both."""
        rows, columns = ((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(self, other, strict=True))
        return Box(rows, columns)

    def common(self, other: "Box") -> "Box":
        """Return what lies in both."""
        rows, columns = ((max(a[0], b[0]), min(a[1], b[1])) for a, b in zip(self, other, strict=True))
        return Box(rows, columns)

    def inside(self, other: "Box") -> tuple[slice, slice]:
        """Return where this box lies in a tensor that holds the other."""
        rows, columns = (slice(a[0] - b[0], a[1] - b[0] + 1) for a, b in zip(self, other, strict=True))
        return rows, columns

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, 0 where it is empty."""
        return max(self.rows[1] - self.rows[0] + 1, 0), max(self.columns[1] - self.columns[0] + 1, 0)

    @property
    def area(self) -> int:
        """Number of entries."""
        height, width = self.size
        return height * width


def box_of(size: tuple[int, int]) -> Box:
    """Return the box of all of a map of (height, width)."""
    return Box((0, size[0] - 1), (0, size[1] - 1))


class Frame:
    """What is kept of a map for one of its readers: all that is wanted and lies outside the window that is computed.

    Parameters
    ----------
    whole
        The map (N, C, h, w); its first image is kept.
    window, wanted
        What is computed of it from now on, and what is read.
    """

    def __init__(self, whole: Tensor, window: Box, wanted: Box) -> None:
        self.size, self.window, self.middle = wanted.size, window, window.common(wanted)
        self.place = self.middle.inside(wanted)
        self.parts = [
            (part.inside(wanted), whole[(slice(0, 1), slice(None), *part.inside(box_of((1, 1))))].clone())
            for part in _around(wanted, self.middle)
            if part.area
        ]

    def around(self, maps: Tensor) -> Tensor:
        """Return what is wanted (N, C, h, w) from the maps (N, C, h, w) of the window."""
        layout = torch.channels_last if maps.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        found = torch.empty((*maps.shape[:2], *self.size), dtype=maps.dtype, device=maps.device, memory_format=layout)
        for place, part in self.parts:
            found[(..., *place)] = part
        if self.middle.area:
            found[(..., *self.place)] = maps[(..., *self.middle.inside(self.window))]
        return found


def _around(whole: Box, middle: Box) -> list[Box]:
    """Return the boxes above, below, left and right of a middle; the whole where that is empty."""
    if not middle.area:
        return [whole]
    (top, bottom), (left, right) = whole
    (first, last), (begin, end) = middle
    above, below = Box((top, first - 1), (left, right)), Box((last + 1, bottom), (left, right))
    return [above, below, Box((first, last), (left, begin - 1)), Box((first, last), (end + 1, right))]
